"""A Kauri document in the connector's words.

The laws of this module: what a line earns is its amount less the tax inside it; discounts are in
the lines' amounts already; the rate is foreign units for one home unit, so it is turned round.
"""

import json
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, DecimalException
from typing import Any

from channel_connector.domain.documents import (
    Document,
    Failure,
    Line,
    NormalisedDocument,
)

RATE_STEP = Decimal("1e-12")
HINT = "Correct the document in Kauri Ledger; the next sync tries it anew."


def moment(text: str) -> datetime:
    """A time as the service writes it: `/Date(1772445600000+0000)/`."""
    return datetime.fromtimestamp(milliseconds(text) / 1000, UTC)


def milliseconds(text: str) -> int:
    """The same as a number that grows with every change: a document's version."""
    return int(text.removeprefix("/Date(").partition("+")[0])


def day(text: str) -> date:
    """A date as the service writes it."""
    return date.fromisoformat(text.partition("T")[0])


def normalise(document: Document, home_currency: str | None) -> NormalisedDocument | Failure:
    """A stored document, or what is wrong with it."""
    row = json.loads(document.payload, parse_float=Decimal)
    number = row.get("InvoiceNumber") or row.get("CreditNoteNumber")
    try:
        return _read(document, row, number, home_currency)
    except (KeyError, TypeError, DecimalException) as error:
        text = f"The document cannot be read ({type(error).__name__})."
        return Failure("document-invalid", text, HINT, number)


def _read(
    document: Document, row: dict[str, Any], number: str | None, home_currency: str | None
) -> NormalisedDocument | Failure:
    assert document.transaction_date is not None
    total, tax = Decimal(row["Total"]), Decimal(row["TotalTax"])
    inclusive = row["LineAmountTypes"] == "Inclusive"
    lines = tuple(
        line_of(place, line, inclusive=inclusive) for place, line in enumerate(row["LineItems"], 1)
    )
    earned = sum((line.amount for line in lines), Decimal(0))
    if earned + tax != total:
        text = f"The lines and the tax differ from the total by {total - tax - earned}."
        return Failure("document-invalid", text, HINT, number)
    rate = Decimal(row["CurrencyRate"])
    if row["CurrencyCode"] != home_currency and not rate:
        text = f"The document is in {row['CurrencyCode']} and has no rate."
        return Failure("exchange-rate-missing", text, HINT, number)
    return NormalisedDocument(
        key=document.key,
        version=document.version,
        status=document.status,
        number=number,
        customer_id=row["Contact"]["ContactID"],
        customer_name=row["Contact"]["Name"],
        transaction_date=document.transaction_date,
        currency=row["CurrencyCode"],
        exchange_rate=(1 / rate).quantize(RATE_STEP, rounding=ROUND_HALF_EVEN),
        lines=lines,
        total_amount=total,
        tax_amount=tax,
        created_at=None,
        updated_at=document.updated_at,
    )


def line_of(place: int, line: dict[str, Any], *, inclusive: bool) -> Line:
    """A line; one that only describes has no amount, one booked to an account has no item."""
    if "LineAmount" not in line:
        return Line(place, Decimal(0), description=line["Description"], skip="description")
    item = line.get("Item")
    amount = Decimal(line["LineAmount"])
    return Line(
        line_number=place,
        amount=amount - Decimal(line["TaxAmount"]) if inclusive else amount,
        item_id=item["ItemID"] if item else None,
        item_name=item["Name"] if item else None,
        description=line["Description"],
        quantity=Decimal(line["Quantity"]),
        unit_price=Decimal(line["UnitAmount"]),
        skip=None if item else "no-item",
    )
