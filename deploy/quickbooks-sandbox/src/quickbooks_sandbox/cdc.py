"""Change data capture: what changed since an instant, deletions included.

Law: one block per requested entity, `{}` where nothing changed; live rows oldest change first, then
bare tombstones; the whole answer is cut at 1000 objects without any sign, so tombstones go first.
Source: Intuit's change data capture page and recorded answers.
"""

from datetime import timedelta

from quickbooks_sandbox import faults, oddities
from quickbooks_sandbox.books import Books, Row, Tombstone
from quickbooks_sandbox.clock import Clock, parse_instant
from quickbooks_sandbox.entities import Entity, entity_named
from quickbooks_sandbox.fields import NOT_IMITATED
from quickbooks_sandbox.switches import Switches


def changes(
    entities: str, changed_since: str, books: Books, clock: Clock, switches: Switches
) -> str:
    """The CDCResponse value as JSON text.

    Raises: QboError for an unknown entity, a missing parameter or a date that is none.
    """
    if not entities:
        raise faults.missing("entities")
    if not changed_since:
        raise faults.missing("changedSince")
    since = _since(changed_since, clock, switches)
    until = clock.second() - switches.lag_seconds
    kinds = [_entity(name.strip()) for name in entities.split(",") if name.strip()]
    room = switches.cdc_objects
    live: list[list[Row]] = []
    for kind in kinds:
        live.append(_rows(books, kind, since, until if switches.lag_seconds else None)[:room])
        room -= len(live[-1])
    dead: list[list[Tombstone]] = []
    for kind in kinds:
        known = books.tombstones[kind.name] if kind else []
        stones = [stone for stone in known if since <= stone.updated <= until]
        stones.sort(key=lambda stone: (stone.updated, int(stone.id)))
        dead.append(stones[:room])
        room -= len(dead[-1])
    blocks = [
        _block(kind, rows, stones, switches)
        for kind, rows, stones in zip(kinds, live, dead, strict=True)
    ]
    if switches.cdc_block_order == "reversed":
        blocks.reverse()
    return f'[{{"QueryResponse":[{",".join(blocks)}]}}]'


def _rows(books: Books, kind: Entity | None, since: int, until: int | None) -> list[Row]:
    if kind is None:
        return []
    if until is None:
        return list(books.table(kind).between(since, None))
    return [row for row in books.as_of(kind, until) if row.updated >= since]


def _since(text: str, clock: Clock, switches: Switches) -> int:
    try:
        wanted = int(parse_instant(text).timestamp())
    except ValueError:
        detail = f"changedSince should be a date-time such as 2026-01-31T00:00:00-08:00, got {text}"
        raise faults.QboError("2040", "Invalid Date", detail, "changedSince") from None
    horizon = clock.now() - timedelta(days=switches.cdc_days)
    return max(wanted, int(horizon.timestamp()))


def _entity(name: str) -> Entity | None:
    entity = entity_named(name)
    if entity is None and name.lower() not in NOT_IMITATED:
        raise faults.query_validation(f"invalid context declaration: {name}")
    return entity


def _block(
    entity: Entity | None, live: list[Row], dead: list[Tombstone], switches: Switches
) -> str:
    if entity is None or not (live or dead):
        return "{}"
    bodies = ",".join(
        [oddities.shown(row, switches) for row in live] + [stone.body() for stone in dead]
    )
    start = '"startPosition":1,' if live else ""
    size = len(live) + len(dead)
    total = f',"totalCount":{size}' if entity.total_count else ""
    return f'{{"{entity.name}":[{bodies}],{start}"maxResults":{size}{total}}}'
