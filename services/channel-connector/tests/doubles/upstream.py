"""What the conformance suite does to books, whoever keeps them.

Items are `Walnut Desk` and `Oak Chair`, which are stocked, and `Assembly`, a service.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol

from kauri.service import Answer, KauriService, Row
from quickbooks_sandbox.testing import SandboxClient

Fault = Literal["throttled", "down", "garbled", "revoked"]
Tax = Literal["none", "on-top", "inside"]
Key = tuple[str, str]
"""Kind and id."""


@dataclass(frozen=True, slots=True)
class Sold:
    """One line; without an item it is a charge."""

    item: str | None
    quantity: str
    price: str


CHAIRS = (Sold("Oak Chair", "2", "90.00"),)
COLLECTIONS = {"invoice": "invoices", "credit-memo": "credit-memos"}


class Upstream(Protocol):
    """Books that a person works on."""

    def write(
        self,
        kind: str = "invoice",
        lines: Sequence[Sold] = CHAIRS,
        *,
        day: str = "2026-03-02",
        discount_percent: int = 0,
        tax: Tax = "none",
        rate: str | None = None,
    ) -> Key:
        """Write a document; with a rate it is in a foreign currency: home units for one unit."""

    def edit(self, key: Key, *, quantity: int) -> None:
        """Change the quantity of its first line."""

    def redate(self, key: Key, day: str) -> None:
        """Change its date."""

    def pay(self, key: Key) -> None:
        """Pay an invoice."""

    def void(self, key: Key) -> None:
        """Void it."""

    def delete(self, key: Key) -> None:
        """Delete it."""

    def misreport(self, key: Key) -> None:
        """Let the next list say that it was deleted, though it lives."""

    def spoil(self, key: Key) -> None:
        """Let its lines no longer come to its total."""

    def between_pages(self, changes: Sequence[tuple[str, Key]]) -> None:
        """After each of the next lists of documents, edit, void or delete one; forget others."""

    def fail(self, fault: Fault) -> None:
        """Refuse everything from now on."""

    def mend(self) -> str | None:
        """Answer again; a new refresh token where the old one is dead."""

    def advance(self, days: int) -> None:
        """Let time pass."""

    def live(self) -> dict[Key, str]:
        """Every document that counts, as active or voided."""


class QuickBooksUpstream:
    """The sandbox's company."""

    def __init__(self, sandbox: SandboxClient) -> None:
        self._sandbox = sandbox
        self._revoked = False

    def write(
        self,
        kind: str = "invoice",
        lines: Sequence[Sold] = CHAIRS,
        *,
        day: str = "2026-03-02",
        discount_percent: int = 0,
        tax: Tax = "none",
        rate: str | None = None,
    ) -> Key:
        form: dict[str, object] = {"txn_date": day, "lines": [_quickbooks_line(x) for x in lines]}
        if discount_percent:
            form["discount_percent"] = discount_percent
        if tax != "none":
            form["tax_code"] = "2"
        if tax == "inside":
            form["tax_mode"] = "TaxInclusive"
        self._sandbox.control("PUT", "/clock", {"advance_seconds": 1})
        made = self._sandbox.record(COLLECTIONS[kind], **form)
        key = (kind, made["Id"])
        if rate:
            foreign = {"CurrencyRef": {"value": "EUR"}, "ExchangeRate": rate}
            self._sandbox.change("PUT", f"{self._path(key)}/verbatim", **(made | foreign))
        return key

    def edit(self, key: Key, *, quantity: int) -> None:
        self._sandbox.change("PATCH", self._path(key), qty=quantity)

    def redate(self, key: Key, day: str) -> None:
        self._sandbox.change("PATCH", self._path(key), txn_date=day)

    def pay(self, key: Key) -> None:
        self._sandbox.record("payments", invoice=key[1])

    def void(self, key: Key) -> None:
        self._sandbox.change("POST", f"{self._path(key)}/void")

    def delete(self, key: Key) -> None:
        self._sandbox.change("DELETE", self._path(key))

    def misreport(self, key: Key) -> None:
        form = {"collection": COLLECTIONS[key[0]], "id": key[1]}
        self._sandbox.change("POST", "tombstones", **form)

    def spoil(self, key: Key) -> None:
        row = self._sandbox.change("GET", self._path(key))
        self._sandbox.change("PUT", f"{self._path(key)}/verbatim", **(row | {"TotalAmt": 1}))

    def between_pages(self, changes: Sequence[tuple[str, Key]]) -> None:
        self._sandbox.control("DELETE", "/faults")
        for verb, key in changes:
            path = f"/control/companies/{self._sandbox.realm}/{self._path(key)}"
            actions = {
                "edit": {"method": "PATCH", "path": path, "json": {"qty": 9}},
                "void": {"method": "POST", "path": f"{path}/void"},
                "delete": {"method": "DELETE", "path": path},
            }
            fault = {
                "effect": "change-books",
                "times": 1,
                "match": {"operation": "query", "entity": "Invoice"},
                "actions": [actions[verb]],
            }
            self._sandbox.control("POST", "/faults", fault)

    def fail(self, fault: Fault) -> None:
        if fault == "revoked":
            self._revoked = True
            self._sandbox.change("POST", "tokens/revoke")
            return
        effect = {"throttled": "throttle", "down": "html", "garbled": "truncated"}[fault]
        for operation in ("query", "cdc"):
            match = {"operation": operation}
            self._sandbox.control(
                "POST", "/faults", {"effect": effect, "times": 1_000, "match": match}
            )

    def mend(self) -> str | None:
        self._sandbox.control("DELETE", "/faults")
        if not self._revoked:
            return None
        token: str = self._sandbox.connect()["refresh_token"]
        return token

    def advance(self, days: int) -> None:
        self._sandbox.control("PUT", "/clock", {"advance_seconds": days * 86_400})

    def live(self) -> dict[Key, str]:
        return {
            (kind, row["Id"]): "active" if row["TotalAmt"] else "voided"
            for kind, name in COLLECTIONS.items()
            for row in self._sandbox.control("GET", f"/companies/{self._sandbox.realm}/{name}")
        }

    def _path(self, key: Key) -> str:
        return f"{COLLECTIONS[key[0]]}/{key[1]}"


def _quickbooks_line(line: Sold) -> Mapping[str, Any]:
    if line.item is None:
        amount = Decimal(line.quantity) * Decimal(line.price)
        return {"amount": str(amount), "description": "Charge"}
    return {"item": line.item, "qty": line.quantity, "price": line.price}


CODES = {"Walnut Desk": "DESK", "Oak Chair": "CHAIR", "Assembly": "FIT"}
LISTS = {"invoice": "Invoices", "credit-memo": "CreditNotes"}
ID_OF = {"invoice": "InvoiceID", "credit-memo": "CreditNoteID"}
AMOUNTS = {"none": "NoTax", "on-top": "Exclusive", "inside": "Inclusive"}


class KauriUpstream:
    """Kauri Ledger's organisation."""

    def __init__(self, service: KauriService) -> None:
        self.service = service
        self._revoked = False

    def write(
        self,
        kind: str = "invoice",
        lines: Sequence[Sold] = CHAIRS,
        *,
        day: str = "2026-03-02",
        discount_percent: int = 0,
        tax: Tax = "none",
        rate: str | None = None,
        status: str = "AUTHORISED",
    ) -> Key:
        row = self.service.write(
            LISTS[kind],
            day=date.fromisoformat(day),
            amounts=AMOUNTS[tax],
            status=status,
            currency=("EUR", str(1 / Decimal(rate))) if rate else ("NZD", "1"),
            lines=[
                {
                    "quantity": line.quantity,
                    "price": line.price,
                    "discount": discount_percent,
                    **({"code": CODES[line.item]} if line.item else {}),
                }
                for line in lines
            ],
        )
        return kind, row[ID_OF[kind]]

    def edit(self, key: Key, *, quantity: int) -> None:
        row = self.row(key)
        first, *others = row["_lines"]
        self.service.fill(row, [{**first, "quantity": quantity}, *others])

    def redate(self, key: Key, day: str) -> None:
        self.service.set(self.row(key), DateString=f"{day}T00:00:00")

    def pay(self, key: Key) -> None:
        payment = [{"PaymentID": "p1", "Amount": "1.00"}]
        self.service.set(self.row(key), Status="PAID", Payments=payment, HasAttachments=True)

    def void(self, key: Key) -> None:
        self.service.set(self.row(key), Status="VOIDED")

    def delete(self, key: Key) -> None:
        self.service.set(self.row(key), Status="DELETED")

    def misreport(self, key: Key) -> None:
        row = self.row(key)
        self.delete(key)
        self.service.after_list = [lambda: self.service.set(row, Status="AUTHORISED")]

    def spoil(self, key: Key) -> None:
        self.service.set(self.row(key), Total=Decimal(1))

    def between_pages(self, changes: Sequence[tuple[str, Key]]) -> None:
        verbs = {"edit": lambda k: self.edit(k, quantity=9), "void": self.void}
        verbs["delete"] = self.delete

        def bound(verb: str, key: Key) -> Callable[[], None]:
            return lambda: verbs[verb](key)

        self.service.after_list = [bound(*change) for change in changes]

    def fail(self, fault: Fault) -> None:
        if fault == "revoked":
            self._revoked = True
            self.service.revoke()
            return
        self.service.fault = {
            "throttled": Answer(429, b"", {"Retry-After": "0"}),
            "down": Answer(503, b"<html>Back soon</html>"),
            "garbled": Answer(200, b'{"Invoices": [{"Inv'),
        }[fault]

    def mend(self) -> str | None:
        self.service.fault = None
        if not self._revoked:
            return None
        self.service.refresh_token = "kauri-refresh-anew"
        return self.service.refresh_token

    def advance(self, days: int) -> None:
        self.service.tick(timedelta(days=days))

    def live(self) -> dict[Key, str]:
        return {
            (kind, row_id): "voided" if row["Status"] == "VOIDED" else "active"
            for kind, name in LISTS.items()
            for row_id, row in self.service.lists[name].items()
            if row["Status"] in {"AUTHORISED", "PAID", "VOIDED"}
        }

    def row(self, key: Key) -> Row:
        """The document in the books."""
        return self.service.lists[LISTS[key[0]]][key[1]]
