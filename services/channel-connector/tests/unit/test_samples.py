"""Recorded QuickBooks answers, all of them: transactions normalise as `samples_expected.txt` says.

The table was written by reading each payload against the rules for lines, tax and currency; the
payloads themselves are not part of this project. `QUICKBOOKS_SAMPLES` names their folder.
"""

import os
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from channel_connector.clients.quickbooks import faults, wire
from channel_connector.clients.quickbooks.documents import (
    ENTITIES,
    ITEM,
    KINDS,
    document_of,
    id_of,
    is_tombstone,
    item_of,
)
from channel_connector.clients.quickbooks.normalise import normalise
from channel_connector.clients.quickbooks.oauth import read_tokens
from channel_connector.domain.documents import Failure, Kind, Line, NormalisedDocument
from channel_connector.provider import InvalidGrantError, SourceError

if "QUICKBOOKS_SAMPLES" not in os.environ:
    pytest.skip(
        "QUICKBOOKS_SAMPLES is not set: it names the folder of the recorded QuickBooks payloads",
        allow_module_level=True,
    )

FOLDER = Path(os.environ["QUICKBOOKS_SAMPLES"])
HTTP_OK = 200
FILES_COUNT = 70


def expectations() -> dict[str, list[str]]:
    """The table: what is expected of each file, line by line."""
    table: dict[str, list[str]] = {}
    for line in (Path(__file__).parent / "samples_expected.txt").read_text().splitlines():
        if line.endswith(".json"):
            table[line] = []
        elif line and not line.startswith("#"):
            table[next(reversed(table))].append(line)
    return table


EXPECTED = expectations()


def test_every_sample_is_in_the_table() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == set(EXPECTED)
    assert len(EXPECTED) == FILES_COUNT


@pytest.mark.parametrize("name", EXPECTED)
def test_sample(name: str) -> None:
    assert list(described(name)) == EXPECTED[name]


def described(name: str) -> Iterator[str]:
    """What the connector makes of a file, in the words of the table."""
    content = (FOLDER / name).read_bytes()
    if name.startswith("oauth-"):
        yield described_tokens(name, content)
        return
    if name.startswith("webhook-"):
        yield "a notification, not an answer"
        return
    status = re.match(r"fault-(\d{3})-", name)
    try:
        body: Any = faults.body_of(int(status[1]) if status else HTTP_OK, content)
    except faults.QuickBooksError as error:
        yield f"{type(error).__name__} {error.code}".rstrip()
        return
    kind = next((k for k in ENTITIES if name.startswith(k.replace("-", "") + "-")), None)
    if kind is not None and "Line" in body:
        body = {ENTITIES[kind]: body}
    if name.startswith("item-") and ITEM not in body:
        body = {ITEM: body}
    found = [line for entity, row in objects(body) for line in described_row(entity, row)]
    yield from found or ["nothing of ours"]


def objects(value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Sales documents and items, wherever they stand in an answer."""
    if isinstance(value, list):
        for member in value:
            yield from objects(member)
    elif isinstance(value, dict):
        for name, member in value.items():
            if name in KINDS or name == ITEM:
                yield from ((name, row) for row in wire.members(member))
            else:
                yield from objects(member)


def described_tokens(name: str, content: bytes) -> str:
    status = 400 if "error" in name else HTTP_OK
    try:
        tokens = read_tokens(status, content)
    except (InvalidGrantError, SourceError) as error:
        return type(error).__name__
    return f"tokens for {tokens.expires_in_seconds} seconds"


def described_row(entity: str, row: dict[str, Any]) -> Iterator[str]:
    if entity == ITEM:
        item = item_of(row)
        yield f"item {item.external_id} {item.kind}"
    elif is_tombstone(row):
        yield f"{KINDS[entity]} {id_of(row)} deleted"
    else:
        yield from described_document(KINDS[entity], row)


def described_document(kind: Kind, row: dict[str, Any]) -> Iterator[str]:
    document = document_of(kind, row)
    outcome = normalise(document, None)
    head = f"{kind} {document.key.external_id} v{document.version} {document.status}"
    if isinstance(outcome, Failure):
        yield f"{head}: {outcome.code}: {outcome.message}"
        return
    assert isinstance(outcome, NormalisedDocument)
    yield (
        f"{head} number {outcome.number or '-'} customer {outcome.customer_id or '-'} "
        f"on {outcome.transaction_date} {outcome.currency or '-'} at {plain(outcome.exchange_rate)}"
        f" total {plain(outcome.total_amount)} tax {plain(outcome.tax_amount)}"
    )
    for line in outcome.lines:
        yield described_line(line)


def described_line(line: Line) -> str:
    what = f"item {line.item_id}" if line.item_id else str(line.skip)
    counted = ""
    if line.quantity is not None:
        counted = f" {plain(line.quantity)} x {plain(line.unit_price)}"
    discount = f" - {plain(line.discount)}" if line.discount else ""
    return f"  {line.line_number}. {what}{counted} = {plain(line.amount)}{discount}"


def plain(value: Decimal | None) -> str:
    """A decimal without trailing zeros."""
    if value is None:
        return "?"
    return format(value.normalize(), "f") if value else "0"
