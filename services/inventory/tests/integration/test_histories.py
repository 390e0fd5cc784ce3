"""Random histories on a real Postgres: as the naive model says, in batches of any size."""

from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.testing import Driver, Published
from inventory.reference import Command, Reference
from inventory.testing import PURCHASE_COSTS, Choice, Domain, State, histories, state_of
from inventory.verify import verify

TOPIC = "inventory.commands.v1"

_businesses = (f"business-{number}" for number in count())


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories(), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=8))
async def test_postgres_holds_what_the_naive_model_says(
    inventory: Driver, history: list[Choice], sizes: list[int]
) -> None:
    reference, commands = Reference(PURCHASE_COSTS), []
    domain = Domain()
    for choose in history:
        if (command := choose(reference)) is not None:
            commands.append(domain.translated(command, reference))
            domain.apply(commands[-1])
            reference.apply(command)
    alone, together = next(_businesses), next(_businesses)

    for each in (alone, together):
        await inventory.apply(TOPIC, *_products(each))
    one_by_one = [await inventory.apply(TOPIC, c) for c in _of(alone, commands)]
    in_batches = [
        await inventory.apply(TOPIC, *batch) for batch in _batches(_of(together, commands), sizes)
    ]

    assert await _stored(inventory, alone) == state_of(reference)
    assert await _stored(inventory, together) == state_of(reference)
    assert _told(one_by_one) == _told(in_batches)
    assert await _movements(inventory, alone) == await _movements(inventory, together)
    for each in (alone, together):
        report = await verify(inventory.pool, each)
        assert {c.invariant: c.violations for c in report.checks if c.violations} == {}


def _products(business: str) -> list[Command]:
    return [
        {
            "type": "put-product",
            "business_id": business,
            "product_id": product_id,
            "name": product_id,
            "product_type": "finished-good",
            "purchase_cost": None if cost is None else str(cost),
        }
        for product_id, cost in PURCHASE_COSTS.items()
    ]


def _of(business: str, commands: list[Command]) -> list[Command]:
    return [
        {
            **command,
            "business_id": business,
            **({"reason": "other"} if command["type"] == "adjust-lot" else {}),
            **({"adjustment_id": str(number)} if command["type"] == "adjust-lot" else {}),
        }
        for number, command in enumerate(commands)
    ]


def _batches(commands: list[Command], sizes: list[int]) -> list[list[Command]]:
    batches: list[list[Command]] = []
    rest = commands
    for number in count():
        if not rest:
            return batches
        size = sizes[number % len(sizes)]
        batches.append(rest[:size])
        rest = rest[size:]
    return batches


def _told(published: list[list[Published]]) -> list[tuple[str, dict[str, Any]]]:
    """What is told step by step; stock on hand is told once a batch."""
    return [
        (p.type, {k: v for k, v in p.body.items() if k != "business_id"})
        for each in published
        for p in each
        if p.type != "stock-changed"
    ]


async def _movements(inventory: Driver, business: str) -> list[tuple[Any, ...]]:
    rows = await inventory.pool.fetch(
        "select kind, product_id, lot_id, quantity, unit_cost, sale_id, revision, line_id, reason"
        " from stock_transactions where business_id = $1 order by stock_transaction_id",
        business,
    )
    return [tuple(row) for row in rows]


async def _stored(inventory: Driver, business: str) -> State:
    """What the tables hold, in the form of the naive model."""
    fetch = inventory.pool.fetch
    names = {}
    lots = {}
    for row in await fetch("select * from lots where business_id = $1", business):
        name = names[row["lot_id"]] = (row["product_id"], row["sequence"])
        balance = row["quantity_voided" if row["voided_at"] else "quantity_remaining"]
        lots[name] = (
            row["return_sale_id"],
            row["received_on"].isoformat(),
            balance,
            row["unit_cost"],
        )
    held: dict[tuple[str, str], dict[Any, Any]] = {}
    for row in await fetch(
        "select * from consumptions where business_id = $1 order by sale_id, line_id, ordinal",
        business,
    ):
        of_line = held.setdefault((row["sale_id"], row["line_id"]), {})
        key: tuple[Any, ...] = (names[row["lot_id"]], row["unit_cost"])
        of_line[key] = of_line.get(key, 0) + row["quantity"]
    given: dict[tuple[str, str], dict[Any, Any]] = {}
    for row in await fetch(
        "select * from returned_goods where business_id = $1 order by sale_id, line_id, ordinal",
        business,
    ):
        of_line = given.setdefault((row["sale_id"], row["line_id"]), {})
        source = (row["source_sale_id"], row["source_line_id"]) if row["source_sale_id"] else None
        key = (source, names.get(row["lot_id"]), row["unit_cost"])
        of_line[key] = of_line.get(key, 0) + row["quantity"]
    documents: dict[Any, Any] = {
        row["sale_id"]: (row["revision"], row["costing"], {})
        for row in await fetch("select * from sale_consumptions where business_id = $1", business)
    }
    for row in await fetch(
        "select * from consumption_lines where business_id = $1 order by sale_id, ordinal", business
    ):
        place = (row["sale_id"], row["line_id"])
        missing = row["shortage_open"] + row["shortage_returned"]
        documents[row["sale_id"]][2][row["line_id"]] = (
            row["product_id"],
            row["quantity"],
            [(*key, quantity) for key, quantity in held.get(place, {}).items()],
            row["shortage_open"],
            missing,
            (row["shortage_unit_cost"], row["uncosted"]) if missing else (0, False),
            [(*key, quantity) for key, quantity in given.get(place, {}).items()],
            row["cost"],
        )
    return lots, documents
