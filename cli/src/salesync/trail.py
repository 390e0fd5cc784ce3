"""What the topics prove (I10): that what was applied is there, and that every sale has its event.

The law of this module: a record counts by its `ce_id`, at the first place where it stands, since a
crash publishes records again.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from contracts.topics import SERVICES, dead_letter_topic, load
from salesync.agreement import Check, settled
from salesync.http import Service
from salesync.kafka import consuming, partitions_of, records_of_all, talk

TOPICS = "topics"
SALES = "sales.events.v1"
CHANNELS = "channels.events.v1"
TRANSACTIONS = "channels.transactions.v1"
WHOLE_SALES = ("sale-recorded", "sale-updated", "sale-voided", "sale-recosted")
VIOLATIONS_MAX = 20

SaleKey = tuple[str, str]
RunKey = tuple[str, str]
"""Business and sync."""
Shown = tuple[int, str, Decimal]
"""Revision, status and cost of a sale."""


def offsets(brokers: str, reports: Sequence[Mapping[str, Any]]) -> Check:
    """What a service says it applied is within what its topics hold."""
    applied = {
        (report["service"], TopicPartition(at["topic"], at["partition"])): at["next_offset"]
        for report in reports
        for at in report["offsets"]
    }
    bounds = talk(brokers, _bounds(brokers, {place for _, place in applied}))
    violations, behind = [], 0
    for (service, place), offset in sorted(applied.items()):
        where = f"{service}: {place.topic}, partition {place.partition}"
        if place not in bounds:
            violations.append(f"{where}: applied up to {offset}, and there is no such partition")
            continue
        beginning, end = bounds[place]
        behind += max(0, end - max(offset, beginning))
        if offset > end:
            violations.append(f"{where}: applied up to {offset}, and the topic ends at {end}")
        elif offset < beginning:
            violations.append(
                f"{where}: applied up to {offset}, and the topic begins at {beginning}"
            )
    return Check(
        TOPICS,
        "I10",
        "what was applied is within what the topics hold",
        violations,
        name="i10_offsets",
        notes=[f"{behind} records were not applied yet when the services were asked."]
        if behind
        else [],
    )


async def _bounds(
    brokers: str, places: Iterable[TopicPartition]
) -> dict[TopicPartition, tuple[int, int]]:
    """The first offset and the end of those partitions that exist."""
    wanted = set(places)
    there = [
        one for one in await partitions_of(brokers, {p.topic for p in wanted}) if one in wanted
    ]
    if not there:
        return {}
    async with consuming(brokers, there) as consumer:
        beginnings = await consumer.beginning_offsets(there)
        ends = await consumer.end_offsets(there)
    return {place: (beginnings[place], ends[place]) for place in there}


@dataclass
class _Told:
    """What the topics tell, read from their start."""

    sales: dict[SaleKey, Shown] = field(default_factory=dict)
    disorder: list[str] = field(default_factory=list)
    captured: dict[RunKey, set[int]] = field(default_factory=lambda: defaultdict(set))
    published: dict[RunKey, int] = field(default_factory=dict)
    ended: set[RunKey] = field(default_factory=set)
    letters: Counter[tuple[str, str]] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    unreadable: int = 0
    _ids: set[str] = field(default_factory=set)
    _partitions: dict[tuple[str, bytes | None], int] = field(default_factory=dict)

    def read(self, record: ConsumerRecord[Any, Any]) -> None:
        """Take in a record of one of the topics that are read."""
        headers = {
            name: (value or b"").decode("utf-8", "replace") for name, value in record.headers
        }
        if record.topic.endswith(".dlq"):
            self._letter(record, headers)
            return
        identity = headers.get("ce_id")
        if identity is not None:
            if identity in self._ids:
                return
            self._ids.add(identity)
        first = self._partitions.setdefault((record.topic, record.key), record.partition)
        place = f"{record.topic}/{record.partition}/{record.offset}"
        if first != record.partition:
            self.disorder.append(f"{place}: its key also stands in partition {first}")
        try:
            self._message(place, json.loads(record.value or b""))
        except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
            self.unreadable += 1

    def _letter(self, record: ConsumerRecord[Any, Any], headers: dict[str, str]) -> None:
        reason = headers.get("dlq.reason", "")
        self.letters[record.topic, reason] += 1
        if not reason or not headers.get("dlq.message"):
            self.unexplained.append(f"{record.topic}/{record.partition}/{record.offset}: no reason")

    def _message(self, place: str, body: dict[str, Any]) -> None:
        kind = body["type"]
        if kind in WHOLE_SALES:
            key = body["business_id"], body["sale_id"]
            shown = int(body["revision"]), str(body["status"]), Decimal(body["cost"])
            before = self.sales.get(key)
            if before is not None and before[0] > shown[0]:
                self.disorder.append(
                    f"{place}: revision {shown[0]} of sale {key[1]} after revision {before[0]}"
                )
            self.sales[key] = shown
        elif kind == "transaction-captured":
            self.captured[body["business_id"], body["sync_id"]].add(int(body["sequence"]))
        elif kind == "transactions-published":
            self.published[body["business_id"], body["sync_id"]] = int(body["published"])
        elif kind in ("sync-completed", "sync-failed"):
            self.ended.add((body["business_id"], body["sync_id"]))


def events(
    brokers: str, processor: Service, names: Sequence[str], reports: Sequence[Mapping[str, Any]]
) -> list[Check]:
    """Every sale has its newest event, every run its transactions, every dead letter its reason."""
    began = time.monotonic()
    told = _Told()

    def find() -> list[str]:
        nonlocal told
        shown = {key: sale for name in names for key, sale in _shown(processor, name)}
        told = talk(brokers, _read_all(brokers))
        return [*_missing_events(told, shown, set(names)), *_missing_transactions(told, set(names))]

    missing = settled(find)
    letters = [
        f"{count} dead letters on {topic}: {reason or 'no reason'}."
        for (topic, reason), count in sorted(told.letters.items())
    ]
    if told.unreadable:
        letters.append(f"{told.unreadable} records are none of ours; consumers set them apart.")
    seconds = round(time.monotonic() - began, 3)
    applied = {report["service"] for report in reports}
    return [
        _check(
            "i10_events",
            "every sale has its newest event, every run its messages",
            missing,
            seconds=seconds,
        ),
        _check("i10_order", "messages of a key stand in one partition, in order", told.disorder),
        _check(
            "i10_dead_letters",
            f"every dead letter of {', '.join(sorted(applied))} says why",
            told.unexplained,
            notes=letters,
        ),
    ]


def _check(
    name: str,
    description: str,
    violations: list[str],
    *,
    seconds: float = 0.0,
    notes: Sequence[str] = (),
) -> Check:
    return Check(
        TOPICS,
        "I10",
        description,
        violations[:VIOLATIONS_MAX],
        name=name,
        more=len(violations) > VIOLATIONS_MAX,
        seconds=seconds,
        notes=list(notes),
    )


async def _read_all(brokers: str) -> _Told:
    told = _Told()
    letters = [
        dead_letter_topic(topic.name, group)
        for topic in load()
        for group in topic.consumers
        if group in SERVICES
    ]
    async with aclosing(
        records_of_all(brokers, [SALES, CHANNELS, TRANSACTIONS, *letters])
    ) as found:
        async for record in found:
            told.read(record)
    return told


def _shown(processor: Service, business: str) -> Iterable[tuple[SaleKey, Shown | None]]:
    """The sales of a business as they are shown; None where another cost is awaited."""
    for sale in processor.items("businesses", business, "sales"):
        key = sale["business_id"], sale["sale_id"]
        if sale["status"] == "waiting" or "cost-pending" in sale["flags"]:
            yield key, None
        else:
            yield key, (sale["revision"], sale["status"], Decimal(sale["cost"]))


def _missing_events(
    told: _Told, shown: Mapping[SaleKey, Shown | None], names: set[str]
) -> Iterable[str]:
    for key, sale in sorted(shown.items()):
        if sale is not None and told.sales.get(key) != sale:
            event = told.sales.get(key)
            yield (
                f"business {key[0]}, sale {key[1]} is shown as {_words(sale)};"
                f" its newest event says {_words(event)}"
            )
    for key in sorted(told.sales.keys() - shown.keys()):
        if key[0] in names:
            yield f"business {key[0]}, sale {key[1]} has events, and nobody knows it"


def _missing_transactions(told: _Told, names: set[str]) -> Iterable[str]:
    for run, published in sorted(told.published.items()):
        business, sync = run
        if business not in names:
            continue
        if (there := len(told.captured[run])) != published:
            yield f"sync {sync} published {published} transactions; {there} are there"
        if run not in told.ended:
            yield f"sync {sync} published all its transactions and has no summary"


def _words(sale: Shown | None) -> str:
    return "nothing" if sale is None else f"revision {sale[0]}, {sale[1]}, cost {sale[2]:.2f}"
