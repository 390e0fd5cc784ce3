"""The connector's command line: the chassis's, `rotate-keys`, `renormalise`."""

import sys
from pathlib import Path

from channel_connector.app import build, renormalise, rotate_keys
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
    commands={"rotate-keys": rotate_keys, "renormalise": renormalise},
)

if __name__ == "__main__":
    sys.exit(main(DEFINITION))
