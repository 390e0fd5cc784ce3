"""Where inventory is put together."""

from pathlib import Path

from chassis.service import Definition, Parts, Service
from inventory.handlers import JOURNAL, RECEIVES, SENDS, subscriptions
from inventory.reads import router
from inventory.settings import Settings

MIGRATIONS = Path(__file__).parent / "sql" / "migrations"


def build(settings: Settings, parts: Parts) -> Service:  # noqa: ARG001  (nothing to set)
    """Inventory: commands in, costs and stock out, reads over HTTP."""
    parts.http.include_router(router(parts.pool))
    return Service(subscriptions=subscriptions())


DEFINITION = Definition(
    name="inventory",
    settings=Settings,
    migrations=MIGRATIONS,
    build=build,
    sends=SENDS,
    receives=RECEIVES,
    journal=JOURNAL,
)
