"""The composition root: what the connector is made of."""

from functools import partial

import httpx

from channel_connector.clients.quickbooks.client import Limits, QuickBooksClient, Retries
from channel_connector.clients.quickbooks.oauth import IntuitTokens
from channel_connector.clients.quickbooks.system import QuickBooksCompany
from channel_connector.domain.channels import Connection
from channel_connector.handlers import on_commands
from channel_connector.routes import router
from channel_connector.settings import Settings
from channel_connector.tokens import ConnectionTokens
from channel_connector.vault import Vault
from channel_connector.worker import Worker
from chassis.service import Parts, Service

LOOPBACK_WITHOUT_PROXY = ("all://127.0.0.1", "all://localhost", "all://[::1]")
PROVIDER = "quickbooks-online"


def build(settings: Settings, parts: Parts) -> Service:
    """Build the service of its settings and the chassis's parts."""
    http = httpx.AsyncClient(
        limits=httpx.Limits(max_connections=20), mounts=dict.fromkeys(LOOPBACK_WITHOUT_PROXY)
    )
    vault = Vault(settings.token_keys.get_secret_value())
    endpoint = IntuitTokens(
        http,
        settings.oauth_url,
        settings.quickbooks_client_id,
        settings.quickbooks_client_secret,
    )
    paces: dict[str, Limits] = {}

    def system_of(connection: Connection) -> QuickBooksCompany:
        tokens = ConnectionTokens(
            parts.pool,
            vault,
            endpoint,
            business_id=connection.business_id,
            connection_id=connection.connection_id,
        )
        client = QuickBooksClient(
            http,
            api_url=settings.api_url,
            realm_id=connection.realm_id,
            tokens=tokens,
            limits=paces.setdefault(connection.realm_id, Limits()),
            retries=Retries(),
        )
        return QuickBooksCompany(client)

    worker = Worker(parts.pool, system_of)
    parts.http.include_router(
        router(
            parts.pool,
            vault,
            provider=PROVIDER,
            system_of=system_of,
            announce=parts.relay.wake,
        )
    )
    return Service(
        subscriptions=[on_commands],
        background=[worker.run],
        close=partial(httpx.AsyncClient.aclose, http),
    )
