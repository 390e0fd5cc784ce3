"""The normaliser, rule by rule."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel_connector.clients.quickbooks import wire
from channel_connector.clients.quickbooks.documents import document_of, item_of, version_of
from channel_connector.clients.quickbooks.normalise import normalise
from channel_connector.domain.content import content_hash
from channel_connector.domain.documents import Failure, Line, NormalisedDocument

Row = dict[str, Any]


def goods(amount: object, item: object = "5", **detail: object) -> Row:
    reference = {} if item is None else {"ItemRef": {"value": item, "name": f"Item {item}"}}
    return {
        "DetailType": "SalesItemLineDetail",
        "Amount": amount,
        "SalesItemLineDetail": {**reference, **detail},
    }


def subtotal(amount: object) -> Row:
    return {"DetailType": "SubTotalLineDetail", "Amount": amount, "SubTotalLineDetail": {}}


def discount(amount: object) -> Row:
    return {
        "DetailType": "DiscountLineDetail",
        "Amount": amount,
        "DiscountLineDetail": {"PercentBased": False},
    }


def description(text: str, amount: object = None) -> Row:
    line: Row = {"DetailType": "DescriptionOnly", "Description": text, "DescriptionLineDetail": {}}
    return line if amount is None else line | {"Amount": amount}


def bundle(*children: Row, amount: object = 0) -> Row:
    return {
        "DetailType": "GroupLineDetail",
        "Amount": amount,
        "GroupLineDetail": {"GroupItemRef": {"value": "49"}, "Quantity": 2, "Line": list(children)},
    }


def invoice(*lines: Row, total: object, **fields: object) -> Row:
    return {
        "Id": "101",
        "SyncToken": "3",
        "DocNumber": "1001",
        "TxnDate": "2026-03-02",
        "CustomerRef": {"value": "7", "name": "Somebody"},
        "MetaData": {
            "CreateTime": "2026-03-02T09:00:00-08:00",
            "LastUpdatedTime": "2026-03-02T09:00:00-08:00",
        },
        "Line": list(lines),
        "TotalAmt": total,
        **fields,
    }


def outcome(row: Row, home: str | None = "USD") -> NormalisedDocument | Failure:
    exact = wire.decode(wire.encode(row))
    return normalise(document_of("invoice", exact), home)


def document(row: Row, home: str | None = "USD") -> NormalisedDocument:
    found = outcome(row, home)
    assert isinstance(found, NormalisedDocument), found
    return found


def failure(row: Row, home: str | None = "USD") -> Failure:
    found = outcome(row, home)
    assert isinstance(found, Failure), found
    return found


def lines_of(row: Row) -> list[tuple[str | None, str, str, str | None]]:
    return [
        (line.item_id, str(line.amount), str(line.discount), line.skip)
        for line in document(row).lines
    ]


def test_tax_is_not_taken_off_an_amount() -> None:
    row = invoice(goods(6000), subtotal(6000), total=6600, TxnTaxDetail={"TotalTax": 600})
    assert lines_of(row) == [("5", "6000", "0", None), (None, "0", "0", "subtotal")]
    assert document(row).tax_amount == 600


@pytest.mark.parametrize(
    ("detail", "fields", "tax"),
    [
        ({"PercentBased": True, "DiscountPercent": 10}, {}, 0),
        ({"PercentBased": False}, {}, 0),
        ({"PercentBased": True, "DiscountPercent": 10}, {"ApplyTaxAfterDiscount": True}, 9),
        ({"PercentBased": True, "DiscountPercent": 10}, {"ApplyTaxAfterDiscount": False}, 10),
        ({"PercentBased": False}, {"GlobalTaxCalculation": "TaxInclusive"}, 9),
    ],
)
def test_a_discount_in_percent_or_fixed_or_after_tax_is_its_amount(
    detail: Row, fields: Row, tax: int
) -> None:
    """When it applies changes the tax, and never what the lines earn."""
    line = discount(10) | {"DiscountLineDetail": detail}
    row = invoice(goods(60), goods(40, "6"), subtotal(100), line, total=90 + tax, **fields)
    found = document(row | {"TxnTaxDetail": {"TotalTax": tax}})
    assert [str(line.discount) for line in found.lines] == ["6.00", "4.00", "0"]
    assert found.tax_amount == tax


@pytest.mark.parametrize("gross", [{"TaxInclusiveAmt": 6600}, {}])
def test_a_line_that_includes_its_tax_earns_its_net_amount(gross: Row) -> None:
    """The gross beside it, which may be absent, counts for nothing."""
    row = invoice(
        goods(6000, Qty=3, UnitPrice=2000, **gross),
        total=6600,
        GlobalTaxCalculation="TaxInclusive",
        TxnTaxDetail={"TotalTax": 600},
    )
    assert lines_of(row) == [("5", "6000", "0", None)]


def test_lines_that_share_an_id_are_lines_of_their_own() -> None:
    same = {"Id": "1", "LineNum": 1}
    row = invoice(
        goods(10, Qty=1) | same,
        bundle(goods(20, "6", Qty=2) | same, goods(30, "7", Qty=3) | same),
        goods(10, Qty=1) | same,
        total=70,
    )
    assert [(line.item_id, int(line.amount)) for line in document(row).lines] == [
        ("5", 10),
        ("6", 20),
        ("7", 30),
        ("5", 10),
    ]


def test_markup_and_reimbursed_expenses_earn_and_move_no_goods() -> None:
    """They name an account, a percentage or a linked expense, and neither item nor quantity."""
    markup = goods(12, None, ItemAccountRef={"value": "45"}, MarkupInfo={"Percent": 10})
    expense = goods(120, None, ItemAccountRef={"value": "45"}) | {
        "LinkedTxn": [{"TxnId": "7", "TxnType": "ReimburseCharge", "TxnLineId": "1"}]
    }
    found = document(invoice(markup, expense, total=132))
    assert [(line.skip, line.quantity, int(line.amount)) for line in found.lines] == [
        ("no-item", None, 12),
        ("no-item", None, 120),
    ]


def test_a_bundle_counts_by_its_children() -> None:
    row = invoice(
        bundle(goods(Decimal("7.96"), Qty=15), goods(Decimal("2.65"), "6", Qty=24)),
        total=Decimal("10.61"),
    )
    assert lines_of(row) == [("5", "7.96", "0", None), ("6", "2.65", "0", None)]


def test_a_bundles_own_amount_is_not_counted_again() -> None:
    row = invoice(bundle(goods(10), goods(5, "6"), amount=15), total=15)
    assert [line.amount for line in document(row).lines] == [10, 5]


def test_shipping_and_gratuity_bear_no_discount() -> None:
    row = invoice(
        goods(50),
        subtotal(50),
        discount(5),
        goods(2, "SHIPPING_ITEM_ID"),
        goods(3, "GRATUITY_ITEM_ID"),
        total=55,
        TxnTaxDetail={"TotalTax": 5},
    )
    assert lines_of(row) == [
        ("5", "50", "5.00", None),
        (None, "0", "0", "subtotal"),
        (None, "2", "0", "shipping"),
        (None, "3", "0", "gratuity"),
    ]


def test_a_line_without_item_bears_discount_and_moves_no_goods() -> None:
    row = invoice(goods(60), goods(40, None), discount(10), total=90)
    assert lines_of(row) == [("5", "60", "6.00", None), (None, "40", "4.00", "no-item")]


def test_quantity_and_price_stay_absent() -> None:
    (line,) = document(invoice(goods(100), total=100)).lines
    assert (line.quantity, line.unit_price) == (None, None)


def test_the_amount_counts_and_not_quantity_times_price() -> None:
    line = goods(Decimal("7.96"), Qty=15, UnitPrice=Decimal("0.5306667"))
    (found,) = document(invoice(line, total=Decimal("7.96"))).lines
    assert (found.amount, found.unit_price) == (Decimal("7.96"), Decimal("0.5306667"))


def test_negative_lines_stay_negative() -> None:
    row = invoice(goods(100, Qty=2), goods(-50, Qty=-1), total=50)
    assert [str(line.amount) for line in document(row).lines] == ["100", "-50"]
    assert [str(line.quantity) for line in document(row).lines] == ["2", "-1"]


def test_description_lines_count_only_where_the_total_needs_them() -> None:
    silent = invoice(goods(10), description("Thank you", 1), total=10)
    assert [line.amount for line in document(silent).lines] == [10, 0]
    counted = invoice(goods(10), description("Extra", 1), total=11)
    assert [line.amount for line in document(counted).lines] == [10, 1]
    assert document(counted).lines[1].skip == "description"


def test_ids_may_be_numbers() -> None:
    row = invoice(goods(10, 5), total=10, Id=101, SyncToken=3, CustomerRef={"value": 7})
    found = document(row)
    assert (found.key.external_id, found.version, found.customer_id) == ("101", 3, "7")
    assert found.lines[0].item_id == "5"


def test_enums_come_in_two_spellings() -> None:
    line = goods(10, Qty=1) | {"DetailType": "SALES_ITEM_LINE_DETAIL"}
    (found,) = document(invoice(line, total=10)).lines
    assert (found.item_id, found.quantity) == ("5", Decimal(1))


def test_a_statement_charge_keeps_its_revenue_in_the_subtotal() -> None:
    row = invoice(subtotal(80), total=80, LinkedTxn=[{"TxnId": "9", "TxnType": "StatementCharge"}])
    assert lines_of(row) == [(None, "80", "0", "subtotal")]


def test_a_lone_subtotal_without_a_statement_charge_is_refused() -> None:
    found = failure(invoice(subtotal(80), total=80))
    assert found.code == "document-invalid"
    assert "a difference of 80" in found.message


def test_lines_that_do_not_come_to_the_total_are_refused_with_the_difference() -> None:
    found = failure(invoice(goods(Decimal("198.99")), total=50))
    assert found.code == "document-invalid"
    assert "a difference of -148.99" in found.message
    assert found.number == "1001"


def test_a_line_of_an_unknown_type_is_named_where_it_breaks_the_total() -> None:
    strange = {"DetailType": "RocketLineDetail", "Amount": 5}
    assert "RocketLineDetail" in failure(invoice(goods(10), strange, total=15)).message


@pytest.mark.parametrize(
    ("fields", "home", "expected"),
    [
        ({}, "USD", ("USD", "1")),
        ({}, None, (None, "1")),
        ({"CurrencyRef": {"value": "USD"}}, "USD", ("USD", "1")),
        ({"CurrencyRef": {"value": "USD"}}, None, ("USD", "1")),
        (
            {"CurrencyRef": {"value": "EUR"}, "ExchangeRate": Decimal("1.0825")},
            "USD",
            ("EUR", "1.0825"),
        ),
        ({"CurrencyRef": {"value": "AUD"}, "ExchangeRate": 1}, None, ("AUD", "1")),
    ],
)
def test_currency_and_rate(fields: Row, home: str | None, expected: tuple[str | None, str]) -> None:
    found = document(invoice(goods(10), total=10, **fields), home)
    assert (found.currency, str(found.exchange_rate)) == expected


def test_a_foreign_currency_without_a_rate_is_refused() -> None:
    found = failure(invoice(goods(10), total=10, CurrencyRef={"value": "EUR"}), "USD")
    assert found.code == "exchange-rate-missing"


def test_a_void_needs_zero_amounts_a_note_and_no_quantity() -> None:
    voided = invoice(goods(0, Qty=0), subtotal(0), total=0, PrivateNote="Voided - was wrong")
    assert document(voided).status == "voided"
    given_away = invoice(goods(0, Qty=2), total=0, PrivateNote="Voided the old price")
    assert document(given_away).status == "active"
    free = invoice(goods(0, Qty=0), total=0)
    assert document(free).status == "active"
    noted = invoice(goods(10, Qty=1), total=10, PrivateNote="Voided last time")
    assert document(noted).status == "active"


def test_a_void_in_a_foreign_currency_needs_no_rate() -> None:
    row = invoice(goods(0, Qty=0), total=0, PrivateNote="Voided", CurrencyRef={"value": "EUR"})
    assert document(row, "USD").status == "voided"


@pytest.mark.parametrize(
    "broken",
    [
        {"TotalAmt": "ten"},
        {"TotalAmt": True},
        {"TotalAmt": "NaN"},
        {"TxnDate": "someday"},
        {"TxnDate": None},
        {"ExchangeRate": 0},
        {"CurrencyRef": {"value": "DOLLARS"}},
        {"TxnTaxDetail": {"TotalTax": {}}},
        {"Line": [goods(10, Qty="many")]},
    ],
)
def test_wrong_values_make_an_error_of_the_document(broken: Row) -> None:
    row = invoice(goods(10), total=10) | broken
    assert failure(row).code == "document-invalid"


@pytest.mark.parametrize("lines", ["text", 7, None, [1, "x", None], {"DetailType": 5}])
def test_lines_of_the_wrong_shape_make_an_error(lines: object) -> None:
    assert failure(invoice(total=10) | {"Line": lines}).code == "document-invalid"


def test_more_lines_than_any_document_has_are_refused() -> None:
    row = invoice(*[goods(1)] * 5_001, total=5_001)
    assert "more than 5000 lines" in failure(row).message


def test_text_loses_what_no_database_holds() -> None:
    row = invoice(goods(10), total=10, DocNumber="10\x0001", CustomerRef={"value": "7"})
    assert document(row).number == "1001"


def test_sync_tokens_are_numbers() -> None:
    assert [version_of({"SyncToken": token}) for token in ("10", "9", 4, "x", None)] == [
        10,
        9,
        4,
        0,
        0,
    ]


def test_item_kinds_are_written_with_hyphens() -> None:
    kinds = [item_of({"Id": 1, "Type": kind}).kind for kind in ("NonInventory", "Service")]
    assert kinds == ["non-inventory", "service"]


def hash_of(row: Row) -> str:
    return content_hash(document(row))


def test_payments_emails_and_renames_change_no_hash() -> None:
    before = invoice(goods(100, Qty=2), total=100, Balance=100, EmailStatus="NotSet")
    after = invoice(
        goods(Decimal("100.00"), Qty=Decimal("2.0")),
        total=Decimal("100.00"),
        Balance=0,
        EmailStatus="EmailSent",
        PrivateNote="called",
        SyncToken="4",
        CustomerRef={"value": "7", "name": "Somebody Else"},
    )
    assert hash_of(before) == hash_of(after)


@pytest.mark.parametrize(
    "after",
    [
        invoice(goods(100, Qty=3), total=100),
        invoice(goods(100, "6", Qty=2), total=100),
        invoice(goods(90, Qty=2), total=90),
        invoice(goods(100, Qty=2), total=100, TxnDate="2026-03-03"),
        invoice(goods(100, Qty=2), total=100, CustomerRef={"value": "8"}),
        invoice(goods(110, Qty=2), discount(10), total=100),
    ],
)
def test_what_moves_goods_or_revenue_changes_the_hash(after: Row) -> None:
    assert hash_of(invoice(goods(100, Qty=2), total=100)) != hash_of(after)


ITEMS = ("5", "6", None, "SHIPPING_ITEM_ID", "GRATUITY_ITEM_ID")
BESIDE_SUBTOTAL = ("SHIPPING_ITEM_ID", "GRATUITY_ITEM_ID")
priced = st.tuples(st.sampled_from(ITEMS), st.integers(-500_00, 5_000_00))


@given(
    priced=st.lists(priced, max_size=10),
    bundles=st.lists(st.lists(st.integers(0, 900_00), min_size=1, max_size=4), max_size=2),
    described=st.lists(st.integers(0, 50_00), max_size=2),
    percent=st.integers(min_value=0, max_value=100),
    tax=st.integers(0, 500_00),
    currency=st.sampled_from([("USD", 2), ("JPY", 0), ("KWD", 3)]),
)
def test_lines_and_tax_come_to_the_total(
    *,
    priced: list[tuple[str | None, int]],
    bundles: list[list[int]],
    described: list[int],
    percent: int,
    tax: int,
    currency: tuple[str, int],
) -> None:
    """What goods earn, what is skipped and the tax; shares of the discount add up to its unit."""
    code, digits = currency

    def money(minor: int) -> Decimal:
        return Decimal(minor).scaleb(-digits)

    bearing = [amount for item, amount in priced if item not in BESIDE_SUBTOTAL]
    base = sum(bearing) + sum(map(sum, bundles))
    off = money(base * percent // 100 if any(bearing) or base else 0)
    net = sum(amount for _, amount in priced) + sum(map(sum, bundles))
    row = invoice(
        *(goods(money(amount), item) for item, amount in priced),
        *(bundle(*(goods(money(amount)) for amount in one)) for one in bundles),
        *(description("Thank you", money(amount)) for amount in described),
        subtotal(money(base)),
        discount(off),
        total=money(net + tax) - off,
        TxnTaxDetail={"TotalTax": money(tax)},
        CurrencyRef={"value": code},
        ExchangeRate=1,
    )
    found = document(row)
    earned = sum((line.amount - line.discount for line in found.lines if not line.skip), Decimal(0))
    skipped = sum((line.amount - line.discount for line in found.lines if line.skip), Decimal(0))
    assert earned + skipped + found.tax_amount == found.total_amount
    shares = [line.discount for line in found.lines]
    assert sum(shares, Decimal(0)) == off
    assert all(share == round(share, digits) for share in shares)
    assert not any(line.discount for line in found.lines if line.skip in {"shipping", "gratuity"})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    ),
    st.sampled_from(
        ["Line", "TotalAmt", "CustomerRef", "TxnTaxDetail", "CurrencyRef", "LinkedTxn"]
    ),
)
def test_no_payload_breaks_the_normaliser(value: object, name: str) -> None:
    row = invoice(goods(10), total=10) | {name: value}
    assert isinstance(normalise(document_of("invoice", row), "USD"), NormalisedDocument | Failure)


def test_lines_are_numbered_in_order() -> None:
    row = invoice(bundle(goods(1), goods(2)), goods(3), subtotal(6), total=6)
    lines: tuple[Line, ...] = document(row).lines
    assert [line.line_number for line in lines] == [1, 2, 3, 4]
