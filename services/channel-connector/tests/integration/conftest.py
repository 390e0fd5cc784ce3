"""The connector on a real Postgres, against the sandbox in a process of its own."""

import base64
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

import channel_connector
from channel_connector import connections, consent, hooks
from channel_connector.app import PROVIDER, WEBHOOKS_PATH
from channel_connector.clients.quickbooks import webhooks
from channel_connector.clients.quickbooks.addresses import oauth_addresses
from channel_connector.clients.quickbooks.client import QuickBooksClient, Retries
from channel_connector.clients.quickbooks.oauth import IntuitTokens
from channel_connector.clients.quickbooks.system import QuickBooksCompany
from channel_connector.consent import Consents
from channel_connector.domain.channels import Connection
from channel_connector.handlers import on_commands
from channel_connector.messages import COMMANDS_TOPIC, SERVICE
from channel_connector.provider import AccountingSystem, ConsentEndpoint
from channel_connector.routes import router, with_company
from channel_connector.tokens import ConnectionTokens
from channel_connector.vault import Vault
from channel_connector.worker import Worker
from chassis.testing import Databases, Driver, Published, databases, fresh_pool, stack
from kauri.service import FIRST_REFRESH_TOKEN, TENANT, KauriService
from kauri.system import KauriConsent, KauriLedger
from quickbooks_sandbox.testing import REALM, REFRESH_TOKEN, SandboxClient, run_sandbox
from upstream import KauriUpstream, QuickBooksUpstream, Upstream

__all__ = ["databases", "stack"]

MIGRATIONS = Path(channel_connector.__file__).parent / "sql" / "migrations"
KEYS = f"k1:{base64.b64encode(b'1' * 32).decode()}"
BUSINESS = "acme"
CHANNEL = "channel-1"
CONNECTION = "connection-1"
INITIAL_DATE = "2026-01-01"
REDIRECT_URI = "http://connector.test/callback"


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[SandboxClient]:
    with run_sandbox() as client:
        yield client


@pytest.fixture
def sandbox(sandbox_process: SandboxClient) -> SandboxClient:
    """The sandbox, as new."""
    sandbox_process.reset()
    return sandbox_process


TABLES = """
    businesses, connections, connection_tokens, channels, sync_runs, documents, items, outbox,
    consumer_offsets, consent_requests, request_paces
"""


@pytest.fixture(scope="session")
async def database(databases: Databases) -> AsyncIterator[asyncpg.Pool]:
    async with fresh_pool(databases, MIGRATIONS) as pool:
        yield pool


@pytest.fixture
async def pool(database: asyncpg.Pool) -> asyncpg.Pool:
    """An empty database; one for the whole run, emptied before each test."""
    await database.execute(f"truncate {TABLES}")
    return database


@pytest.fixture
async def driver(pool: asyncpg.Pool) -> Driver:
    """The use cases without HTTP to anyone."""
    return Driver(pool, [on_commands], group=SERVICE)


class NoPace:
    """The suites do not wait for Intuit's limits."""

    async def wait(self) -> None:
        return


@dataclass
class Connector:
    """The whole connector but Kafka."""

    pool: asyncpg.Pool
    driver: Driver
    http: httpx.AsyncClient
    sandbox: SandboxClient
    vault: Vault = field(default_factory=lambda: Vault(KEYS))
    page_rows: int = 1_000
    cdc_objects_max: int = 1_000
    provider: str = PROVIDER
    realm: str = REALM
    first_refresh_token: str = REFRESH_TOKEN
    syncs: int = 0

    def system_of(self, connection: Connection) -> AccountingSystem:
        client = QuickBooksClient(
            self.http,
            api_url=self.sandbox.url,
            realm_id=connection.realm_id,
            tokens=self.tokens_of(connection),
            pace=NoPace(),
            retries=Retries(
                attempts=3,
                wait_first_seconds=0.01,
                jitter_seconds=0.01,
                throttled_seconds=(0.01, 0.01),
            ),
        )
        return QuickBooksCompany(
            client, page_rows=self.page_rows, cdc_objects_max=self.cdc_objects_max
        )

    @property
    def endpoint(self) -> ConsentEndpoint:
        at = oauth_addresses(self.sandbox.url, REDIRECT_URI)
        return IntuitTokens(self.http, at, "sandbox-client", SecretStr("sandbox-secret"))

    def browser(self) -> httpx.AsyncClient:
        """A browser with cookies of its own, at the connector's HTTP."""

        async def learn(connection: Connection) -> Connection:
            return await with_company(self.pool, connection, self.system_of(connection))

        app = FastAPI()
        app.include_router(
            router(
                self.pool,
                self.vault,
                provider=self.provider,
                system_of=self.system_of,
                endpoint=self.endpoint,
                announce=lambda: None,
            )
        )
        consents = Consents(
            self.pool,
            self.vault,
            self.endpoint,
            provider=self.provider,
            redirect_uri=REDIRECT_URI,
            learn=learn,
            announce=lambda: None,
        )
        app.include_router(consent.router(consents))
        app.include_router(
            hooks.router(
                self.pool,
                provider=PROVIDER,
                path=WEBHOOKS_PATH,
                signature_header=webhooks.SIGNATURE_HEADER,
                verifier_token=SecretStr("sandbox-verifier-token"),
                how_to_turn_on="Set the verifier token.",
                is_genuine=webhooks.is_genuine,
                read_notices=webhooks.read_notices,
            )
        )
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://connector.test"
        )

    def tokens_of(self, connection: Connection) -> ConnectionTokens:
        return ConnectionTokens(
            self.pool,
            self.vault,
            self.endpoint,
            business_id=connection.business_id,
            connection_id=connection.connection_id,
            second_try_seconds=0.01,
        )

    @property
    def worker(self) -> Worker:
        return Worker(self.pool, self.system_of)

    async def connect(self, **settings: object) -> None:
        """Enable the business, add the connection, connect the channel."""
        await self.add_connection()
        await self.driver.apply(
            COMMANDS_TOPIC,
            {"type": "enable-sales-tracking", "business_id": BUSINESS},
            {
                "type": "connect-channel",
                "business_id": BUSINESS,
                "connection_id": CONNECTION,
                "channel_type": "accounting",
                "initial_sync_date": INITIAL_DATE,
                "channel_id": CHANNEL,
                "settings": settings,
            },
        )

    async def add_connection(self, refresh_token: str | None = None) -> Connection:
        return await connections.add_connection(
            self.pool,
            self.vault,
            provider=self.provider,
            business_id=BUSINESS,
            realm_id=self.realm,
            refresh_token=refresh_token or self.first_refresh_token,
            connection_id=CONNECTION,
        )

    async def request_sync(self) -> str:
        self.syncs += 1
        sync_id = f"sync-{self.syncs}"
        published = await self.driver.apply(
            COMMANDS_TOPIC,
            {
                "type": "sync-requested",
                "business_id": BUSINESS,
                "channel_id": CHANNEL,
                "sync_id": sync_id,
            },
        )
        assert [p.body for p in published if p.type == "sync-rejected"] == []
        return sync_id

    async def sync(self) -> "Outcome":
        """A whole sync: what it published."""
        sync_id = await self.request_sync()
        assert await self.worker.work_once()
        return Outcome(sync_id, await self.driver.take_outbox())

    async def cursor(self) -> datetime | None:
        """Up to when the channel is synced."""
        cursor: datetime | None = await self.pool.fetchval(
            "select cursor_at from channels where channel_id = $1", CHANNEL
        )
        return cursor


@dataclass(frozen=True)
class Outcome:
    """What a sync published."""

    sync_id: str
    published: list[Published]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [p.body for p in self.published if p.type == kind]

    @property
    def captured(self) -> list[dict[str, Any]]:
        return self.of("transaction-captured")

    @property
    def summary(self) -> dict[str, Any]:
        (summary,) = self.of("transactions-published")
        return summary

    @property
    def failure(self) -> dict[str, Any]:
        (failure,) = self.of("sync-failed")
        return failure

    def ids(self) -> list[tuple[str, str, int, str]]:
        return [(c["kind"], c["external_id"], c["version"], c["status"]) for c in self.captured]


@pytest.fixture
async def connector(
    pool: asyncpg.Pool, driver: Driver, sandbox: SandboxClient
) -> AsyncIterator[Connector]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield Connector(pool, driver, http, sandbox)


@dataclass
class KauriConnector(Connector):
    """The same connector on an accounting system of another kind."""

    service: KauriService = field(default_factory=KauriService)

    def system_of(self, connection: Connection) -> AccountingSystem:
        return KauriLedger(self.service, self.tokens_of(connection), page_rows=self.page_rows)

    @property
    def endpoint(self) -> ConsentEndpoint:
        return KauriConsent(self.service)


@dataclass(frozen=True)
class Scene:
    """A connector, and the books that it reads."""

    connector: Connector
    books: Upstream


@pytest.fixture(params=["quickbooks", "kauri"])
def scene(request: pytest.FixtureRequest, connector: Connector) -> Scene:
    """Each accounting system in turn."""
    if request.param == "quickbooks":
        return Scene(connector, QuickBooksUpstream(connector.sandbox))
    return kauri_scene(connector)


@pytest.fixture
def kauri(connector: Connector) -> Scene:
    """The second accounting system alone."""
    return kauri_scene(connector)


def kauri_scene(connector: Connector) -> Scene:
    other = KauriConnector(
        connector.pool,
        connector.driver,
        connector.http,
        connector.sandbox,
        provider="kauri-ledger",
        realm=TENANT,
        first_refresh_token=FIRST_REFRESH_TOKEN,
    )
    return Scene(other, KauriUpstream(other.service))


@pytest.fixture(scope="session")
def make_connector() -> type[Connector]:
    """For suites that keep a connector over several tests."""
    return Connector
