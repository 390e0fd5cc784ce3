"""Where the sales-processor is put together."""

from pathlib import Path

from chassis.service import Definition, Parts, Service
from sales_processor.handlers import JOURNAL, RECEIVES, SENDS, subscriptions
from sales_processor.reads import router
from sales_processor.settings import Settings

MIGRATIONS = Path(__file__).parent / "sql" / "migrations"


def build(settings: Settings, parts: Parts) -> Service:  # noqa: ARG001  (nothing to set)
    """The sales-processor: transactions and costs in, sales with margins and summaries out."""
    parts.http.include_router(router(parts.pool))
    return Service(subscriptions=subscriptions())


DEFINITION = Definition(
    name="sales-processor",
    settings=Settings,
    migrations=MIGRATIONS,
    build=build,
    sends=SENDS,
    receives=RECEIVES,
    journal=JOURNAL,
)
