"""Sales documents as the connector knows them, whichever accounting system they come from.

The law of this module: amounts are exact decimals in the document's currency; a document is either
normalised whole or is a named failure, never a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

Kind = Literal["invoice", "sales-receipt", "credit-memo", "refund-receipt"]
Status = Literal["active", "voided", "deleted"]
Skip = Literal["no-item", "shipping", "gratuity", "description", "subtotal"]
FailureCode = Literal["document-invalid", "exchange-rate-missing"]

KINDS: tuple[Kind, ...] = ("invoice", "sales-receipt", "credit-memo", "refund-receipt")


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """A document within one channel."""

    kind: Kind
    external_id: str


@dataclass(frozen=True, slots=True)
class Document:
    """One version of a document as received: its raw payload, and what is needed to order it.

    `transaction_date` and `created_at` are None where the payload has none that can be read; the
    normaliser then says what is wrong.
    """

    key: DocumentKey
    version: int
    status: Status
    transaction_date: date | None
    created_at: datetime | None
    updated_at: datetime
    payload: bytes


@dataclass(frozen=True, slots=True)
class Item:
    """The accounting system's product; `kind` in kebab-case (`inventory`, `service`, …)."""

    external_id: str
    kind: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `amount` is net of tax, before `discount`, its share of the document discount.

    `skip` says why the document itself lets the line move no goods.
    """

    line_number: int
    amount: Decimal
    item_id: str | None = None
    item_name: str | None = None
    description: str | None = None
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    discount: Decimal = Decimal(0)
    skip: Skip | None = None


@dataclass(frozen=True, slots=True)
class NormalisedDocument:
    """A document in our words. `exchange_rate` is home units for one unit of `currency`."""

    key: DocumentKey
    version: int
    status: Status
    number: str | None
    customer_id: str | None
    customer_name: str | None
    transaction_date: date
    currency: str | None
    exchange_rate: Decimal
    lines: tuple[Line, ...]
    total_amount: Decimal
    tax_amount: Decimal
    created_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a document cannot be normalised; `hint` says what a person can do."""

    code: FailureCode
    message: str
    hint: str
    number: str | None = None


ItemsById = Mapping[str, Item]
