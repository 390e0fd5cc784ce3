"""Webhook deliveries as Intuit would sign and send them, written out for a test to deliver.

Law: the signature is that of the very bytes in the answer; whoever delivers them decides how often,
how late, in which order and how damaged.
Source: Intuit's webhooks page; the CloudEvents form came with the change of November 2025.
"""

import base64
import hashlib
import hmac
import uuid
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from quickbooks_sandbox import wire
from quickbooks_sandbox.clock import PACIFIC
from quickbooks_sandbox.forms import Form
from quickbooks_sandbox.wire import Document

VERIFIER_TOKEN = "sandbox-verifier-token"  # noqa: S105 - well known on purpose
SOURCE = "intuit.c2FuZGJveC1jbGllbnQ="

Operation = Literal["Create", "Update", "Delete", "Void", "Merge", "Emailed"]
PAST = {
    "Create": "created",
    "Update": "updated",
    "Delete": "deleted",
    "Void": "voided",
    "Merge": "merged",
    "Emailed": "emailed",
}


class EventForm(Form):
    """One thing that happened to one record."""

    name: str = Field(description="Entity, as in Invoice.")
    id: str
    operation: Operation = "Update"
    realm: str | None = Field(None, description="The first company if left out.")
    deleted_id: str | None = Field(None, description="Of a Merge: the record that went away.")
    at: AwareDatetime | None = Field(None, description="Now if left out.")


class WebhookForm(Form):
    """A delivery, of any number of companies."""

    events: list[EventForm] = Field(min_length=1)
    format: Literal["classic", "cloudevents"] = "classic"
    times: Literal["utc", "offset", "offset-without-colon"] = Field(
        "utc", description="How classic deliveries write lastUpdated; all three were recorded."
    )
    verifier_token: str = VERIFIER_TOKEN


def deliver(form: WebhookForm, default_realm: str, now: datetime) -> Document:
    """The delivery's `body` as text, and its `headers`."""
    write = _classic if form.format == "classic" else _cloudevents
    body = wire.encode(write(form, default_realm, now))
    headers = {
        "content-type": "application/json",
        "intuit-signature": sign(body.encode(), form.verifier_token),
        "intuit-created-time": now.astimezone(UTC).isoformat(timespec="seconds"),
        "intuit-t-id": str(uuid.uuid4()),
        "intuit-notification-schema-version": "1.0",
    }
    return {"body": body, "headers": headers}


def sign(body: bytes, verifier_token: str) -> str:
    """The value of `intuit-signature`: base64 of the HMAC-SHA256 of the raw body."""
    digest = hmac.new(verifier_token.encode(), body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _classic(form: WebhookForm, default_realm: str, now: datetime) -> Document:
    by_realm: dict[str, list[Document]] = {}
    for event in form.events:
        entity: Document = {"name": event.name, "id": event.id, "operation": event.operation}
        entity["lastUpdated"] = _written(event.at or now, form.times)
        if event.deleted_id is not None:
            entity["deletedId"] = event.deleted_id
        by_realm.setdefault(event.realm or default_realm, []).append(entity)
    notifications = [
        {"realmId": realm, "dataChangeEvent": {"entities": entities}}
        for realm, entities in by_realm.items()
    ]
    return {"eventNotifications": notifications}


def _cloudevents(form: WebhookForm, default_realm: str, now: datetime) -> list[Document]:
    events = []
    for event in form.events:
        realm = event.realm or default_realm
        moment = (event.at or now).astimezone(UTC).replace(tzinfo=None)
        what = f"qbo.{event.name.lower()}.{PAST[event.operation]}.v1"
        nanoseconds = moment.isoformat(timespec="microseconds") + "517Z"
        name = f"{realm}/{what}/{event.id}/{nanoseconds}"
        data = {"deletedId": event.deleted_id} if event.deleted_id is not None else {}
        events.append(
            {
                "specversion": "1.0",
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
                "source": SOURCE,
                "type": what,
                "datacontenttype": "application/json",
                "time": nanoseconds,
                "intuitentityid": event.id,
                "intuitaccountid": realm,
                "data": data,
            }
        )
    return events


def _written(moment: datetime, times: str) -> str:
    if times == "utc":
        return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    text = moment.astimezone(PACIFIC).isoformat(timespec="seconds")
    return text if times == "offset" else text[:-3] + text[-2:]
