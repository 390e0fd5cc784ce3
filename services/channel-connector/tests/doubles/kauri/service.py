"""Kauri Ledger's side: books in memory, answers in bytes.

Law: whatever changes moves `UpdatedDateUTC`, by at least a millisecond; rows never leave a list but
thirty days after they were deleted.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from email.utils import format_datetime
from typing import Any
from uuid import UUID, uuid4

Row = dict[str, Any]

CENT = Decimal("0.01")
TAX_RATE = Decimal(15)
KEPT_DELETED = timedelta(days=30)
ID_FIELDS = {"Invoices": "InvoiceID", "CreditNotes": "CreditNoteID", "Items": "ItemID"}
TENANT = "8f0c3f5e-6d5b-4b0e-9a53-2f0c5a1f7a01"
FIRST_REFRESH_TOKEN = "kauri-refresh-0"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service sends back."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def stamp(instant: datetime) -> str:
    """A time as the service writes it."""
    return f"/Date({round(instant.timestamp() * 1000)}+0000)/"


def cents(value: Decimal) -> Decimal:
    """Rounded as the service rounds."""
    return value.quantize(CENT, rounding=ROUND_HALF_UP)


class KauriService:
    """One organisation's books, its tokens, and what may go wrong."""

    def __init__(self) -> None:
        self.clock = datetime(2026, 6, 1, 10, tzinfo=UTC)
        self.lists: dict[str, dict[str, Row]] = {name: {} for name in ID_FIELDS}
        self.calls = 0
        self.fault: Answer | None = None
        self.after_list: list[Callable[[], None]] = []
        self.refresh_token = FIRST_REFRESH_TOKEN
        self.access_token = ""
        self._issued = 0
        self._numbered = 0
        for code, name, tracked in (
            ("DESK", "Walnut Desk", True),
            ("CHAIR", "Oak Chair", True),
            ("FIT", "Assembly", False),
        ):
            item_id = str(uuid4())
            self.lists["Items"][item_id] = {
                "ItemID": item_id,
                "Code": code,
                "Name": name,
                "IsTrackedAsInventory": tracked,
                "IsSold": True,
            }

    def tick(self, elapsed: timedelta = timedelta(milliseconds=1)) -> datetime:
        """The next moment."""
        self.clock += elapsed
        return self.clock

    def item(self, code: str) -> Row:
        """The item with a code."""
        return next(row for row in self.lists["Items"].values() if row["Code"] == code)

    def write(
        self,
        name: str,
        *,
        lines: list[Row],
        day: date,
        amounts: str = "NoTax",
        status: str = "AUTHORISED",
        kind: str | None = None,
        currency: tuple[str, str] = ("NZD", "1"),
    ) -> Row:
        """Put a document into a list; `lines` have code, quantity, price, discount rate."""
        row_id = str(UUID(int=(self._numbered * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128))
        self._numbered += 1
        row: Row = {
            "Type": kind or ("ACCREC" if name == "Invoices" else "ACCRECCREDIT"),
            ID_FIELDS[name]: row_id,
            ("InvoiceNumber" if name == "Invoices" else "CreditNoteNumber"): (
                f"{'INV' if name == 'Invoices' else 'CN'}-{self._numbered:04}"
            ),
            "Contact": {"ContactID": str(uuid4()), "Name": "Harbour View Hotel"},
            "DateString": f"{day.isoformat()}T00:00:00",
            "Status": status,
            "LineAmountTypes": amounts,
            "CurrencyCode": currency[0],
            "CurrencyRate": currency[1],
            "HasAttachments": False,
            "Payments": [],
        }
        self.lists[name][row_id] = row
        self.fill(row, lines)
        return row

    def fill(self, row: Row, lines: list[Row]) -> None:
        """Give a document other lines, and compute it."""
        row["_lines"] = lines
        made, net, tax = [], Decimal(0), Decimal(0)
        inclusive = row["LineAmountTypes"] == "Inclusive"
        for line in lines:
            if "quantity" not in line:
                made.append({"LineItemID": str(uuid4()), "Description": line["text"]})
                continue
            quantity, price = Decimal(str(line["quantity"])), Decimal(str(line["price"]))
            rate = Decimal(str(line.get("discount", 0)))
            amount = cents(quantity * price * (100 - rate) / 100)
            line_tax = {
                "NoTax": Decimal(0),
                "Exclusive": cents(amount * TAX_RATE / 100),
                "Inclusive": cents(amount * TAX_RATE / (100 + TAX_RATE)),
            }[row["LineAmountTypes"]]
            net += amount - line_tax if inclusive else amount
            tax += line_tax
            made.append(self._line(line, quantity, price, amount, line_tax))
        row |= {"LineItems": made, "SubTotal": net, "TotalTax": tax, "Total": net + tax}
        self._moved(row)

    def _line(
        self, line: Row, quantity: Decimal, price: Decimal, amount: Decimal, tax: Decimal
    ) -> Row:
        made: Row = {
            "LineItemID": str(uuid4()),
            "Description": line.get("text", ""),
            "Quantity": quantity,
            "UnitAmount": price,
            "LineAmount": amount,
            "TaxAmount": tax,
            "AccountCode": "200",
            "Tracking": [],
        }
        if line.get("discount"):
            made["DiscountRate"] = Decimal(str(line["discount"]))
        if code := line.get("code"):
            item = self.item(code)
            made |= {"ItemCode": code, "Item": {k: item[k] for k in ("ItemID", "Name", "Code")}}
        return made

    def _moved(self, row: Row) -> None:
        row["_moved"] = self.tick()
        row["UpdatedDateUTC"] = stamp(row["_moved"])

    def set(self, row: Row, **fields: object) -> None:
        """Change fields of a document."""
        row |= fields
        self._moved(row)

    def token(self, form: dict[str, str]) -> Answer:
        """The token endpoint: every refresh token and every code works once."""
        good = form.get("refresh_token") == self.refresh_token or form.get("code") == "good-code"
        if not good:
            return Answer(400, b'{"error":"invalid_grant"}')
        self._issued += 1
        self.refresh_token = f"kauri-refresh-{self._issued}"
        self.access_token = f"kauri-access-{self._issued}"
        tokens = {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "expires_in": 1800,
        }
        return Answer(200, json.dumps(tokens).encode())

    def revoke(self) -> None:
        """End the consent."""
        self.refresh_token = self.access_token = ""

    def get(self, path: str, token: str, params: dict[str, str] | None = None) -> Answer:
        """Answer a GET; what changes the books afterwards then happens."""
        self.calls += 1
        if not token or token != self.access_token:
            return Answer(401, b"TokenExpired")
        if self.fault:
            return self.fault
        name, _, row_id = path.partition("/")
        if path == "Connections":
            return self._said([{"tenantId": TENANT}])
        if path == "Organisation":
            about = {"Name": "Kauri Joinery", "BaseCurrency": "NZD", "Timezone": "NEWZEALAND"}
            return self._said({"Organisations": [about]})
        if row_id:
            found = self.lists[name].get(row_id)
            return self._said({name: [found]}) if found else Answer(404, b"Not found")
        answer = self._said({name: self._page(name, params or {})})
        if name != "Items" and self.after_list:
            self.after_list.pop(0)()
        return answer

    def _page(self, name: str, params: dict[str, str]) -> list[Row]:
        rows = [row for _, row in sorted(self.lists[name].items()) if self._is_shown(row)]
        if "IDs" in params:
            wanted = set(params["IDs"].split(","))
            return [row for row in rows if row[ID_FIELDS[name]] in wanted]
        if since := params.get("If-Modified-Since"):
            rows = [row for row in rows if row["_moved"] >= datetime.fromisoformat(since)]
        if "page" not in params:
            return rows
        size = int(params["pageSize"])
        start = (int(params["page"]) - 1) * size
        return rows[start : start + size]

    def _is_shown(self, row: Row) -> bool:
        return row.get("Status") != "DELETED" or self.clock - row["_moved"] < KEPT_DELETED

    def _said(self, content: object) -> Answer:
        body = json.dumps(content, default=_plain)
        visible = json.loads(body, object_hook=_without_private)
        headers = {"Date": format_datetime(self.clock.replace(microsecond=0), usegmt=True)}
        return Answer(200, json.dumps(visible).encode(), headers)


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)


def _without_private(row: Row) -> Row:
    return {name: value for name, value in row.items() if not name.startswith("_")}
