"""A service from start to clean stop: pool, consumer, relay, HTTP server, background work.

On SIGTERM or SIGINT the batch in flight is finished and committed, the outbox is published, then
everything closes. A fault that only a person can mend ends the process with one sentence.
"""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import structlog
import uvicorn
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from fastapi import FastAPI

from chassis import asyncapi, logs
from chassis.consumer import Consumer, Subscription
from chassis.database import migrate, missing_migrations, open_pool
from chassis.errors import FatalError
from chassis.health import Health, watch
from chassis.http import create_app
from chassis.outbox import Relay
from chassis.rebuild import catch_up
from chassis.settings import ServiceSettings, read_settings

log = structlog.get_logger(__name__)

DRAIN_SECONDS_MAX = 20
READY_SECONDS_MAX = 2


@dataclass(frozen=True)
class Parts:
    """What a service gets to build itself from."""

    pool: asyncpg.Pool
    relay: Relay
    http: FastAPI


@dataclass(frozen=True)
class Service:
    """What a service is made of: its subscriptions, and work that runs until cancelled."""

    subscriptions: Sequence[Subscription]
    background: Sequence[Callable[[], Awaitable[None]]] = ()
    close: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True)
class Definition:
    """A service as its `__main__` declares it.

    `name` is its consumer group, and where its messages come from; `build` makes it of its parts.
    `journal` is the topic of its journal, one of those that it sends; a service whose state does
    not come from topics has none.
    """

    name: str
    settings: type[ServiceSettings]
    migrations: Path
    build: Callable[[Any, Parts], Service]
    sends: Sequence[str] = field(default=())
    receives: Sequence[str] = field(default=())
    journal: str | None = None
    commands: dict[str, Callable[[Any], None]] = field(default_factory=dict)


def main(definition: Definition, arguments: Sequence[str] | None = None) -> int:
    """Run the service's command line: `run`, `migrate`, `rebuild`, `offsets …`, and its own."""
    parser = argparse.ArgumentParser(
        prog=definition.name, description="Settings come from the environment."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="serve until SIGTERM")
    commands.add_parser("migrate", help="create the database and bring its schema up to date")
    commands.add_parser("rebuild", help="fill an empty database from the topics, and end")
    for name, function in definition.commands.items():
        commands.add_parser(name, help=function.__doc__)
    offsets = commands.add_parser("offsets", help="show or set the offset applied next")
    offsets.add_argument("action", choices=["show", "reset"])
    offsets.add_argument("--topic")
    offsets.add_argument("--partition", type=int)
    offsets.add_argument("--to", help="earliest, latest or a number")
    chosen = parser.parse_args(arguments)
    settings = read_settings(definition.settings)
    logs.configure(definition.name, settings.log_level)
    try:
        if chosen.command == "migrate":
            migrate(settings.database_url, definition.migrations)
        elif chosen.command == "run":
            tune_garbage_collection()
            uvloop.run(_run(definition, settings))
        elif chosen.command == "rebuild":
            uvloop.run(_rebuild(definition, settings))
        elif chosen.command == "offsets":
            uvloop.run(_offsets(definition, settings, chosen))
        else:
            definition.commands[chosen.command](settings)
    except FatalError as error:
        sys.stderr.write(f"{definition.name}: {error}\n")
        return 1
    except (OSError, KafkaError, asyncpg.PostgresError) as error:
        sys.stderr.write(
            f"{definition.name}: a server cannot be reached or refused: {error!r}. Check "
            "KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL.\n"
        )
        return 1
    return 0


def tune_garbage_collection() -> None:
    """Collect less often: batches make many short-lived objects and few cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _run(definition: Definition, settings: ServiceSettings) -> None:
    pool = await open_pool(settings.database_url, application=definition.name)
    missing = await missing_migrations(pool, definition.migrations)
    if missing:
        await pool.close()
        raise FatalError(
            f"The database lacks the migrations {', '.join(missing)}; apply them with `migrate`."
        )
    health = Health()
    health.set("assignment", "no partition is assigned yet")

    async def ready() -> str | None:
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                lacking = await missing_migrations(pool, definition.migrations)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return f"no answer: {error!r}"
        return f"migrations {', '.join(lacking)} are missing" if lacking else None

    app = create_app(
        title=definition.name,
        health=health,
        ready=ready,
        asyncapi=asyncapi.document(
            definition.name, receives=definition.receives, sends=definition.sends
        ),
    )
    service, consumer, relay = _build(definition, settings, pool, app)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            log_config=None,
            access_log=False,
            lifespan="off",
        )
    )

    async def start() -> None:
        await catch_up(
            consumer,
            pool=pool,
            bootstrap_servers=settings.kafka_bootstrap_servers,
            health=health,
        )
        await consumer.start()

    try:
        await _serve(service, consumer, relay, server, health, settings, start)
    finally:
        if service.close:
            await service.close()
        await pool.close()


def _build(
    definition: Definition, settings: ServiceSettings, pool: asyncpg.Pool, app: FastAPI
) -> tuple[Service, Consumer, Relay]:
    """A service of its parts, with its consumer and relay, nothing started."""
    relay = Relay(
        database_url=settings.database_url,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        source=f"/{definition.name}",
        journal=definition.journal,
    )
    service = definition.build(settings, Parts(pool, relay, app))
    consumer = Consumer(
        group=definition.name,
        subscriptions=service.subscriptions,
        pool=pool,
        relay=relay,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        batch_records_max=settings.batch_records_max,
        dead_letters_in_a_row_max=settings.dead_letters_in_a_row_max,
        retry_seconds_max=settings.retry_seconds_max,
    )
    return service, consumer, relay


async def _rebuild(definition: Definition, settings: ServiceSettings) -> None:
    """Bring the database up to the journal; nothing is consumed and nothing is published."""
    if definition.journal is None:
        raise FatalError(
            f"{definition.name} keeps no journal: its database is not made of topics alone. "
            "Restore it from a backup."
        )
    migrate(settings.database_url, definition.migrations)
    pool = await open_pool(settings.database_url, application=definition.name)
    try:
        _, consumer, _ = _build(definition, settings, pool, FastAPI())
        first, after = await catch_up(
            consumer,
            pool=pool,
            bootstrap_servers=settings.kafka_bootstrap_servers,
            health=Health(),
        )
    finally:
        await pool.close()
    sys.stdout.write(
        f"{after - first} batches of {definition.journal} were applied; the database stands at "
        f"batch {after}.\n"
    )


async def _serve(  # noqa: PLR0917  (all parts of one process)
    service: Service,
    consumer: Consumer,
    relay: Relay,
    server: uvicorn.Server,
    health: Health,
    settings: ServiceSettings,
    start: Callable[[], Awaitable[None]],
) -> None:
    """Run all parts until a signal, or until one of them fails."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    relaying = asyncio.create_task(relay.run(), name="relay")
    serving = asyncio.create_task(_serve_http(server), name="http")
    watching = asyncio.create_task(
        watch(consumer, health, stall_seconds_max=settings.stall_seconds_max), name="watchdog"
    )
    background = [asyncio.ensure_future(work()) for work in service.background]
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        starting = asyncio.ensure_future(start())
        watched: list[asyncio.Future[Any]] = [
            relaying,
            serving,
            watching,
            consumer.failed,
            stopping,
            *background,
        ]
        await asyncio.wait([starting, *watched], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        else:
            starting.cancel()
        log.info("stopping")
    finally:
        health.set("stopping", "the process is about to end")
        for task in (watching, stopping, *background):
            task.cancel()
        await asyncio.gather(watching, stopping, *background, return_exceptions=True)
        try:
            await consumer.stop()
        finally:
            relay.stop()
            _, unfinished = await asyncio.wait([relaying], timeout=DRAIN_SECONDS_MAX)
            if unfinished:
                log.warning("outbox not drained; the next start publishes the rest")
                relaying.cancel()
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)


async def _serve_http(server: uvicorn.Server) -> None:
    """Serve HTTP without uvicorn's own signal handlers."""
    config = server.config
    if not config.loaded:
        config.load()
    server.lifespan = config.lifespan_class(config)
    try:
        await server._serve()  # noqa: SLF001  (the public serve() installs signal handlers)
    except SystemExit as error:
        raise FatalError(
            f"HTTP cannot listen on {config.host}:{config.port}; is the port in use? "
            "Set HTTP_PORT to a free one."
        ) from error


async def _offsets(
    definition: Definition, settings: ServiceSettings, chosen: argparse.Namespace
) -> None:
    """Show the offsets applied next, or set one while the service is stopped."""
    connection = await asyncpg.connect(settings.database_url)
    try:
        if chosen.action == "reset":
            if chosen.topic is None or chosen.partition is None or chosen.to is None:
                raise FatalError("`offsets reset` needs --topic, --partition and --to.")
            offset = await _resolve_offset(settings, chosen)
            await connection.execute(
                """
                insert into consumer_offsets (consumer_group, topic, partition, next_offset)
                values ($1, $2, $3, $4)
                on conflict (consumer_group, topic, partition)
                do update set next_offset = excluded.next_offset
                """,
                definition.name,
                chosen.topic,
                chosen.partition,
                offset,
            )
        for row in await connection.fetch(
            "select topic, partition, next_offset from consumer_offsets order by 1, 2"
        ):
            sys.stdout.write(f"{row['topic']} {row['partition']} {row['next_offset']}\n")
    finally:
        await connection.close()


async def _resolve_offset(settings: ServiceSettings, chosen: argparse.Namespace) -> int:
    if str(chosen.to).isascii() and str(chosen.to).isdigit():
        return int(chosen.to)
    if chosen.to not in {"earliest", "latest"}:
        raise FatalError(f"--to is `{chosen.to}`; expected earliest, latest or a number.")
    partition = TopicPartition(chosen.topic, chosen.partition)
    client = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await client.start()
    try:
        look_up = client.beginning_offsets if chosen.to == "earliest" else client.end_offsets
        return int((await look_up([partition]))[partition])
    finally:
        await client.stop()
