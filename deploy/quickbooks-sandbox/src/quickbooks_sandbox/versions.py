"""Versions and balances: what every modification of a record has in common.

Law: MetaData, SyncToken and Balance are written here and nowhere else trusted.
"""

from dataclasses import dataclass
from decimal import Decimal

from quickbooks_sandbox import faults, sales
from quickbooks_sandbox.books import Books, Row
from quickbooks_sandbox.clock import Clock, seconds_text
from quickbooks_sandbox.entities import CREDIT_MEMO, CUSTOMER, INVOICE
from quickbooks_sandbox.sales import decimal_of
from quickbooks_sandbox.switches import Switches
from quickbooks_sandbox.wire import Document

LAST_MODIFIED_BY = {"value": "9130350000000001"}


@dataclass(frozen=True)
class Desk:
    """Where a company's books are kept: books, clock and the switches that apply."""

    books: Books
    clock: Clock
    switches: Switches


def check_token(row: Row, body: Document) -> None:
    """Refuse a write whose SyncToken is missing (2020) or not the latest (5010)."""
    token = body.get("SyncToken")
    if token is None or token == "":
        raise faults.missing("SyncToken")
    if str(token) != str(row.sync_token):
        raise faults.stale("Cedar Bookkeeper")


def stamp(document: Document, created: int, updated: int, *, modifier: bool) -> None:
    """Write MetaData as QuickBooks Online does."""
    meta: Document = {"CreateTime": seconds_text(created)}
    if modifier:
        meta["LastModifiedByRef"] = LAST_MODIFIED_BY
    document["MetaData"] = meta | {"LastUpdatedTime": seconds_text(updated)}


def settle(books: Books, row: Row) -> None:
    """Set a sale's balance from its total, its deposit and the payments applied to it."""
    document = row.document
    applied = sum(books.applied.get((row.entity.name, row.id), {}).values(), Decimal(0))
    balance = document["TotalAmt"] - document.get("Deposit", 0) - applied
    if row.entity not in (INVOICE, CREDIT_MEMO):
        balance = Decimal(0)
    document["Balance"] = balance
    if row.entity is CREDIT_MEMO:
        document["RemainingCredit"] = balance
    if "HomeTotalAmt" in document:
        rate = decimal_of(document["ExchangeRate"], "ExchangeRate")
        document["HomeTotalAmt"] = sales.cents(document["TotalAmt"] * rate)
        if row.entity is INVOICE:
            document["HomeBalance"] = sales.cents(balance * rate)


def owe(books: Books, customer_id: str, amount: Decimal) -> None:
    """Raise what a customer owes; it moves neither version nor time."""
    row = books.find(CUSTOMER, customer_id)
    if row is None or row.verbatim or not amount:
        return
    for name in ("Balance", "BalanceWithJobs"):
        row.document[name] = decimal_of(row.document.get(name, 0), name) + amount
    books.touch_text(row)
