"""A QuickBooks document in our words, or a named reason why not.

The law of this module: the lines, less the discount, plus tax, come to the document's total,
else the document is refused with the difference. Tax is never taken off an amount; amounts of
credit memos stay positive, for the kind carries the sign.
Source: fact sheet sections 4 to 7.
"""

from decimal import Decimal
from typing import Any

from channel_connector.clients.quickbooks import wire
from channel_connector.clients.quickbooks.documents import UNDATED, UNNAMED
from channel_connector.clients.quickbooks.lines import (
    Lines,
    is_statement_charge,
    read_lines,
    share_discount,
    with_charge,
    with_descriptions,
)
from channel_connector.domain.documents import Document, Failure, NormalisedDocument
from contracts.currencies import minor_digits

_ZERO = Decimal(0)
_REPAIR = "Look at the document in QuickBooks and save it again; the next sync tries it anew."
CURRENCY_LETTERS = 3


def normalise(document: Document, home_currency: str | None) -> NormalisedDocument | Failure:
    """The document in our words, or why it cannot be read."""
    number = None
    try:
        row = wire.decode_object(document.payload)
        number = wire.text(row.get("DocNumber"))
        return _normalise(document, row, home_currency)
    except (ValueError, ArithmeticError) as error:
        return Failure(
            "document-invalid", f"The document cannot be read: {error}.", _REPAIR, number
        )


def _normalise(
    document: Document, row: dict[str, Any], home_currency: str | None
) -> NormalisedDocument | Failure:
    number = wire.text(row.get("DocNumber"))
    if wrong := header_fault(document):
        return Failure("document-invalid", f"The document {wrong}.", _REPAIR, number)
    assert document.transaction_date is not None  # noqa: S101  (`header_fault` said so)
    currency = currency_of(row, home_currency)
    rate = exchange_rate(row, currency, home_currency)
    if rate is None and document.status == "voided":
        rate = Decimal(1)
    if rate is None:
        return Failure(
            "exchange-rate-missing",
            f"The document is in {currency}, the books are in {home_currency}, and the document "
            "has no exchange rate.",
            "Set the exchange rate on the document in QuickBooks; the next sync tries it anew.",
            number,
        )
    total = wire.number(row.get("TotalAmt")) or _ZERO
    tax = total_tax(row)
    digits = minor_digits(currency or home_currency)
    lines = balanced_lines(row, total - tax, digits)
    if isinstance(lines, str):
        return Failure("document-invalid", lines, _REPAIR, number)
    customer_id, customer_name = wire.reference(row.get("CustomerRef"))
    return NormalisedDocument(
        key=document.key,
        version=document.version,
        status=document.status,
        number=number,
        customer_id=customer_id,
        customer_name=customer_name,
        transaction_date=document.transaction_date,
        currency=currency or home_currency,
        exchange_rate=rate,
        lines=share_discount(lines, digits),
        total_amount=total,
        tax_amount=tax,
        created_at=document.created_at,
        updated_at=document.updated_at,
    )


def header_fault(document: Document) -> str | None:
    """What a document lacks without which nothing can be said of it."""
    if wire.CUT_MARK in document.payload:
        return "is nested too deeply"
    if document.key.external_id.startswith(UNNAMED):
        return "has no id"
    if document.updated_at == UNDATED:
        return "does not say when it was changed"
    if document.transaction_date is None:
        return "has no valid date"
    return None


def balanced_lines(row: dict[str, Any], net_total: Decimal, digits: int) -> Lines | str:
    """The lines that come to the total less tax, or what is wrong with them.

    Amounts of description lines and of a lone subtotal count only where the total needs them.

    Raises:
        ValueError: a number is none.
    """
    lines = read_lines(row)
    candidates = [lines]
    if lines.descriptions:
        candidates.append(with_descriptions(lines, row))
    if is_statement_charge(row, lines) and lines.lines:
        candidates.append(with_charge(lines))
    tolerance = Decimal(5).scaleb(-digits - 1)
    for candidate in candidates:
        if abs(net_total - candidate.net) <= tolerance:
            return candidate
    unknown = f" Lines of type {', '.join(lines.unknown_types)} are not known." * bool(
        lines.unknown_types
    )
    return (
        f"The lines come to {lines.net:f} after the discount, the total without tax is "
        f"{net_total:f}: a difference of {net_total - lines.net:f}.{unknown}"
    )


def total_tax(row: dict[str, Any]) -> Decimal:
    """The tax in the total.

    Raises:
        ValueError: it is no number.
    """
    detail = row.get("TxnTaxDetail")
    return (wire.number(detail.get("TotalTax")) if isinstance(detail, dict) else None) or _ZERO


def currency_of(row: dict[str, Any], home_currency: str | None) -> str | None:
    """The currency of all amounts; the home currency where the document names none.

    Raises:
        ValueError: it is no currency code.
    """
    code, _ = wire.reference(row.get("CurrencyRef"))
    if code is None:
        return home_currency
    if not (len(code) == CURRENCY_LETTERS and code.isascii() and code.isalpha()):
        raise ValueError("the currency is no code of three letters")
    return code.upper()


def exchange_rate(
    row: dict[str, Any], currency: str | None, home_currency: str | None
) -> Decimal | None:
    """Home units for one unit of the document's currency; None if it is needed and missing.

    A rate on the document always counts; without one, only a foreign currency needs one.

    Raises:
        ValueError: it is no number above 0.
    """
    rate = wire.number(row.get("ExchangeRate"))
    if rate is not None and rate <= 0:
        raise ValueError("the exchange rate is not above 0")
    if rate is None and (home_currency is None or currency in {None, home_currency}):
        return Decimal(1)
    return rate
