"""The connector's command line: `run`, `migrate`, `offsets`."""

import sys
from pathlib import Path

from channel_connector.app import build
from channel_connector.messages import COMMANDS_TOPIC, EVENTS_TOPIC, SERVICE, TRANSACTIONS_TOPIC
from channel_connector.settings import Settings
from chassis.service import Definition, main

DEFINITION = Definition(
    name=SERVICE,
    settings=Settings,
    migrations=Path(__file__).parent / "sql" / "migrations",
    build=build,
    sends=[EVENTS_TOPIC, TRANSACTIONS_TOPIC],
    receives=[COMMANDS_TOPIC],
)

if __name__ == "__main__":
    sys.exit(main(DEFINITION))
