"""QuickBooks' webhooks: whether a delivery is Intuit's, and which companies it is about.

The law of this module: the signature is checked over the raw bytes, in constant time, before
anything is parsed; both forms are read, and of each only the company and the latest time.
Source: Intuit's webhooks page and CloudEvents announcement, fact sheet section 10.
"""

import base64
import hmac
from datetime import datetime
from hashlib import sha256
from typing import Any

from channel_connector.clients.quickbooks import wire

SIGNATURE_HEADER = "intuit-signature"

Notices = dict[str, datetime | None]
"""The latest change of each company; None where a time is missing or cannot be read."""


def is_genuine(body: bytes, signature: str, verifier_token: str) -> bool:
    """Whether the signature is the verifier token's over these bytes."""
    expected = base64.b64encode(hmac.digest(verifier_token.encode(), body, sha256))
    return hmac.compare_digest(expected, signature.encode())


def read_notices(body: bytes) -> Notices:
    """The companies of a delivery: a list is CloudEvents, an object the classic form.

    Raises:
        ValueError: it is neither.
    """
    decoded = wire.decode(body)
    if isinstance(decoded, list):
        pairs = [
            (wire.text(event.get("intuitaccountid")), event.get("time"))
            for event in wire.members(decoded)
        ]
    elif isinstance(decoded, dict) and "eventNotifications" in decoded:
        pairs = [pair for each in wire.members(decoded["eventNotifications"]) for pair in _of(each)]
    else:
        raise ValueError("neither a list of CloudEvents nor `eventNotifications`")
    notices: Notices = {}
    for realm, time in pairs:
        if realm is None:
            continue
        at = wire.instant(time)
        known = notices.get(realm, at)
        notices[realm] = max(known, at) if known and at else None
    return notices


def _of(notification: dict[str, Any]) -> list[tuple[str | None, object]]:
    realm = wire.text(notification.get("realmId"))
    change = notification.get("dataChangeEvent")
    entities = wire.members(change.get("entities")) if isinstance(change, dict) else []
    return [(realm, entity.get("lastUpdated")) for entity in entities] or [(realm, None)]
