"""Documents matched to products: rules SA1, SA3, SA4, SA7."""

from decimal import Decimal
from typing import Any

import pytest

from contracts.channels import TransactionCaptured
from sales_processor.domain.matching import Fault, LinkedProduct, match
from sales_processor.domain.sale import Content, demands
from sales_processor.testing import BUSINESS, CONNECTION, Body, line, transaction

LINKS = {
    (BUSINESS, CONNECTION, "7"): LinkedProduct("desk", "Desk", "finished-good"),
    (BUSINESS, CONNECTION, "8"): LinkedProduct("leg", "Leg", "raw-material"),
    (BUSINESS, CONNECTION, "9"): LinkedProduct("work", "Assembly", "service"),
}


def _match(*lines: Body, **fields: Any) -> Content | Fault:  # noqa: ANN401
    return match(TransactionCaptured(**transaction("101", *lines, **fields)), LINKS)


def _content(*lines: Body, **fields: Any) -> Content:  # noqa: ANN401
    content = _match(*lines, **fields)
    assert isinstance(content, Content)
    return content


def _fault(*lines: Body, **fields: Any) -> Fault:  # noqa: ANN401
    fault = _match(*lines, **fields)
    assert isinstance(fault, Fault)
    return fault


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (line(1, "7"), None),
        (line(1, "8"), "not-a-finished-good"),
        (line(1, "9", kind="service"), "not-a-finished-good"),
        (line(1, "99", kind="service"), "service"),
        (line(1, None), "no-item"),
        (line(1, None, skip="shipping"), "shipping"),
        (line(1, None, skip="gratuity"), "gratuity"),
        (line(1, None, skip="description"), "description"),
        (line(1, None, skip="subtotal"), "subtotal"),
        (line(1, "99", skip="no-item"), "no-item"),
    ],
)
def test_each_line_is_tracked_or_skipped_with_a_reason(made: Body, reason: str | None) -> None:
    (found,) = _content(made).lines

    assert found.skipped_reason == reason
    assert (found.product_id is None) == (reason is not None)
    assert found.revenue == (0 if reason else 100)
    assert found.amount == 100


def test_names_never_match() -> None:
    fault = _fault({**line(1, "99"), "item": {"external_id": "99", "name": "Desk"}})

    assert fault.code == "item-not-linked"


def test_all_missing_items_are_named_once() -> None:
    fault = _fault(line(1, "98"), line(2, "7"), line(3, "99"), line(4, "98"))

    assert [item.external_id for item in fault.missing] == ["98", "99"]
    assert "item 98" in fault.message
    assert "item 99" in fault.message
    assert "link-item" in fault.hint


def test_revenue_counts_tracked_lines_only() -> None:
    content = _content(
        line(1, "7", "2", "100.00", discount="10.00"),
        line(2, "8", "1", "40.00"),
        line(3, None, None, "5.00", skip="shipping"),
        line(4, "7", None, "20.00"),
        line(5, "7", "3", "0.00"),
        currency="EUR",
        exchange_rate="1.5",
        total_amount="155.00",
    )

    assert content.revenue == Decimal("165.00")
    assert [d.line_id for d in demands(content.lines)] == ["1", "5"]
    assert content.lines[3].flags == ("no-quantity",)
    assert content.total_amount == 155


@pytest.mark.parametrize(
    ("fields", "revenue"),
    [
        ({"currency": "USD", "home_currency": "USD"}, "100.00"),
        ({"currency": "USD", "home_currency": "USD", "exchange_rate": "1.5"}, "100.00"),
        ({"currency": None, "home_currency": None}, "100.00"),
        ({"currency": "EUR", "home_currency": None}, "100.00"),
        ({"currency": "EUR", "home_currency": None, "exchange_rate": "1.5"}, "150.00"),
        ({"currency": "EUR", "home_currency": "USD", "exchange_rate": "1.5"}, "150.00"),
    ],
)
def test_only_foreign_documents_are_converted(fields: Body, revenue: str) -> None:
    assert _content(line(1, "7"), **fields).revenue == Decimal(revenue)


def test_a_foreign_document_without_a_rate_waits() -> None:
    fault = _fault(line(1, "7"), currency="EUR", home_currency="USD")

    assert fault.code == "exchange-rate-missing"
    assert "EUR" in fault.message


def test_a_document_without_lines_is_a_sale_of_nothing() -> None:
    content = _content()

    assert (content.lines, content.revenue) == ((), Decimal(0))


def test_a_document_of_too_many_lines_waits() -> None:
    fault = _fault(*(line(number, "7") for number in range(2_001)))

    assert fault.code == "document-invalid"
    assert "2,001" in fault.message


@pytest.mark.parametrize("kind", ["credit-memo", "refund-receipt"])
def test_the_kind_carries_the_sign(kind: str) -> None:
    content = _content(
        line(1, "7", "2", "100.05", discount="10.00"),
        line(2, "7", None, "20.00"),
        line(3, "8", "1", "40.00"),
        line(4, "7", "-1", "-5.00"),
        line(5, "7", "1", "0.00"),
        kind=kind,
        currency="EUR",
        exchange_rate="1.1",
    )

    # 90.05 x 1.1 = 99.055
    assert [str(each.revenue) for each in content.lines] == [
        "-99.06",
        "-22.00",
        "0",
        "5.50",
        "0.00",
    ]
    assert [each.quantity for each in content.lines] == [-2, None, -1, 1, -1]
    assert [each.amount for each in content.lines[:3]] == [Decimal("100.05"), 20, 40]
    assert content.lines[1].flags == ("no-quantity",)
    assert {d.line_id: str(d.quantity) for d in demands(content.lines)} == {
        "1": "-2",
        "4": "1",
        "5": "-1",
    }
    assert content.revenue == Decimal("-115.56")


@pytest.mark.parametrize(
    ("returns", "asked", "flags", "demanded"),
    [
        ("original-lots", "original-lots", (), ["1", "2"]),
        ("return-lot", "return-lot", (), ["1", "2"]),
        ("a newer policy", "original-lots", (), ["1", "2"]),
        ("no-restock", "original-lots", ("no-restock",), ["2"]),
    ],
)
def test_returned_goods_follow_the_policy(
    returns: str, asked: str, flags: tuple[str, ...], demanded: list[str]
) -> None:
    document = transaction("101", line(1, "7", "-2", "-80.00"), line(2, "7", "1", "40.00"))

    content = match(TransactionCaptured(**document), LINKS, returns)

    assert isinstance(content, Content)
    assert content.returns == asked
    assert [each.flags for each in content.lines] == [flags, ()]
    assert [d.line_id for d in demands(content.lines)] == demanded
    assert content.revenue == -40


def test_a_document_of_unknown_kind_waits() -> None:
    document = TransactionCaptured(**transaction("101", line(1, "7")))

    fault = match(document.model_copy(update={"kind": "estimate"}), LINKS)

    assert isinstance(fault, Fault)
    assert fault.code == "kind-not-supported"
    assert "estimate" in fault.message
