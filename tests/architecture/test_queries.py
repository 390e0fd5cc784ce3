"""Every statement of a service is one that Postgres can prepare on the migrated schema."""

import re
from pathlib import Path

import aiosql
import asyncpg
import pytest

from chassis.testing import Databases

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(ROOT.glob("services/*/src/*/sql/*.sql"))
PREPARED_AT_LEAST = 5


def statements(file: Path) -> dict[str, str]:
    """The statements of a file by name, with parameters as Postgres takes them."""
    queries = aiosql.from_path(file, "asyncpg")
    return {
        name: getattr(queries, name).sql
        for name in queries.available_queries
        if not name.endswith("_cursor")
    }


async def faults(connection: asyncpg.Connection, file: Path) -> list[str]:
    """The statements that Postgres refuses, each with its words."""
    found = []
    for name, sql in statements(file).items():
        try:
            await connection.prepare(sql)
        except asyncpg.PostgresError as error:
            found.append(f"{name}: {error}")
    return found


def unexplained(file: Path) -> list[str]:
    """Statements without a line that says what they are for."""
    blocks = re.split(r"^-- name: *", file.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return [
        block.splitlines()[0] for block in blocks if not block.splitlines()[1].startswith("-- ")
    ]


def _named(file: Path) -> str:
    return f"{file.parts[-5]} {file.name}"


def test_each_service_has_its_queries() -> None:
    assert {file.parts[-5] for file in FILES if file.name == "queries.sql"} == {
        "channel-connector",
        "inventory",
        "sales-processor",
    }


@pytest.mark.parametrize("file", FILES, ids=_named)
async def test_every_statement_can_be_prepared(databases: Databases, file: Path) -> None:
    dsn = await databases.make(file.parent / "migrations")
    connection = await asyncpg.connect(dsn)
    try:
        assert len(statements(file)) >= PREPARED_AT_LEAST
        assert await faults(connection, file) == []
    finally:
        await connection.close()
        await databases.drop(dsn)


@pytest.mark.parametrize("file", FILES, ids=_named)
def test_every_statement_says_what_it_is_for(file: Path) -> None:
    assert unexplained(file) == []


@pytest.mark.parametrize("file", FILES, ids=_named)
def test_columns_are_listed_never_starred(file: Path) -> None:
    assert starred(file.read_text("utf-8")) == []


def starred(sql: str) -> list[str]:
    """Lines that select every column there happens to be."""
    return re.findall(r"(?i)select\s+(?:\w+\.)?\*.*|returning\s+\*.*", sql)


async def test_a_planted_statement_that_does_not_fit_the_schema_is_caught(
    databases: Databases, tmp_path: Path
) -> None:
    planted = tmp_path / "queries.sql"
    planted.write_text(
        "-- name: find_offset(topic)$\n-- The offset.\nselect next_offset from consumer_offsets "
        "where topic = :topic;\n\n"
        "-- name: find_colour(topic)$\nselect colour from consumer_offsets where topic = :topic;\n"
    )
    dsn = await databases.make(FILES[0].parent / "migrations")
    connection = await asyncpg.connect(dsn)
    try:
        assert await faults(connection, planted) == ['find_colour: column "colour" does not exist']
        assert unexplained(planted) == ["find_colour(topic)$"]
    finally:
        await connection.close()
        await databases.drop(dsn)


def test_a_planted_star_is_caught() -> None:
    assert starred("select * from lots") == ["select * from lots"]
    assert starred("select l.* from lots as l")
    assert starred("insert into lots default values returning *")
    assert starred("select count(*) from lots") == []
