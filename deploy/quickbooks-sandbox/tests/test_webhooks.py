"""Webhook deliveries, written out and signed as Intuit does it."""

import json
import os
from pathlib import Path

import pytest
from quickbooks import QuickBooks

from quickbooks_sandbox.testing import SandboxClient
from quickbooks_sandbox.webhooks import sign

EVENTS = [
    {"name": "Invoice", "id": "101", "operation": "Void", "at": "2026-05-01T10:00:00.25-07:00"},
    {"name": "Item", "id": "2", "operation": "Merge", "deleted_id": "5", "realm": "77"},
]


def test_a_classic_delivery_is_signed_over_its_very_bytes(sandbox: SandboxClient) -> None:
    sandbox.fix_clock("2026-05-01T10:00:01-07:00")
    made = sandbox.control("POST", "/webhooks", {"events": EVENTS, "verifier_token": "secret"})
    first, second = json.loads(made["body"])["eventNotifications"]
    assert first["realmId"] == sandbox.realm
    assert first["dataChangeEvent"]["entities"] == [
        {
            "name": "Invoice",
            "id": "101",
            "operation": "Void",
            "lastUpdated": "2026-05-01T17:00:00.250Z",
        }
    ]
    assert second["dataChangeEvent"]["entities"][0]["deletedId"] == "5"
    signature = made["headers"]["intuit-signature"]
    checker = QuickBooks(minorversion=75)
    assert checker.validate_webhook_signature(made["body"], signature, "secret")
    assert not checker.validate_webhook_signature(made["body"] + " ", signature, "secret")


@pytest.mark.parametrize(
    ("times", "text"),
    [
        ("offset", "2026-05-01T10:00:00-07:00"),
        ("offset-without-colon", "2026-05-01T10:00:00-0700"),
    ],
)
def test_classic_times_come_in_three_forms(sandbox: SandboxClient, times: str, text: str) -> None:
    made = sandbox.control("POST", "/webhooks", {"events": EVENTS[:1], "times": times})
    assert f'"lastUpdated":"{text}"' in made["body"]


def test_a_cloudevents_delivery_is_an_array_with_nanoseconds(sandbox: SandboxClient) -> None:
    form = {"events": EVENTS, "format": "cloudevents"}
    made = sandbox.control("POST", "/webhooks", form)
    first, second = json.loads(made["body"])
    assert (first["type"], first["intuitentityid"]) == ("qbo.invoice.voided.v1", "101")
    assert first["time"] == "2026-05-01T17:00:00.250000517Z"
    assert (second["type"], second["intuitaccountid"]) == ("qbo.item.merged.v1", "77")
    assert first["id"] != second["id"]
    again = sandbox.control("POST", "/webhooks", form)
    assert json.loads(again["body"])[0]["id"] == first["id"]


@pytest.mark.skipif(
    "QUICKBOOKS_SAMPLES" not in os.environ,
    reason="QUICKBOOKS_SAMPLES is not set: the folder of recorded QuickBooks payloads is needed",
)
def test_intuits_own_test_vector_gives_its_signature() -> None:
    name = "webhook-classic-offset-without-colon-signed.json"
    text = (Path(os.environ["QUICKBOOKS_SAMPLES"]) / name).read_text(encoding="utf-8")
    compact = json.dumps(json.loads(text), separators=(",", ":")).encode()
    token = "b5771f19b12ddb4bcdb9f08bdc50bc63878a"
    assert sign(compact, token) == "JC2GUwciPmRBwEO7WvrRmKqu9tGOKL8FFallocTFi8Q="
