"""What of a document matters to stock and revenue.

The law of this module: two versions with the same hash move the same goods and earn the same. A
payment, an e-mail, a printed copy or a renamed customer changes no hash.
"""

import json
from decimal import Decimal
from hashlib import sha256

from channel_connector.domain.documents import NormalisedDocument


def content_hash(document: NormalisedDocument) -> str:
    """A hash of status, date, customer, currency, totals and what each line takes and earns."""
    content = [
        document.key.kind,
        document.status,
        document.transaction_date.isoformat(),
        document.customer_id,
        document.currency,
        _text(document.exchange_rate),
        _text(document.total_amount),
        _text(document.tax_amount),
        [
            [
                line.item_id,
                _text(line.quantity),
                _text(line.amount),
                _text(line.discount),
                line.skip,
            ]
            for line in document.lines
        ],
    ]
    return sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def _text(value: Decimal | None) -> str | None:
    """A decimal without regard to how many zeros it was written with."""
    if value is None:
        return None
    return format(value.normalize(), "f") if value else "0"
