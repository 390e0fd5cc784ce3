"""What the topics prove, on a real broker: a planted fault of each kind is found and named."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer

import local_stack
from salesync import agreement, trail
from salesync.http import Service
from salesync.topics import apply_all

DEAD_LETTERS = "sales.commands.v1.sales-processor.dlq"
REPORTS = ({"service": "sales-processor", "offsets": []},)


class Listing:
    """A sales-processor that lists these sales."""

    def __init__(self, *sales: dict[str, Any]) -> None:
        self._sales = sales

    def items(self, *path: str, **_: object) -> Iterator[dict[str, Any]]:
        return (sale for sale in self._sales if sale["business_id"] == path[1])


def sale(name: str, revision: int = 1, cost: str = "5.00", **more: object) -> dict[str, Any]:
    """A sale of the business that a test is named after."""
    return {
        "business_id": name,
        "sale_id": f"{name}-s",
        "revision": revision,
        "status": "active",
        "cost": cost,
        "flags": [],
        **more,
    }


def event(name: str, revision: int = 1, cost: str = "5.00", **more: object) -> dict[str, Any]:
    return {"type": "sale-recorded", **sale(name, revision, cost, **more)}


@contextmanager
def published(
    stack: local_stack.Stack, *messages: tuple[str, str, Any, dict[str, str]]
) -> Iterator[str]:
    """Topic, key, body and headers of each message, on a broker with all topics."""
    apply_all(stack.bootstrap_servers)

    async def produce() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers, acks="all")
        await producer.start()
        try:
            for topic, key, body, headers in messages:
                await producer.send_and_wait(
                    topic,
                    body if isinstance(body, bytes) else json.dumps(body).encode(),
                    key=key.encode(),
                    headers=[(name, value.encode()) for name, value in headers.items()],
                )
        finally:
            await producer.stop()

    asyncio.run(produce())
    yield stack.bootstrap_servers


def found(
    brokers: str, monkeypatch: pytest.MonkeyPatch, name: str, *sales: dict[str, Any]
) -> list[str]:
    """The violations that name the business of this test, and no other's."""
    monkeypatch.setattr(agreement, "SETTLE_SECONDS_MAX", 0.0)
    checks = trail.events(brokers, cast("Service", Listing(*sales)), [name], REPORTS)
    return [text for check in checks for text in check.violations if name in text]


Sent = tuple[str, str, Any, dict[str, str]]


def of_sales(name: str, *bodies: dict[str, Any]) -> list[Sent]:
    return [
        ("sales.events.v1", name, body, {"ce_id": f"{name}-{number}"})
        for number, body in enumerate(bodies)
    ]


def run_of(name: str, *captured: int, ended: bool = True) -> list[Sent]:
    """The messages of a sync that says it published two transactions, of which these came."""
    ids = {"business_id": name, "sync_id": f"{name}-sync"}
    one = {"type": "transaction-captured", **ids}
    return [
        *(
            ("channels.transactions.v1", name, {**one, "sequence": sequence}, {})
            for sequence in captured
        ),
        (
            "channels.events.v1",
            name,
            {"type": "transactions-published", "published": 2, **ids},
            {},
        ),
        *([("sales.events.v1", name, {"type": "sync-completed", **ids}, {})] if ended else []),
    ]


def test_a_sale_with_its_event_and_a_run_with_its_messages_pass(
    stack: local_stack.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = of_sales("fine", event("fine"), event("fine", 2, "6.00"))
    again = first  # published once more after a crash
    with published(stack, first, second, again, *run_of("fine", 0, 1, 1)) as brokers:
        assert found(brokers, monkeypatch, "fine", sale("fine", 2, "6")) == []


@pytest.mark.parametrize(
    ("name", "messages", "sales", "said"),
    [
        (
            "lost",
            of_sales("lost", event("lost")),
            [sale("lost", 2, "6.00")],
            "is shown as revision 2, active, cost 6.00; its newest event says revision 1, active,",
        ),
        (
            "silent",
            [],
            [sale("silent")],
            "is shown as revision 1, active, cost 5.00; its newest event says nothing",
        ),
        (
            "unknown",
            of_sales("unknown", event("unknown")),
            [],
            "business unknown, sale unknown-s has events, and nobody knows it",
        ),
        (
            "short",
            run_of("short", 1, 1),
            [],
            "sync short-sync published 2 transactions; 1 are there",
        ),
        (
            "endless",
            run_of("endless", 0, 1, ended=False),
            [],
            "sync endless-sync published all its transactions and has no summary",
        ),
    ],
)
def test_what_the_topics_lack_is_named(  # noqa: PLR0917  (a table)
    stack: local_stack.Stack,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    messages: list[Sent],
    sales: list[dict[str, Any]],
    said: str,
) -> None:
    with published(stack, *messages) as brokers:
        (text,) = found(brokers, monkeypatch, name, *sales)
    assert said in text


def test_a_revision_that_goes_down_is_out_of_order(
    stack: local_stack.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = of_sales("back", event("back", 2), event("back", 1))
    with published(stack, *messages) as brokers:
        (text,) = found(brokers, monkeypatch, "back", sale("back"))
    assert text.endswith("revision 1 of sale back-s after revision 2")


def test_a_sale_that_waits_for_its_cost_needs_no_event_yet(
    stack: local_stack.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with published(stack) as brokers:
        assert found(brokers, monkeypatch, "early", sale("early", flags=["cost-pending"])) == []


def test_dead_letters_are_counted_and_one_without_a_reason_is_a_fault(
    stack: local_stack.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "SETTLE_SECONDS_MAX", 0.0)
    why = {"dlq.reason": "made-up", "dlq.message": "It is made up."}
    with published(
        stack,
        (DEAD_LETTERS, "k", b"?", why),
        (DEAD_LETTERS, "k", b"?", {}),
        ("sales.events.v1", "k", b"\xff{", {}),
    ) as brokers:
        checks = trail.events(brokers, cast("Service", Listing()), [], REPORTS)
    letters = next(check for check in checks if check.name == "i10_dead_letters")
    assert f"1 dead letters on {DEAD_LETTERS}: made-up." in letters.notes
    assert any("records are none of ours" in note for note in letters.notes)
    assert any(text.startswith(DEAD_LETTERS) for text in letters.violations)
