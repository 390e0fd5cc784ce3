"""What must hold in a service's database, asked of it in one snapshot.

The law of this module: a check is one statement that selects the rows which break an invariant, so
an empty answer is the proof. Its name begins with the invariant (`i4_balances`), its comment says
what holds. A check is asked about one tenant or, with null, about all.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
from pydantic import BaseModel

from chassis.outbox import Connection

VIOLATIONS_SHOWN_MAX = 20
VERIFY_SECONDS_MAX = 600
OUTBOX_SECONDS_MAX = 60
SORT_MEMORY = "128MB"
"""Of one step of a statement; checks sort and group whole tables."""

CHASSIS_TABLES = ("consumer_offsets", "journal_positions", "outbox", "schema_migrations")

_SETTINGS = f"set local work_mem = '{SORT_MEMORY}'; set local jit = off; set local timezone = 'UTC'"
_WHOLE = "with broken as materialized (\n{}\n) table broken limit {}"
"""Planned for all rows: where none is found, a plan for the first few reads all slowly."""
_OUTBOX = """
    select id as outbox_id, type, aggregatetype as topic, encode(message_key, 'escape') as key,
           ce_time as waits_since
    from outbox
    where ce_time < clock_timestamp() - make_interval(secs => $1)
    order by id
"""
_TABLES = """
    select rel.relname as table, null as constraint, 'has no ' || $1::text as fault
    from pg_class as rel
    where rel.relkind in ('r', 'p')
      and rel.relnamespace = current_schema()::regnamespace
      and rel.relname <> all ($2::text[])
      and not exists (
          select from pg_attribute as col
          where col.attrelid = rel.oid and col.attname = $1 and col.attnotnull
      )
    union all
    select rel.relname, con.conname, 'refers without ' || $1::text
    from pg_constraint as con
    join pg_class as rel on rel.oid = con.conrelid
    join pg_class as target on target.oid = con.confrelid
    where con.contype = 'f'
      and rel.relnamespace = current_schema()::regnamespace
      and target.relname <> all ($3::text[])
      and not exists (
          select
          from unnest(con.conkey, con.confkey) as pair (own, other)
          join pg_attribute as col on col.attrelid = con.conrelid and col.attnum = pair.own
          join pg_attribute as referred
            on referred.attrelid = con.confrelid and referred.attnum = pair.other
          where col.attname = $1 and referred.attname = $1
      )
"""


class Check(BaseModel):
    """One check: the invariant, what holds, and the first rows that break it, at most 20."""

    name: str
    invariant: str
    description: str
    violations: list[dict[str, Any]]
    more: bool
    seconds: float


class AppliedOffset(BaseModel):
    """Up to where a topic's partition is applied: the offset that comes next."""

    topic: str
    partition: int
    next_offset: int


class Report(BaseModel):
    """The outcome of every check of a service, and how far it had read when it was asked."""

    service: str
    checks: list[Check]
    offsets: list[AppliedOffset]


@dataclass(frozen=True, slots=True)
class _Statement:
    sql: str
    description: str
    arguments: tuple[object, ...] | None = None
    """Those of a check that is not about one tenant."""


class Agreement(BaseModel):
    """What a service holds of something that another holds too: the same parts, the same digest."""

    items: list[dict[str, str]]


class Invariants:
    """The checks of a service: its own queries, and those that every service has.

    `tenant_column` says whose a row is; `tables_of_all` do without it, and `keys_of_all` are the
    tables whose keys are unique over all tenants.
    """

    def __init__(
        self,
        service: str,
        queries: Any,  # noqa: ANN401  (made by aiosql)
        *,
        tenant_column: str,
        tables_of_all: Sequence[str] = (),
        keys_of_all: Sequence[str] = (),
    ) -> None:
        self._service = service
        self._statements = {
            "i10_outbox": _Statement(
                _OUTBOX,
                "no message waits in the outbox for more than a minute",
                (OUTBOX_SECONDS_MAX,),
            ),
            "i12_tables": _Statement(
                _TABLES,
                f"every row has its {tenant_column}, and so has every key from row to row",
                (tenant_column, [*CHASSIS_TABLES, *tables_of_all], keys_of_all),
            ),
        } | {
            name: _Statement(query.sql.rstrip("; \n"), " ".join(query.__doc__.split()))
            for name in queries.available_queries
            if not name.endswith("_cursor")
            for query in [getattr(queries, name)]
        }
        self.names = sorted(self._statements, key=_place)

    async def verify(self, pool: asyncpg.Pool, tenant: str | None) -> Report:
        """Run every check in one snapshot, about one tenant or all."""
        async with (
            pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await self.report(connection, tenant)

    async def report(self, connection: Connection, tenant: str | None) -> Report:
        """Run every check within the caller's transaction, whose planner settings it changes."""
        await connection.execute(_SETTINGS)
        return Report(
            service=self._service,
            checks=[await self._check(connection, name, tenant) for name in self.names],
            offsets=[
                AppliedOffset(**row)
                for row in await connection.fetch(
                    "select topic, partition, next_offset from consumer_offsets order by 1, 2"
                )
            ],
        )

    async def _check(self, connection: Connection, name: str, tenant: str | None) -> Check:
        statement = self._statements[name]
        began = time.perf_counter()
        rows = await connection.fetch(
            _WHOLE.format(statement.sql, VIOLATIONS_SHOWN_MAX + 1),
            *((tenant,) if statement.arguments is None else statement.arguments),
            timeout=VERIFY_SECONDS_MAX,
        )
        return Check(
            name=name,
            invariant=name.split("_", 1)[0].upper(),
            description=statement.description,
            violations=[
                {column: _plain(value) for column, value in row.items()}
                for row in rows[:VIOLATIONS_SHOWN_MAX]
            ],
            more=len(rows) > VIOLATIONS_SHOWN_MAX,
            seconds=round(time.perf_counter() - began, 3),
        )


async def totals(query: Any, pool: asyncpg.Pool, tenant: str | None) -> Agreement:  # noqa: ANN401
    """The rows of a query about one tenant or all, as text, to be compared between services."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(_SETTINGS)
        rows = await connection.fetch(query.sql, tenant, timeout=VERIFY_SECONDS_MAX)
    return Agreement(
        items=[{column: str(_plain(value)) for column, value in row.items()} for row in rows]
    )


def _place(name: str) -> tuple[bool, str, int, str]:
    """I1 to I12 by number, then the other rules."""
    rule = name.split("_", 1)[0]
    letters = rule.rstrip("0123456789")
    return letters != "i", letters, int(rule[len(letters) :]), name


def _plain(value: object) -> object:
    """A value as JSON has it: exact decimals and instants are text."""
    match value:
        case Decimal():
            return f"{value:f}"
        case datetime() | date():
            return value.isoformat()
    return value
