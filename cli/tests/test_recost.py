"""`recost`: what it asks for, which answer it takes, and what it says of each."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from rich.console import Console
from typer.testing import CliRunner, Result

import local_stack
from chassis.testing import until
from contracts.inventory import ProductRecosted, RecostedSale
from salesync.__main__ import app
from salesync.kafka import records
from salesync.recost import EVENTS, show
from salesync.topics import apply_all

REJECTED = {
    "type": "command-rejected",
    "command": "recost-product",
    "reason": "unknown-product",
    "message": "This business has no product sofa; publish put-product first.",
    "field": "product_id",
    "business_id": "acme",
}


@pytest.fixture
def brokers(stack: local_stack.Stack, monkeypatch: pytest.MonkeyPatch) -> str:
    """A cluster with topics, and no services."""
    apply_all(stack.bootstrap_servers)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", stack.bootstrap_servers)
    return stack.bootstrap_servers


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """Where the command runs while the test plays inventory."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def _run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(
        app, ["recost", "sofa", "--business", "acme", *arguments]
    )


async def _requests(brokers: str) -> list[ConsumerRecord[Any, Any]]:
    return [
        record
        async for record in records(brokers, ["inventory.commands.v1"])
        if record.key == b"acme" and b"recost-product" in (record.value or b"")
    ]


async def test_it_takes_the_answer_to_its_own_command(
    brokers: str, thread: ThreadPoolExecutor
) -> None:
    known = len(await _requests(brokers))
    running = thread.submit(_run, "--from", "2026-01-01", "--dry-run")

    async def asked() -> ConsumerRecord[Any, Any] | None:
        found = await _requests(brokers)
        return found[known] if len(found) > known else None

    request = await until(asked, what="costing again is asked for")
    assert json.loads(request.value or b"") == {
        "type": "recost-product",
        "business_id": "acme",
        "product_id": "sofa",
        "from_date": "2026-01-01",
        "dry_run": True,
    }
    mine = dict(request.headers)["traceparent"] or b""
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all")
    await producer.start()
    try:
        for message, trace in (
            ("no trace", None),
            ("another's", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"),
            ("mine", mine[:36] + b"3" * 16 + b"-01"),
        ):
            body = json.dumps({**REJECTED, "message": message}).encode()
            headers = [] if trace is None else [("traceparent", trace)]
            await producer.send_and_wait(EVENTS, body, key=b"acme", headers=headers)
    finally:
        await producer.stop()
    result = await asyncio.wrap_future(running)
    assert result.exit_code == 1
    assert result.stdout == "The command was rejected: unknown-product.\nmine\n"


async def test_without_an_answer_it_says_that_the_command_stands(brokers: str) -> None:
    assert brokers
    result = await asyncio.to_thread(_run, "--from", "2026-01-01", "--wait-seconds", "1")
    assert isinstance(result.exception, local_stack.StackError)
    assert "had not answered after 1 seconds. The command is published" in str(result.exception)


@pytest.mark.parametrize("day", ["yesterday", "31.01.2026", "0000-01-01", "9999-12-31"])
async def test_a_wrong_date_is_named_before_anything_is_asked(brokers: str, day: str) -> None:
    before = len(await _requests(brokers))
    result = await asyncio.to_thread(_run, "--from", day)
    assert isinstance(result.exception, local_stack.StackError)
    assert "`from_date`" in str(result.exception)
    assert len(await _requests(brokers)) == before


def _outcome(changed: int, *, dry_run: bool) -> ProductRecosted:
    return ProductRecosted(
        business_id="acme",
        product_id="desk",
        from_date=date(2026, 1, 1),
        dry_run=dry_run,
        sales_checked=40,
        sales_changed=changed,
        cost_before=Decimal(1000 * changed),
        cost_after=Decimal("1000.50") * changed,
        lots_changed=2,
        sales=[
            RecostedSale(
                sale_id=f"sale-{number}", cost_before=Decimal(1000), cost_after=Decimal("1000.5")
            )
            for number in range(changed)
        ],
    )


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (
            _outcome(2, dry_run=True),
            [
                "Product desk, sales from 2026-01-01 on: 40 checked.",
                (
                    "2 sales and 2 lots would change; the product's cost in them would go from"
                    " 2,000.00 to 2,001.00 (+1.00)."
                ),
                "Sale      Before     After",
                "sale-0  1,000.00  1,000.50",
                "sale-1  1,000.00  1,000.50",
                "Nothing was written. Leave --dry-run out to change it.",
            ],
        ),
        (
            _outcome(0, dry_run=False),
            [
                "Product desk, sales from 2026-01-01 on: 40 checked.",
                "Nothing changes: every cost follows the calendar already.",
            ],
        ),
    ],
    ids=["dry run", "nothing"],
)
def test_the_effect_is_told_in_words(outcome: ProductRecosted, said: list[str]) -> None:
    page = StringIO()
    show(outcome, Console(file=page, width=160))
    assert [line.rstrip() for line in page.getvalue().splitlines()] == said


def test_a_long_effect_is_cut_and_counted() -> None:
    page = StringIO()
    show(_outcome(25, dry_run=False), Console(file=page, width=160))
    lines = page.getvalue().splitlines()
    assert lines[-3].startswith("sale-19")
    assert lines[-2:] == [
        "… and 5 more.",
        "sale-recosted tells each sale with its old and new cost.",
    ]
