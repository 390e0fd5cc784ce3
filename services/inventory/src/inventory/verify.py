"""The invariants of stock (I1 to I5, I8, I9, I12), checked by SQL in one snapshot.

Each check selects the rows that break an invariant, so an empty answer is the proof. I8 alone reads
the ledger in order, product by product, since it is about what was open when.
"""

import heapq
from decimal import Decimal
from typing import Any

import asyncpg
from pydantic import BaseModel

from chassis.outbox import Connection

VIOLATIONS_SHOWN_MAX = 20
LEDGER_ROWS_AT_ONCE = 10_000
VERIFY_SECONDS_MAX = 600


class Check(BaseModel):
    """One invariant and the rows that break it, the first of them at most 20."""

    invariant: str
    description: str
    violations: list[dict[str, Any]]


class Report(BaseModel):
    """The outcome of every check of a service."""

    service: str
    checks: list[Check]


_SCOPE = "($1::text is null or {0}.business_id = $1)"

_CHECKS = (
    (
        "I1",
        "per lot: received + adjusted - voided + returned - consumed = remaining",
        """
        select l.business_id, l.lot_id, l.quantity_remaining,
               l.quantity_received + l.quantity_adjusted - l.quantity_voided
                 + coalesce(back.quantity, 0) - coalesce(held.quantity, 0) as expected
        from lots as l
        left join (
            select c.business_id, c.lot_id, sum(c.quantity) as quantity
            from consumptions as c
            where {scope:c}
            group by c.business_id, c.lot_id
        ) as held using (business_id, lot_id)
        left join (
            select r.business_id, r.lot_id, sum(r.quantity) as quantity
            from returned_goods as r
            where r.source_sale_id is not null and {scope:r}
            group by r.business_id, r.lot_id
        ) as back using (business_id, lot_id)
        where {scope:l}
          and (
              l.quantity_remaining <> l.quantity_received + l.quantity_adjusted
                - l.quantity_voided + coalesce(back.quantity, 0) - coalesce(held.quantity, 0)
              or l.quantity_remaining < 0
          )
        """,
    ),
    (
        "I1",
        "per return lot: received = what its document gives into it",
        """
        select l.business_id, l.lot_id, l.quantity_received, coalesce(given.quantity, 0) as expected
        from lots as l
        left join (
            select r.business_id, r.lot_id, sum(r.quantity) as quantity
            from returned_goods as r
            where r.source_sale_id is null and {scope:r}
            group by r.business_id, r.lot_id
        ) as given using (business_id, lot_id)
        where {scope:l}
          and (l.return_sale_id is not null or given.quantity is not null)
          and (
              l.return_sale_id is null or l.quantity_received <> coalesce(given.quantity, 0)
          )
        """,
    ),
    (
        "I2",
        "per line: consumptions + shortage = quantity; of a return: what it gave back",
        """
        select l.business_id, l.sale_id, l.line_id, l.quantity, l.shortage_open,
               l.shortage_returned, coalesce(held.quantity, 0) as consumed,
               coalesce(given.quantity, 0) as given_back
        from consumption_lines as l
        left join (
            select c.business_id, c.sale_id, c.line_id, sum(c.quantity) as quantity
            from consumptions as c
            where {scope:c}
            group by c.business_id, c.sale_id, c.line_id
        ) as held using (business_id, sale_id, line_id)
        left join (
            select r.business_id, r.sale_id, r.line_id, sum(r.quantity) as quantity
            from returned_goods as r
            where {scope:r}
            group by r.business_id, r.sale_id, r.line_id
        ) as given using (business_id, sale_id, line_id)
        where {scope:l}
          and coalesce(held.quantity, 0) + l.shortage_open + l.shortage_returned
            - coalesce(given.quantity, 0) <> l.quantity
        """,
    ),
    (
        "I3",
        "line cost = sum of quantity x unit cost + shortage x average, rounded once",
        """
        select l.business_id, l.sale_id, l.line_id, l.cost,
               round(coalesce(held.cost, 0) - coalesce(given.cost, 0)
                 + (l.shortage_open + l.shortage_returned) * l.shortage_unit_cost, 2) as expected
        from consumption_lines as l
        left join (
            select c.business_id, c.sale_id, c.line_id, sum(c.quantity * c.unit_cost) as cost
            from consumptions as c
            where {scope:c}
            group by c.business_id, c.sale_id, c.line_id
        ) as held using (business_id, sale_id, line_id)
        left join (
            select r.business_id, r.sale_id, r.line_id, sum(r.quantity * r.unit_cost) as cost
            from returned_goods as r
            where {scope:r}
            group by r.business_id, r.sale_id, r.line_id
        ) as given using (business_id, sale_id, line_id)
        where {scope:l}
          and l.cost <> round(coalesce(held.cost, 0) - coalesce(given.cost, 0)
            + (l.shortage_open + l.shortage_returned) * l.shortage_unit_cost, 2)
        """,
    ),
    (
        "I3",
        "sale cost = sum of its line costs",
        """
        select s.business_id, s.sale_id, s.cost, coalesce(lines.cost, 0) as expected
        from sale_consumptions as s
        left join (
            select l.business_id, l.sale_id, sum(l.cost) as cost
            from consumption_lines as l
            where {scope:l}
            group by l.business_id, l.sale_id
        ) as lines using (business_id, sale_id)
        where {scope:s} and s.cost <> coalesce(lines.cost, 0)
        """,
    ),
    (
        "I4",
        "stock on hand = sum of transactions = remaining - open shortages, never both above 0",
        """
        select p.business_id, p.product_id, p.stock_on_hand,
               coalesce(moved.quantity, 0) as transactions,
               coalesce(lot.remaining, 0) as remaining,
               coalesce(short.quantity, 0) as short
        from products as p
        left join (
            select t.business_id, t.product_id, sum(t.quantity) as quantity
            from stock_transactions as t where {scope:t} group by 1, 2
        ) as moved using (business_id, product_id)
        left join (
            select l.business_id, l.product_id, sum(l.quantity_remaining) as remaining
            from lots as l where {scope:l} group by 1, 2
        ) as lot using (business_id, product_id)
        left join (
            select c.business_id, c.product_id, sum(c.shortage_open) as quantity
            from consumption_lines as c where c.shortage_open > 0 and {scope:c} group by 1, 2
        ) as short using (business_id, product_id)
        where {scope:p}
          and (
              p.stock_on_hand <> coalesce(moved.quantity, 0)
              or p.stock_on_hand <> coalesce(lot.remaining, 0) - coalesce(short.quantity, 0)
              or (coalesce(lot.remaining, 0) > 0 and coalesce(short.quantity, 0) > 0)
          )
        """,
    ),
    (
        "I4",
        "per lot: remaining = sum of its stock transactions",
        """
        select l.business_id, l.lot_id, l.quantity_remaining,
               coalesce(moved.quantity, 0) as transactions
        from lots as l
        left join (
            select t.business_id, t.lot_id, sum(t.quantity) as quantity
            from stock_transactions as t
            where t.lot_id is not null and {scope:t}
            group by 1, 2
        ) as moved using (business_id, lot_id)
        where {scope:l} and l.quantity_remaining <> coalesce(moved.quantity, 0)
        """,
    ),
    (
        "I5",
        "a document's transactions took of each lot what it holds now; nothing if it was voided",
        """
        select business_id, sale_id, nullif(lot_id, '') as lot_id, moved.quantity as taken,
               held.quantity as held
        from (
            select t.business_id, t.sale_id, coalesce(t.lot_id, '') as lot_id,
                   -sum(t.quantity) as quantity
            from stock_transactions as t
            where t.sale_id is not null and {scope:t}
            group by 1, 2, 3
        ) as moved
        full join (
            select each.business_id, each.sale_id, each.lot_id, sum(each.quantity) as quantity
            from (
                select c.business_id, c.sale_id, c.lot_id, c.quantity
                from consumptions as c
                where {scope:c}
                union all
                select r.business_id, r.sale_id, coalesce(r.lot_id, ''), -r.quantity
                from returned_goods as r
                where {scope:r}
                union all
                select l.business_id, l.sale_id, '', l.shortage_open + l.shortage_returned
                from consumption_lines as l
                where l.shortage_quantity > 0 and {scope:l}
            ) as each
            group by 1, 2, 3
        ) as held using (business_id, sale_id, lot_id)
        where coalesce(moved.quantity, 0) <> coalesce(held.quantity, 0)
        """,
    ),
    (
        "I5",
        "no line has more returned than taken: what returns say that they gave back is marked",
        """
        select business_id, source_sale_id, source_line_id, nullif(lot_id, '') as lot_id, unit_cost,
               given.quantity as given_back, marked.quantity as marked
        from (
            select r.business_id, r.source_sale_id, r.source_line_id,
                   coalesce(r.lot_id, '') as lot_id, r.unit_cost, sum(r.quantity) as quantity
            from returned_goods as r
            where r.source_sale_id is not null and {scope:r}
            group by 1, 2, 3, 4, 5
        ) as given
        full join (
            select each.business_id, each.sale_id as source_sale_id,
                   each.line_id as source_line_id, each.lot_id, each.unit_cost,
                   sum(each.quantity) as quantity
            from (
                select c.business_id, c.sale_id, c.line_id, c.lot_id, c.unit_cost,
                       c.quantity_returned as quantity
                from consumptions as c
                where c.quantity_returned > 0 and {scope:c}
                union all
                select l.business_id, l.sale_id, l.line_id, '', l.shortage_unit_cost,
                       l.shortage_returned
                from consumption_lines as l
                where l.shortage_returned > 0 and {scope:l}
            ) as each
            group by 1, 2, 3, 4, 5
        ) as marked using (business_id, source_sale_id, source_line_id, lot_id, unit_cost)
        where coalesce(given.quantity, 0) <> coalesce(marked.quantity, 0)
        """,
    ),
    (
        "I5",
        "per line: what was given back is what its parts say, and no more than it took",
        """
        select l.business_id, l.sale_id, l.line_id, l.quantity, l.quantity_returned,
               l.shortage_returned + coalesce(held.returned, 0) as expected
        from consumption_lines as l
        left join (
            select c.business_id, c.sale_id, c.line_id, sum(c.quantity_returned) as returned
            from consumptions as c
            where c.quantity_returned > 0 and {scope:c}
            group by 1, 2, 3
        ) as held using (business_id, sale_id, line_id)
        where {scope:l}
          and (
              l.quantity_returned <> l.shortage_returned + coalesce(held.returned, 0)
              or l.quantity_returned > greatest(l.quantity, 0)
          )
        """,
    ),
    (
        "I9",
        "stock transactions can't be changed: the guard is on",
        """
        select 'append_only' as missing_trigger
        where not exists (
            select from pg_trigger
            where tgrelid = 'stock_transactions'::regclass
              and tgname = 'append_only'
              and tgenabled in ('O', 'A')
        ) and ($1::text is null or $1 is not null)
        """,
    ),
    (
        "I12",
        "what a line holds is of its own product and business, and every part has its whole",
        """
        select 'consumption' as row, c.business_id, c.sale_id, c.line_id, c.lot_id,
               lot.product_id as product_of_lot, line.product_id as product_of_line
        from consumptions as c
        left join lots as lot using (business_id, lot_id)
        left join consumption_lines as line using (business_id, sale_id, line_id)
        where {scope:c} and lot.product_id is distinct from line.product_id
        union all
        select 'return', r.business_id, r.sale_id, r.line_id, r.lot_id, lot.product_id,
               line.product_id
        from returned_goods as r
        left join lots as lot using (business_id, lot_id)
        left join consumption_lines as line using (business_id, sale_id, line_id)
        left join consumption_lines as source
          on source.business_id = r.business_id
          and source.sale_id = r.source_sale_id
          and source.line_id = r.source_line_id
        where {scope:r}
          and (
              line.product_id is null
              or (r.lot_id is not null and lot.product_id is distinct from line.product_id)
              or (
                  r.source_sale_id is not null
                  and source.product_id is distinct from line.product_id
              )
          )
        union all
        select 'transaction', t.business_id, t.sale_id, t.line_id, t.lot_id, lot.product_id,
               t.product_id
        from stock_transactions as t
        left join lots as lot using (business_id, lot_id)
        where {scope:t} and t.lot_id is not null and lot.product_id is distinct from t.product_id
        union all
        select 'line', l.business_id, l.sale_id, l.line_id, null, null, l.product_id
        from consumption_lines as l
        left join sale_consumptions as s using (business_id, sale_id)
        left join products as p using (business_id, product_id)
        where {scope:l} and (s.sale_id is null or p.product_id is null)
        """,
    ),
)

_LEDGER = """
    select t.business_id, t.product_id, t.stock_transaction_id, t.kind, t.reason, t.lot_id,
           t.quantity, l.received_on, l.sequence
    from stock_transactions as t
    join lots as l using (business_id, lot_id)
    where ($1::text is null or t.business_id = $1)
    order by t.business_id, t.product_id, t.stock_transaction_id
"""


async def verify(pool: asyncpg.Pool, business_id: str | None) -> Report:
    """Run every check in one repeatable-read snapshot, for one business or all."""
    checks = []
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for invariant, description, statement in _CHECKS:
            rows = await connection.fetch(
                _scoped(statement) + f" limit {VIOLATIONS_SHOWN_MAX}",
                business_id,
                timeout=VERIFY_SECONDS_MAX,
            )
            checks.append(_check(invariant, description, [dict(row) for row in rows]))
        checks.append(
            _check(
                "I8",
                "no younger lot was used while an older one was open",
                await _takings_out_of_order(connection, business_id),
            )
        )
    return Report(service="inventory", checks=checks)


def _scoped(statement: str) -> str:
    for alias in "clprst":
        statement = statement.replace(f"{{scope:{alias}}}", _SCOPE.format(alias))
    return statement


def _check(invariant: str, description: str, violations: list[dict[str, Any]]) -> Check:
    shown = [
        {name: str(value) if value is not None else None for name, value in row.items()}
        for row in violations
    ]
    return Check(invariant=invariant, description=description, violations=shown)


async def _takings_out_of_order(
    connection: Connection, business_id: str | None
) -> list[dict[str, Any]]:
    """Takings that passed an older open lot over.

    A re-costing takes in the order of the calendar, not in that of applying; its rows are followed,
    not judged.
    """
    violations: list[dict[str, Any]] = []
    product: tuple[str, str] | None = None
    lots = _OpenLots()
    cursor = connection.cursor(
        _LEDGER, business_id, prefetch=LEDGER_ROWS_AT_ONCE, timeout=VERIFY_SECONDS_MAX
    )
    async for row in cursor:
        if (row["business_id"], row["product_id"]) != product:
            product = (row["business_id"], row["product_id"])
            lots = _OpenLots()
        judged = row["kind"] == "sale" and row["reason"] != "recosted"
        if judged and (older := lots.older_than(row)) is not None:
            violations.append({**dict(row), "older_open_lot": older})
            if len(violations) >= VIOLATIONS_SHOWN_MAX:
                break
        lots.apply(row)
    return violations


class _OpenLots:
    """The open lots of a product at a point of its ledger, the oldest at hand."""

    def __init__(self) -> None:
        self._balances: dict[str, Decimal] = {}
        self._queue: list[tuple[Any, int, str]] = []

    def older_than(self, row: asyncpg.Record) -> str | None:
        """An open lot that should have been taken before the one of this row."""
        while self._queue and self._balances[self._queue[0][2]] <= 0:
            heapq.heappop(self._queue)
        place = (row["received_on"], row["sequence"], row["lot_id"])
        return self._queue[0][2] if self._queue and self._queue[0] < place else None

    def apply(self, row: asyncpg.Record) -> None:
        """Follow one stock transaction."""
        before = self._balances.get(row["lot_id"], Decimal(0))
        self._balances[row["lot_id"]] = before + row["quantity"]
        if before <= 0 < self._balances[row["lot_id"]]:
            heapq.heappush(self._queue, (row["received_on"], row["sequence"], row["lot_id"]))
