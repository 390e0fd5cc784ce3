"""SQL in, domain values out, for a whole batch at a time.

Locks: the products of a batch, by business and product id. Whoever holds a product's row is alone
with its lots and with what sales hold of them.
"""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import aiosql

queries: Any = aiosql.from_path(Path(__file__).parents[1] / "sql" / "queries.sql", "asyncpg")


async def fetch(selected: AsyncIterator[Any]) -> list[Any]:
    """All rows of a query."""
    return [row async for row in selected]


def columns(rows: Iterable[tuple[Any, ...]], names: str) -> dict[str, list[Any]]:
    """Rows as one array for each of the named parameters."""
    parameters = names.split()
    found = [list(column) for column in zip(*rows, strict=True)]
    return dict(zip(parameters, found or [[] for _ in parameters], strict=True))
