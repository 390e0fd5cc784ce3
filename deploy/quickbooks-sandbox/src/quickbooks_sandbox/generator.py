"""Any number of realistic sales, the same ones for the same seed.

Law: dates, customers, items, quantities and prices depend on the seed and the form alone; only the
times of writing come from the clock.
"""

import random
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal

from pydantic import Field

from quickbooks_sandbox import bookkeeping, lists
from quickbooks_sandbox.clock import PACIFIC
from quickbooks_sandbox.entities import (
    CREDIT_MEMO,
    CUSTOMER,
    INVOICE,
    ITEM,
    REFUND_RECEIPT,
    SALES_RECEIPT,
    Entity,
)
from quickbooks_sandbox.forms import Form, discount_line, item_row
from quickbooks_sandbox.sales import cents, decimal_of
from quickbooks_sandbox.versions import Desk, owe
from quickbooks_sandbox.wire import Document

KINDS = {
    "invoices": INVOICE,
    "sales-receipts": SALES_RECEIPT,
    "credit-memos": CREDIT_MEMO,
    "refund-receipts": REFUND_RECEIPT,
}
WOODS = ("Walnut", "Oak", "Ash", "Beech", "Cherry", "Maple", "Pine", "Elm", "Larch", "Cedar")
THINGS = ("Desk", "Chair", "Bench", "Shelf", "Stool", "Table", "Chest", "Frame", "Tray", "Lamp")
TRADES = (
    "Bakery",
    "Books",
    "Dental",
    "Hotel",
    "Studio",
    "School",
    "Museum",
    "Florist",
    "Law",
    "Inn",
)


class GenerateForm(Form):
    """What to generate."""

    count: int = Field(ge=1, le=1_000_000)
    lines: int = Field(3, ge=1, le=750, description="Item lines on each sale.")
    seed: int = 1
    realm: str | None = Field(None, description="The first company if left out.")
    kinds: dict[Literal["invoices", "sales-receipts", "credit-memos", "refund-receipts"], int] = (
        Field({"invoices": 1}, description="Kinds to their weights.", min_length=1)
    )
    first_date: date = date(2025, 1, 1)
    last_date: date = date(2025, 12, 31)
    items: list[str] = Field(
        default_factory=list, description="Items by name or id; every sellable one if left out."
    )
    new_items: int = Field(0, ge=0, le=100_000, description="Inventory items to make and sell.")
    new_customers: int = Field(0, ge=0, le=100_000)
    discount_share: float = Field(0.1, ge=0, le=1, description="Share with a percent discount.")
    quantity_max: int = Field(10, ge=1)
    written: Literal["now", "txn-date"] = Field(
        "now", description="Whether LastUpdatedTime is now or an hour of the transaction's day."
    )
    per_second: int = Field(
        0, ge=0, description="With written=now: so many rows to a second, ending now; 0 is all."
    )


def generate(desk: Desk, form: GenerateForm) -> dict[str, int]:
    """Record the sales; how many of each kind.

    Raises: FormError for an unknown item.
    """
    rng = random.Random(form.seed)  # noqa: S311 - a repeatable draw, not a secret
    items = _items(desk, form, rng)
    customers = _customers(desk, form, rng)
    days = (form.last_date - form.first_date).days + 1
    dates = sorted(form.first_date + timedelta(rng.randrange(days)) for _ in range(form.count))
    names = list(form.kinds)
    kinds = rng.choices(names, [form.kinds[name] for name in names], k=form.count)
    now = desk.clock.second()
    taken: dict[str, Decimal] = {}
    owed: dict[str, Decimal] = {}
    for place, (day, kind) in enumerate(zip(dates, kinds, strict=True)):
        body = _sale(form, rng, items, customers)
        body["TxnDate"] = day.isoformat()
        at = _written(form, rng, day, now, place)
        row = bookkeeping.create_sale(desk, KINDS[kind], body, at=at, move_lists=False)
        row.body()  # written now, so that the first query does not pay for it
        _count(row.entity, row.document, taken, owed)
    bookkeeping.take_stock(desk.books, taken, now)
    for customer, amount in owed.items():
        owe(desk.books, customer, amount)
    return {name: kinds.count(name) for name in names}


def _items(desk: Desk, form: GenerateForm, rng: random.Random) -> list[Document]:
    chosen = [item_row(desk, name).document for name in form.items]
    for _ in range(form.new_items):
        number = len(desk.books.table(ITEM).rows) + 1
        price = Decimal(rng.randrange(800, 60_000)) / 100
        body = {
            "Name": f"{rng.choice(WOODS)} {rng.choice(THINGS)} {number:05d}",
            "Sku": f"GEN-{number:05d}",
            "Type": "Inventory",
            "UnitPrice": price,
            "PurchaseCost": cents(price * Decimal("0.55")),
            "QtyOnHand": 1000,
            "InvStartDate": form.first_date.isoformat(),
        }
        chosen.append(lists.create(desk, ITEM, body).document)
    if chosen:
        return chosen
    rows = desk.books.table(ITEM).rows.values()
    sellable = {"Inventory", "NonInventory", "Service"}
    return [
        row.document
        for row in rows
        if row.document["Type"] in sellable and row.document["Active"] is not False
    ]


def _customers(desk: Desk, form: GenerateForm, rng: random.Random) -> list[str]:
    table = desk.books.table(CUSTOMER)
    for _ in range(form.new_customers):
        number = len(table.rows) + 1
        name = f"{rng.choice(WOODS)} Street {rng.choice(TRADES)} {number:05d}"
        lists.create(desk, CUSTOMER, {"DisplayName": name})
    return list(table.rows)


def _sale(
    form: GenerateForm, rng: random.Random, items: list[Document], customers: list[str]
) -> Document:
    lines = []
    for _ in range(form.lines):
        item = rng.choice(items)
        qty = Decimal(rng.randint(1, form.quantity_max))
        if item["Type"] == "Service":
            qty /= 2
        price = decimal_of(item.get("UnitPrice", 0), "UnitPrice")
        detail = {"ItemRef": {"value": item["Id"]}, "Qty": qty, "UnitPrice": price}
        line = {"Amount": cents(qty * price), "DetailType": "SalesItemLineDetail"}
        if "Description" in item:
            line["Description"] = item["Description"]
        lines.append(line | {"SalesItemLineDetail": detail})
    if rng.random() < form.discount_share:
        lines.append(discount_line(Decimal(rng.choice((5, 10, 15))), None))
    return {"CustomerRef": {"value": rng.choice(customers)}, "Line": lines}


def _written(form: GenerateForm, rng: random.Random, day: date, now: int, place: int) -> int:
    if form.written == "txn-date":
        opened = datetime.combine(day, time(8), PACIFIC)
        return min(now, int(opened.timestamp()) + rng.randrange(10 * 3600))
    behind = (form.count - 1 - place) // form.per_second if form.per_second else 0
    return now - behind


def _count(
    entity: Entity, document: Document, taken: dict[str, Decimal], owed: dict[str, Decimal]
) -> None:
    for item, quantity in bookkeeping.stock_taken(entity, document).items():
        taken[item] = taken.get(item, Decimal(0)) + quantity
    customer, sign = document["CustomerRef"]["value"], -1 if entity is CREDIT_MEMO else 1
    owed[customer] = owed.get(customer, Decimal(0)) + sign * document["Balance"]
