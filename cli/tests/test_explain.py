"""`explain`, `lot` and `margins`: what they make of what the services answer."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from local_stack import StackError
from salesync.__main__ import app
from salesync.margins import FORMULA_STARTS, GroupBy, add_up, safe, write_csv

Body = dict[str, Any]


def page(*items: Body) -> Body:
    return {"items": list(items), "next_cursor": None}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What three services answer, by service and path; a list is a page of items."""
    known: dict[str, Any] = {"channel/businesses": page({"business_id": "acme"})}

    def answer(request: httpx.Request) -> httpx.Response:
        place = f"{request.url.host.split('.')[0]}{request.url.path}"
        if request.url.params.get("number") is not None:
            place += f"?number={request.url.params['number']}"
        found = known.get(place)
        if found is None:
            return httpx.Response(404, json={"detail": f"Nothing is at {place}."})
        return httpx.Response(200, json=found)

    monkeypatch.setattr("salesync.http.transport", lambda: httpx.MockTransport(answer))
    for name in ("CHANNEL_CONNECTOR", "SALES_PROCESSOR", "INVENTORY"):
        monkeypatch.setenv(f"{name}_URL", f"http://{name.split('_')[0].lower()}.test/")
    return known


def run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, list(arguments))


LINE = {
    "line_id": "1",
    "line_number": 1,
    "item_external_id": "7",
    "product_id": "desk",
    "product_name": "Walnut Desk",
    "description": None,
    "quantity": "3.5",
    "unit_price": "260.00",
    "amount": "910.00",
    "discount": "10.00",
    "revenue": "972.00",
    "cost": "4.00",
    "allocations": [
        {"lot_id": "lot-1", "lot_number": "WD-1", "quantity": "3", "unit_cost": "1.001"}
    ],
    "shortage": {"quantity": "0.5", "open": "0.5", "unit_cost": "2.00"},
    "skipped_reason": None,
    "flags": ["short"],
}
SHIPPING = {
    **LINE,
    "line_number": 2,
    "product_id": None,
    "product_name": None,
    "description": "Delivery [by van]",
    "item_external_id": None,
    "quantity": None,
    "unit_price": None,
    "allocations": [],
    "shortage": None,
    "skipped_reason": "shipping",
    "flags": [],
}
SALE = {
    "business_id": "acme",
    "sale_id": "sale-1",
    "channel_id": "books",
    "kind": "invoice",
    "external_id": "145",
    "number": "1040",
    "version": 2,
    "revision": 3,
    "status": "active",
    "customer_name": "Blue Door Studio",
    "sale_date": "2026-01-20",
    "currency": "EUR",
    "exchange_rate": "1.08",
    "revenue": "972.00",
    "cost": "4.00",
    "margin": "968.00",
    "margin_percent": "99.59",
    "flags": ["short"],
    "errors": [],
    "lines": [LINE, SHIPPING],
}
REVISION = {
    **SALE,
    "revision": 1,
    "costing": 2,
    "version": 0,
    "cost": "3.00",
    "replaced_at": "2026-01-21T08:30:11Z",
    "lines": [{**LINE, "cost": "3.00", "shortage": None}],
}
CHANGE = {
    "stock_transaction_id": 12,
    "kind": "sale",
    "lot_id": "lot-1",
    "lot_number": "WD-1",
    "received_on": "2026-01-05",
    "quantity": "-3.000000",
    "unit_cost": "1.001",
    "revision": 3,
    "line_id": "1",
    "reason": None,
    "at": "2026-01-21T08:30:11.123Z",
}
DOCUMENT = {
    "channel_id": "books",
    "version": 2,
    "status": "active",
    "received_at": "2026-01-21T08:30:00Z",
    "payload": {"Id": "145", "SyncToken": "2", "CustomerMemo": {"value": "x" * 200}},
}


DESK = {
    "product_id": "desk",
    "item_links": [
        {"connection_id": "elsewhere", "item_external_id": "8"},
        {"connection_id": "quickbooks", "item_external_id": "7"},
    ],
}


@pytest.fixture
def told(answers: dict[str, Any]) -> dict[str, Any]:
    sales = "sales/businesses/acme/sales"
    answers |= {
        f"{sales}/sale-1": SALE,
        f"{sales}?number=1040": page(SALE),
        f"{sales}?number=nine": page(),
        f"{sales}/sale-1/revisions": page(REVISION),
        "inventory/businesses/acme/stock-transactions": page(CHANGE),
        "inventory/businesses/acme/products/desk": DESK,
        "channel/channels/books": {"connection_id": "quickbooks"},
        "channel/businesses/acme/transactions/invoice/145": page(
            {**DOCUMENT, "channel_id": "other", "payload": {"Id": "strange"}}, DOCUMENT
        ),
    }
    return answers


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("name", ["sale-1", "1040"])
def test_a_sale_is_explained(name: str) -> None:
    result = run("explain", name)

    assert result.exit_code == 0, result.output
    shown = result.stdout
    assert max(len(line) for line in shown.splitlines()) <= 80
    for text in (
        "invoice 1040 of 2026-01-20, Blue Door Studio, active",
        "1. Walnut Desk: 3.5 at 260.00, 910.00 EUR",
        "   link used: item 7 of quickbooks is product desk",
        "   revenue 972.00 (less 10.00 discount, times 1.08)",
        "   3 of lot WD-1 received 2026-01-05 at 1.001 = 3.003",
        "   0.5 were not in stock, 0.5 still are not, at the average of 2.00 = 1.00",
        "   cost 4.00 (rounded once from 4.003)",
        "2. Delivery [by van], 910.00 EUR",
        "   not counted: shipping",
        "Revision 1, costing 2 (version 0), active, until 2026-01-21 08:30",
        "   1. Walnut Desk, cost 3.00 (3 of WD-1 at 1.001)",
        "2026-01-21 08:30 sale               3    1         -3      1.001  WD-1",
        "Version 2, active, received 2026-01-21 08:30 (used)",
        ' "SyncToken": "2"',
    ):
        assert text in shown
    assert "strange" not in shown


@pytest.mark.usefixtures("told")
def test_an_explanation_as_json_has_all_parts() -> None:
    explained = json.loads(run("explain", "sale-1", "--business", "acme", "--json").stdout)

    assert explained == {
        "sale": SALE,
        "connection_id": "quickbooks",
        "changed_links": {},
        "revisions": [REVISION],
        "stock_transactions": [CHANGE],
        "documents": [DOCUMENT],
    }


UNLINKED = {"product_id": "desk", "item_links": DESK["item_links"][:1]}
LAMP = {
    "product_id": "lamp",
    "item_links": [{"connection_id": "quickbooks", "item_external_id": "7"}],
}


@pytest.mark.parametrize(
    ("catalogue", "now", "says"),
    [
        (
            [UNLINKED, LAMP],
            "lamp",
            "item 7 is now lamp: this version keeps desk, a later one counts as lamp",
        ),
        (
            [UNLINKED],
            None,
            "item 7 is linked to no product now: this version keeps desk, a later one waits",
        ),
    ],
)
def test_sa4_a_link_that_changed_since_is_told(
    told: dict[str, Any], catalogue: list[Body], now: str | None, says: str
) -> None:
    told |= {
        "inventory/businesses/acme/products": page(*catalogue),
        "inventory/businesses/acme/products/desk": UNLINKED,
    }

    shown = " ".join(run("explain", "sale-1").stdout.split())

    assert "link used: item 7 of quickbooks is product desk" in shown
    assert says in shown
    assert json.loads(run("explain", "sale-1", "--json").stdout)["changed_links"] == {"7": now}


def test_a_sale_recorded_by_hand_has_no_document(told: dict[str, Any]) -> None:
    told["sales/businesses/acme/sales/sale-1"] = {**SALE, "external_id": None, "number": None}

    assert "None: the sale was recorded by hand." in run("explain", "sale-1").stdout


def test_what_is_ambiguous_is_refused_with_the_candidates(told: dict[str, Any]) -> None:
    told["sales/businesses/acme/sales?number=1040"] = page(SALE, {**SALE, "sale_id": "sale-2"})

    error = run("explain", "1040").exception

    assert isinstance(error, StackError)
    assert "2 sales go by 1040: sale-1 of acme, sale-2 of acme." in str(error)


@pytest.mark.usefixtures("told")
def test_a_sale_that_is_not_there_is_said_so() -> None:
    assert "There is no sale nine." in str(run("explain", "nine").exception)


LOT = {
    "lot_id": "lot-1",
    "lot_number": "WD-1",
    "product_id": "desk",
    "received_on": "2026-01-05",
    "quantity_received": "20.000000",
    "quantity_remaining": "17",
    "unit_cost": "1.001",
    "status": "active",
    "sales": [
        {
            "sale_id": "sale-1",
            "line_id": "1",
            "sale_date": "2026-01-20",
            "revision": 3,
            "quantity": "3",
            "returned": "1",
            "unit_cost": "1.001",
        }
    ],
    "returns": [],
}


@pytest.mark.parametrize("name", ["lot-1", "WD-1"])
def test_a_lot_shows_the_sales_that_used_it(told: dict[str, Any], name: str) -> None:
    told |= {
        "inventory/businesses/acme/lots/lot-1": LOT,
        "inventory/businesses/acme/products": page({"product_id": "desk"}),
        "inventory/businesses/acme/products/desk/lots": page(LOT, {**LOT, "lot_number": "WD-2"}),
    }

    result = run("lot", name)

    assert result.exit_code == 0, result.output
    assert "20 received at 1.001, 17 left" in result.stdout
    assert "3 at 1.001, 1 given back: invoice 1040 of 2026-01-20, Blue Door" in result.stdout
    assert json.loads(run("lot", name, "--json").stdout)["lot"] == LOT


def _row(key: str, revenue: str, cost: str, name: str | None = None) -> Body:
    margin = Decimal(revenue) - Decimal(cost)
    return {
        "key": key,
        "name": name,
        "sales": 2,
        "quantity": "3.000000",
        "revenue": revenue,
        "cost": cost,
        "margin": f"{margin:f}",
        "margin_percent": None,
    }


ROWS = (
    _row("desk", "1000.10", "400.05", "Walnut [Desk]"),
    _row("=1+1", "0.00", "12.30", "@SUM(A1)"),
)


@pytest.fixture
def summed(answers: dict[str, Any]) -> dict[str, Any]:
    answers["sales/businesses/acme/margins"] = page(*ROWS)
    return answers


@pytest.mark.usefixtures("summed")
def test_margins_are_shown_with_their_total_and_plotted() -> None:
    result = run("margins", "--by", "product", "--plot")

    assert result.exit_code == 0, result.output
    head, desk, _, total, *plotted = result.stdout.splitlines()
    assert head.split() == ["Product", "Sales", "Quantity", "Revenue", "Cost", "Margin", "%"]
    assert desk.split()[:2] == ["Walnut", "[Desk]"]
    assert total.split() == ["Total", "6", "1,000.10", "412.35", "587.75", "58.77"]
    assert any("█" in line and "600.05" in line for line in plotted)
    assert any("-12.30" in line for line in plotted)
    assert max(len(line) for line in result.stdout.splitlines()) <= 80


@pytest.mark.usefixtures("summed")
def test_margins_as_csv_hold_no_formula(tmp_path: Path) -> None:
    printed = run("margins", "--by", "customer", "--csv", "-").stdout
    file = tmp_path / "margins.csv"
    run("margins", "--by", "customer", "--csv", str(file))

    assert file.read_text(encoding="utf-8") == printed
    _, second = csv.DictReader(io.StringIO(printed))
    assert (second["key"], second["name"]) == ("'=1+1", "'@SUM(A1)")
    assert (second["margin"], second["margin_percent"]) == ("-12.30", "")


@pytest.mark.usefixtures("summed")
def test_a_csv_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    refused = run("margins", "--by", "month", "--csv", str(tmp_path / "no" / "m.csv"))

    assert isinstance(refused.exception, StackError)
    assert "No such file or directory" in str(refused.exception)


@pytest.mark.usefixtures("summed")
def test_margins_as_json_carry_rows_and_total() -> None:
    told = json.loads(run("margins", "--by", "month", "--json").stdout)

    assert [row["key"] for row in told["rows"]] == ["desk", "=1+1"]
    assert told["total"]["sales"] == 4


def test_no_sales_have_no_margin(answers: dict[str, Any]) -> None:
    answers["sales/businesses/acme/margins"] = page()

    assert run("margins", "--by", "month", "--plot").stdout.strip() == "There is no active sale."


amounts = st.decimals(-(10**9), 10**9, places=2).map(lambda amount: f"{amount:f}")


@given(st.lists(st.builds(_row, st.text(), amounts, amounts)), st.sampled_from(GroupBy))
def test_totals_equal_the_sum_of_the_rows(rows: list[Body], by: GroupBy) -> None:
    total = add_up(rows, by)

    for column in ("revenue", "cost", "margin", "quantity"):
        assert Decimal(getattr(total, column)) == sum(Decimal(row[column]) for row in rows)
    assert Decimal(total.margin) == Decimal(total.revenue) - Decimal(total.cost)
    assert (total.margin_percent is None) == (Decimal(total.revenue) == 0)


@given(st.text(), st.none() | st.text(), amounts)
def test_a_csv_reads_back_without_formulas(key: str, name: str | None, amount: str) -> None:
    out = io.StringIO()
    row = {"business_id": "acme", **_row(key, amount, "0.00", name)}
    write_csv([row], out)

    _, cells = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert cells[:3] == ["acme", safe(key), safe(name)]
    assert not any(cell.startswith(FORMULA_STARTS) for cell in cells[:3])
    assert cells[5] == amount
