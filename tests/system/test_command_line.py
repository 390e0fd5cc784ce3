"""The command line against the running system, and what is on the wire against the schemas."""

import json
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from contracts import generate
from contracts.registry import TOPIC_MESSAGES, UnreadableError, WrongValueError, read
from salesync.kafka import records
from salesync.story import BOOKS, REALM, REFRESH_TOKEN

BUSINESS = "corner-shop"
CHANNEL = "corner-shop-quickbooks"
HAD_ERRORS = 2
pytestmark = pytest.mark.timeout(240)


def run(folder: Path, *arguments: str, typed: str = "", code: int = 0) -> str:
    """What a command prints, when it ends with the exit code expected."""
    done = subprocess.run(
        [sys.executable, "-m", "salesync", *arguments, "--data", str(folder)],
        input=typed,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def _sell(addresses: Mapping[str, str], item: str, quantity: int, price: str) -> str:
    """Write an invoice into the sandbox's books; returns its number."""
    answer = httpx.post(
        f"{addresses['QUICKBOOKS_SANDBOX_URL']}{BOOKS}/invoices",
        json={
            "customer": "Harbour View Hotel",
            "txn_date": "2026-03-02",
            "lines": [{"item": item, "qty": quantity, "price": price}],
        },
    )
    answer.raise_for_status()
    return str(answer.json()["DocNumber"])


def _set_up(folder: Path) -> None:
    connection = run(
        folder,
        *("connection", "add", "--business", BUSINESS, "--realm", REALM),
        *("--refresh-token", REFRESH_TOKEN, "--connection-id", "corner-shop-qbo"),
    ).strip()
    assert connection == "corner-shop-qbo"
    own = {"business_id": BUSINESS}
    commands: list[dict[str, Any]] = [
        {"type": "enable-sales-tracking", **own},
        {
            "type": "connect-channel",
            **own,
            "connection_id": connection,
            "channel_type": "accounting",
            "channel_id": CHANNEL,
            "initial_sync_date": "2026-01-01",
        },
        {
            "type": "put-product",
            **own,
            "product_id": "desk",
            "name": "Walnut Desk",
            "product_type": "finished-good",
        },
        {
            "type": "link-item",
            **own,
            "connection_id": connection,
            "item_external_id": "1",
            "product_id": "desk",
        },
    ]
    for number, quantity, unit_cost in ((1, 20, "145.00"), (2, 30, "148.00"), (3, 25, "152.00")):
        commands.append(
            {
                "type": "receive-lot",
                **own,
                "product_id": "desk",
                "quantity": quantity,
                "unit_cost": unit_cost,
                "received_on": f"2026-01-0{number}",
                "lot_number": f"WD-{number}",
                "lot_id": f"corner-shop-wd-{number}",
            }
        )
    lines = "\n".join(json.dumps(command) for command in commands)
    assert "Published 7 messages." in run(folder, "publish", typed=lines)


async def test_a_first_sync_by_commands_alone(folder: Path, addresses: Mapping[str, str]) -> None:
    _set_up(folder)
    number = _sell(addresses, "Walnut Desk", 50, "260.00")
    unlinked = _sell(addresses, "Oak Chair", 2, "95.00")

    summary = json.loads(run(folder, "sync", CHANNEL, "--wait", "--json", code=HAD_ERRORS))
    assert summary["type"] == "sync-completed"
    assert unlinked in [error["number"] for error in summary["errors"]]
    shown = run(folder, "sync", CHANNEL, "--wait", code=HAD_ERRORS)
    assert "0  created" in shown
    assert "skipped: already synced, nothing new" in shown

    found = json.loads(run(folder, "sales", "--business", BUSINESS, "--json"))
    (sale,) = [sale for sale in found if sale["number"] == number]
    taken = [a for line in sale["lines"] for a in line["allocations"]]
    assert sum(Decimal(a["quantity"]) for a in taken) == 50
    assert sum(Decimal(a["quantity"]) * Decimal(a["unit_cost"]) for a in taken) == Decimal(
        sale["cost"]
    )
    assert Decimal(sale["revenue"]) == 13_000
    assert number in run(folder, "sales", "--business", BUSINESS)

    verified = run(folder, "verify", "--business", BUSINESS, "--topics")
    assert verified.startswith("I1   ok")
    assert "invariants and rules hold" in verified
    assert "corner-shop-qbo" in run(folder, "connection", "list")
    assert "The sync was rejected: unknown-channel." in run(
        folder, "sync", "nowhere", "--business", BUSINESS, "--wait", code=1
    )
    assert isinstance(json.loads(run(folder, "dlq", "list", "--json")), list)
    await _assert_everything_published_fits_its_schema(addresses["KAFKA_BOOTSTRAP_SERVERS"])


async def _assert_everything_published_fits_its_schema(brokers: str) -> None:
    """What the services publish, not what people send, is held to the committed schemas."""
    checker = Draft202012Validator.FORMAT_CHECKER
    schemas = {
        place: Draft202012Validator(schema, format_checker=checker)
        for place, schema in generate.load_schemas(generate.ROOT / "schemas").items()
    }
    faults = []
    seen = set()
    async for record in records(brokers, TOPIC_MESSAGES):
        source = dict(record.headers).get("ce_source", b"")
        if source in {b"", b"/salesync"}:
            continue
        assert record.value is not None
        try:
            message = read(record.topic, record.value)
        except (UnreadableError, WrongValueError) as error:
            faults.append(f"{record.topic}: {error}")
            continue
        seen.add(message.type)
        faults += [
            f"{message.type} {list(error.path)}: {error.message}"
            for error in schemas[record.topic, message.type].iter_errors(json.loads(record.value))
        ]
    assert faults == []
    assert {"sale-recorded", "sale-costed", "sync-completed", "transaction-captured"} <= seen
