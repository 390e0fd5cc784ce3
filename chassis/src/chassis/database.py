"""The service's own Postgres: its pool, and its schema, which must be the expected one.

Migrations are plain SQL files named NNNN_what_changes.sql, applied by dbmate under its lock. The
chassis keeps the numbers below 0100; a service starts at 0101.
"""

import json
import os
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import asyncpg

from chassis.errors import FatalError

CHASSIS_MIGRATIONS = Path(__file__).parent / "migrations"
POOL_SIZE_MAX = 10
STATEMENT_SECONDS_MAX = 120


async def open_pool(database_url: str, *, application: str) -> asyncpg.Pool:
    """Open the pool; sessions run in UTC and give up a statement after two minutes."""
    return await asyncpg.create_pool(
        database_url,
        min_size=1,
        max_size=POOL_SIZE_MAX,
        command_timeout=STATEMENT_SECONDS_MAX,
        init=_prepare_session,
        server_settings={"application_name": application, "timezone": "UTC"},
    )


async def _prepare_session(connection: asyncpg.Connection) -> None:
    """Read and write jsonb as Python values, in the binary form that COPY needs too."""
    await connection.set_type_codec(
        "jsonb",
        encoder=_encode_json,
        decoder=_decode_json,
        schema="pg_catalog",
        format="binary",
    )


def _encode_json(value: object) -> bytes:
    """Postgres's binary jsonb: its version, then JSON. Bytes are JSON already."""
    return b"\x01" + (value if isinstance(value, bytes) else json.dumps(value).encode())


def _decode_json(data: bytes) -> object:
    return json.loads(data[1:])


def migration_files(service_migrations: Path) -> list[Path]:
    """Every migration of a service, the chassis's first."""
    folders = (CHASSIS_MIGRATIONS, service_migrations)
    return [file for folder in folders for file in sorted(folder.glob("*.sql"))]


def migrate(database_url: str, service_migrations: Path) -> None:
    """Create the database if it is missing and apply the migrations that it lacks.

    Raises:
        FatalError: dbmate failed; its own words are in the text.
    """
    command = [
        str(_dbmate_program()),
        *("--no-dump-schema", "--wait", "--wait-timeout", "30s", "--migration-lock"),
        *("--migrations-dir", str(CHASSIS_MIGRATIONS)),
        *("--migrations-dir", str(service_migrations)),
        "up",
    ]
    environment = {**os.environ, "DATABASE_URL": _without_tls_by_default(database_url)}
    done = subprocess.run(  # noqa: S603  (our own command line)
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise FatalError(f"The migrations failed: {(done.stderr or done.stdout).strip()}")


def _dbmate_program() -> Path:
    return Path(sysconfig.get_path("scripts")) / "dbmate"


def _without_tls_by_default(database_url: str) -> str:
    """Dbmate's driver insists on TLS unless told; asyncpg does not."""
    parts = urlsplit(database_url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    query.setdefault("sslmode", "disable")
    return urlunsplit(parts._replace(query=urlencode(query)))


async def missing_migrations(pool: asyncpg.Pool, service_migrations: Path) -> Sequence[str]:
    """The versions that this program expects and the database lacks."""
    expected = [file.name.split("_", 1)[0] for file in migration_files(service_migrations)]
    if await pool.fetchval("select to_regclass('schema_migrations')") is None:
        return expected
    applied = {row[0] for row in await pool.fetch("select version from schema_migrations")}
    return [version for version in expected if version not in applied]
