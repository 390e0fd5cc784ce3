"""The rules of sales, each as a table of documents and figures that were worked out by hand.

Desk (item 7) and chair (item 8) are finished goods, leg (item 9) is a raw material, work (item 10)
a service. What inventory answers is given in each row: the rules here say what sales make of it.
"""

from datetime import date
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from contracts.channels import TransactionCaptured
from contracts.inventory import SaleCosted
from contracts.sales import RecordManualSale
from sales_processor.domain import manual
from sales_processor.domain.costing import cost
from sales_processor.domain.intake import Decision, accept, decide, note, wait
from sales_processor.domain.matching import Fault, LinkedProduct, match
from sales_processor.domain.money import margin_percent
from sales_processor.domain.sale import Content, Costed, Sale, State, demands, taken_back
from sales_processor.testing import BUSINESS, CONNECTION, Body, line, transaction

GOODS = {
    "7": LinkedProduct("desk", "Walnut Desk", "finished-good"),
    "8": LinkedProduct("chair", "Oak Chair", "finished-good"),
    "9": LinkedProduct("leg", "Table Leg", "raw-material"),
    "10": LinkedProduct("work", "Assembly", "service"),
}
LINKS = {(BUSINESS, CONNECTION, item): product for item, product in GOODS.items()}
EURO = {"currency": "EUR", "home_currency": "USD", "exchange_rate": "1.0855"}
SHIPPED = {"skip": "shipping"}


def _match(*lines: Body, returns: str = "original-lots", **fields: Any) -> Content | Fault:  # noqa: ANN401
    document = TransactionCaptured(**transaction("101", *lines, **fields))
    return match(document, LINKS, returns)


def _content(*lines: Body, **fields: Any) -> Content:  # noqa: ANN401
    content = _match(*lines, **fields)
    assert isinstance(content, Content), content
    return content


def _answer(*lines: Body) -> SaleCosted:
    total = sum(Decimal(each["cost"]) for each in lines)
    return SaleCosted(business_id=BUSINESS, sale_id="s", revision=1, lines=list(lines), cost=total)


def _costed(number: int, product: str, quantity: str, amount: str, **fields: Any) -> Body:  # noqa: ANN401
    return {
        "line_id": str(number),
        "product_id": product,
        "quantity": quantity,
        "cost": amount,
        **fields,
    }


def _figures(sale: Costed) -> tuple[str, str, str, str | None]:
    """Revenue, cost, margin and margin percent."""
    revenue = sale.content.revenue
    percent = margin_percent(revenue, sale.cost)
    margin = revenue - sale.cost
    return (
        f"{revenue:f}",
        f"{sale.cost:f}",
        f"{margin:f}",
        None if percent is None else f"{percent}",
    )


@pytest.mark.parametrize(
    ("item", "name", "product"),
    [
        ("7", "Walnut Desk", "desk"),
        ("7", "Oak Chair", "desk"),  # the link counts, whatever the item is called
        ("8", "Walnut Desk", "chair"),
    ],
)
def test_sa1_a_sale_has_number_customer_and_date_and_lines_match_by_link(
    item: str, name: str, product: str
) -> None:
    named = {**line(1, item), "item": {"external_id": item, "name": name, "kind": "inventory"}}
    fields = {"number": "1040", "customer": {"name": "Blue Door"}, "transaction_date": "2026-01-20"}

    sale = _content(named, **fields)

    assert (sale.number, sale.customer_name) == ("1040", "Blue Door")
    assert sale.sale_date == date(2026, 1, 20)
    assert [each.product_id for each in sale.lines] == [product]


@pytest.mark.parametrize(
    ("lines", "answer", "figures"),
    [
        (  # 20 x 145 + 30 x 148
            [line(1, "7", "50", "13000.00")],
            [_costed(1, "desk", "50", "7340.00")],
            ("13000.00", "7340.00", "5660.00", "43.54"),
        ),
        (
            [line(1, "7", "2", "520.00"), line(2, "8", "3", "267.30")],
            [_costed(1, "desk", "2", "290.00"), _costed(2, "chair", "3", "118.00")],
            ("787.30", "408.00", "379.30", "48.18"),
        ),
        (  # sold at a loss
            [line(1, "8", "1", "30.00")],
            [_costed(1, "chair", "1", "38.50")],
            ("30.00", "38.50", "-8.50", "-28.33"),
        ),
    ],
)
def test_sa2_margin_is_revenue_less_fifo_cost(
    lines: list[Body], answer: list[Body], figures: tuple[str, ...]
) -> None:
    assert _figures(cost(_content(*lines), _answer(*answer))) == figures


@pytest.mark.parametrize(
    ("skipped", "reason"),
    [
        (line(1, "9"), "not-a-finished-good"),
        (line(1, "10", kind="service"), "not-a-finished-good"),
        (line(1, "99", kind="service"), "service"),
        (line(1, None), "no-item"),
        (line(1, None, skip="shipping"), "shipping"),
        (line(1, "99", skip="gratuity"), "gratuity"),
        (line(1, None, None, skip="description"), "description"),
        (line(1, None, None, skip="subtotal"), "subtotal"),
    ],
)
def test_sa3_skipped_lines_are_kept_and_change_nothing(skipped: Body, reason: str) -> None:
    alone = cost(_content(skipped), None)
    beside = _content(skipped, line(2, "7", "1", "260.00"), total_amount="360.00")

    assert [each.line.skipped_reason for each in alone.lines] == [reason]
    assert _figures(alone) == ("0", "0", "0", None)
    assert [demand.line_id for demand in demands(beside.lines)] == ["2"]
    assert (str(beside.revenue), str(beside.total_amount)) == ("260.00", "360.00")


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        ([line(1, "7"), line(2, "98")], ["98"]),
        ([line(1, "98"), line(2, "99"), line(3, "98")], ["98", "99"]),
        ([line(1, "98", kind="non-inventory")], ["98"]),
        ([line(1, "98", kind=None)], ["98"]),
        ([line(1, "98", kind="service"), line(2, "99")], ["99"]),
    ],
)
def test_sa4_a_sale_waits_whole_and_names_all_missing_links(
    lines: list[Body], missing: list[str]
) -> None:
    fault = _match(*lines)

    assert isinstance(fault, Fault)
    assert fault.code == "item-not-linked"
    assert [item.external_id for item in fault.missing] == missing


SALE = Sale(BUSINESS, "s", "c", "synced", "invoice", "101")


def _applied(*steps: tuple[int, str]) -> Sale:
    """A sale after versions of some kind, as `_step` takes them."""
    sale = SALE
    for version, kind in steps:
        sale = _step(sale, version, kind)
    return sale


def _step(sale: Sale, version: int, kind: str) -> Sale:
    """What a version makes of a sale: `void`, `fails`, or content of that name."""
    void = kind == "void"
    decision = decide(sale, version=version, void=void, content_hash=kind)
    content = _content(line(1, "7"), version=version)
    if decision is Decision.APPLY and kind == "fails":
        return wait(sale, version)
    if decision is Decision.APPLY:
        return accept(sale, content, content_hash=kind, sync_id=None)
    if decision is Decision.VOID:
        back = taken_back(content, version=version, sync_id=None, reason="voided")
        return accept(sale, back, content_hash=None, sync_id=None)
    if decision is Decision.VOID_OF_UNKNOWN:
        return sale._replace(state=State.TOMBSTONE, seen_version=version)
    return note(sale, version) if decision is Decision.IRRELEVANT_CHANGE else sale


@pytest.mark.parametrize(
    ("before", "version", "kind", "decision"),
    [
        ([(1, "a")], 1, "a", "unchanged"),
        ([(1, "a")], 1, "b", "unchanged"),
        ([(1, "a")], 2, "b", "apply"),
        ([(1, "a")], 2, "a", "irrelevant-change"),
        ([(2, "a")], 1, "b", "older-version"),
        ([(1, "a"), (2, "void")], 3, "a", "apply"),
        ([(1, "a"), (2, "fails")], 3, "b", "apply"),
    ],
)
def test_sa5_a_newer_version_replaces_the_older(
    before: list[tuple[int, str]], version: int, kind: str, decision: str
) -> None:
    sale = _applied(*before)

    assert decide(sale, version=version, void=False, content_hash=kind).value == decision
    assert _step(sale, version, kind).seen_version == max(version, before[-1][0])


@pytest.mark.parametrize(
    ("before", "version", "decision"),
    [
        ([(1, "a")], 2, "apply-void"),
        ([(1, "a"), (2, "fails")], 3, "apply-void"),
        ([(1, "fails")], 2, "apply-void"),
        ([(2, "a")], 1, "older-version"),
        ([(1, "a"), (2, "void")], 2, "unchanged"),
        ([(1, "a"), (2, "void")], 3, "irrelevant-change"),
        ([], 4, "void-of-unknown"),
        ([(4, "void")], 5, "void-of-unknown"),
    ],
)
def test_sa6_a_void_gives_back_once(
    before: list[tuple[int, str]], version: int, decision: str
) -> None:
    sale = _applied(*before)
    found = decide(sale, version=version, void=True, content_hash="void")

    assert found.value == ("void" if decision == "apply-void" else decision)
    if found is Decision.VOID:
        taken = cost(
            taken_back(_content(line(1, "7")), version=version, sync_id=None, reason="voided"), None
        )
        assert (taken.status, _figures(taken)) == ("voided", ("0", "0", "0", None))


def test_sa6_a_tombstone_beats_any_older_version() -> None:
    sale = _applied((4, "void"))

    decisions = [
        decide(sale, version=version, void=False, content_hash="a").value for version in range(6)
    ]

    assert decisions == ["older-version"] * 4 + ["unchanged", "apply"]


@pytest.mark.parametrize(
    ("lines", "fields", "revenue"),
    [
        ([line(1, "7", "1", "260.00", discount="26.00")], {}, "234.00"),
        ([line(1, "7", "3", "0.00")], {}, "0.00"),
        ([line(1, "7", "1", "100.00"), line(2, "99", kind="service")], {}, "100.00"),
        # 100.00 x 1.0855 and 99.99 x 1.0855 = 108.539145
        ([line(1, "7", "1", "100.00"), line(2, "8", "1", "99.99")], EURO, "217.09"),
        # half a cent up: (100.01 - 0.01) x 1.00005 = 100.005
        (
            [line(1, "7", "1", "100.01", discount="0.01")],
            {**EURO, "exchange_rate": "1.00005"},
            "100.01",
        ),
        # a rate without a foreign currency converts nothing
        ([line(1, "7", "1", "100.00")], {"exchange_rate": "1.5"}, "100.00"),
        ([line(1, "7", "1", "1000")], {"currency": "JPY", "home_currency": "JPY"}, "1000"),
        # 10.05 x 149.95 = 1506.9975
        (
            [line(1, "7", "1", "10.05")],
            {"home_currency": "JPY", "exchange_rate": "149.95"},
            "1507",
        ),
        # 10.05 x 0.30755 = 3.0908775
        (
            [line(1, "7", "1", "10.05")],
            {"home_currency": "KWD", "exchange_rate": "0.30755"},
            "3.091",
        ),
        # money only
        ([line(1, "7", None, "50.00")], {}, "50.00"),
    ],
)
def test_sa7_revenue_is_net_less_discount_times_rate_rounded_once_per_line(
    lines: list[Body], fields: Body, revenue: str
) -> None:
    sale = _content(*lines, **fields)

    assert f"{sale.revenue:f}" == revenue
    assert sale.revenue == sum(each.revenue for each in sale.lines)


@pytest.mark.parametrize(
    ("returns", "quantity", "demanded", "flags"),
    [
        ("original-lots", "2", ["-2"], ()),
        ("return-lot", "2", ["-2"], ()),
        ("no-restock", "2", [], ("no-restock",)),
        ("original-lots", None, [], ("no-quantity",)),
        ("no-restock", None, [], ("no-quantity",)),
    ],
)
@pytest.mark.parametrize("kind", ["credit-memo", "refund-receipt"])
def test_sa8_returns_have_negative_revenue_and_give_goods_back(
    kind: str, returns: str, quantity: str | None, demanded: list[str], flags: tuple[str, ...]
) -> None:
    goods = line(1, "7", quantity, "520.00", discount="20.00")

    memo = _content(goods, kind=kind, returns=returns)

    assert str(memo.revenue) == "-500.00"
    assert [str(demand.quantity) for demand in demands(memo.lines)] == demanded
    assert memo.lines[0].flags == flags
    assert memo.returns == ("return-lot" if returns == "return-lot" else "original-lots")


@pytest.mark.parametrize(
    ("shortage", "answered", "flags"),
    [
        # 3 x 10 + 2 x 12.345
        ({"quantity": "2", "open": "2", "unit_cost": "12.345"}, "54.69", ["short"]),
        # one came at 11, one is missing: 3 x 10 + 11 + 12.345
        ({"quantity": "2", "open": "1", "unit_cost": "12.345"}, "53.35", ["short"]),
        ({"quantity": "2", "open": "0", "unit_cost": "12.345"}, "52.00", []),
        ({"quantity": "2", "open": "2", "unit_cost": "0"}, "30.00", ["short", "uncosted"]),
    ],
)
def test_sa9_short_stock_is_costed_and_flagged(
    shortage: Body, answered: str, flags: list[str]
) -> None:
    uncosted = {"flags": ["uncosted"]} if "uncosted" in flags else {}
    answer = _answer(_costed(1, "desk", "5", answered, shortage=shortage, **uncosted))

    sale = cost(_content(line(1, "7", "5", "100.00")), answer)

    assert (f"{sale.cost:f}", list(sale.flags)) == (answered, flags)


@pytest.mark.parametrize(
    ("lines", "currency", "outcome"),
    [
        ([("desk", "2", "19.995")], None, "39.99"),
        ([("desk", "2", "19.995"), ("chair", "1", "0")], None, "39.99"),
        ([("desk", "0.333333", "3")], None, "1.00"),
        ([("desk", "3", "333.5")], "JPY", "1001"),
        ([("desk", "1", "1.2345")], "KWD", "1.235"),
        ([("desk", "1", "1"), ("leg", "1", "1")], None, "lines.1.product_id"),
        ([("lamp", "1", "1")], None, "lines.0.product_id"),
        ([("desk", "999999999", "99999999999")], None, "lines.0.unit_price"),
        ([("desk", "100", "99999999999"), ("desk", "100", "99999999999")], None, "lines"),
    ],
)
def test_sa10_a_manual_sale_is_a_sale_or_refused_with_its_field(
    lines: list[tuple[str, str, str]], currency: str | None, outcome: str
) -> None:
    command = RecordManualSale(
        business_id=BUSINESS,
        sale_date=date(2026, 3, 1),
        currency=currency,
        lines=[
            {"product_id": product, "quantity": quantity, "unit_price": price}
            for product, quantity, price in lines
        ],
    )
    products = {(BUSINESS, product.product_id): product for product in GOODS.values()}

    refusal = manual.check(command, products)

    said = f"{manual.content_of(command, products).revenue:f}" if refusal is None else refusal.field
    assert said == outcome


@pytest.mark.parametrize(
    ("versions", "state"),
    [
        ([(1, "a"), (2, "b"), (3, "c")], State.ACTIVE),
        ([(1, "a"), (2, "b"), (3, "void")], State.VOIDED),
        ([(1, "a"), (2, "void"), (3, "b")], State.ACTIVE),
        ([(1, "a"), (2, "fails"), (3, "b")], State.ACTIVE),
    ],
)
def test_sa11_repeated_late_and_out_of_order_versions_end_in_the_newest(
    versions: list[tuple[int, str]], state: State
) -> None:
    for order in permutations([*versions, versions[0]]):
        sale = _applied(*order)

        assert sale.seen_version == 3
        assert sale.state in {state, *([State.TOMBSTONE] if state is State.VOIDED else [])}
        assert sale.update_waiting is False
