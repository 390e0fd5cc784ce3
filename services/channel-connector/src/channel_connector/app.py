"""The composition root: what the connector is made of."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import asyncpg
import httpx

from channel_connector import consent, hooks, maintenance
from channel_connector.clients.quickbooks import webhooks
from channel_connector.clients.quickbooks.addresses import api_address, oauth_addresses
from channel_connector.clients.quickbooks.client import STEP_SECONDS, QuickBooksClient, Retries
from channel_connector.clients.quickbooks.normalise import normalise
from channel_connector.clients.quickbooks.oauth import IntuitTokens
from channel_connector.clients.quickbooks.system import QuickBooksCompany
from channel_connector.consent import Consents
from channel_connector.domain.channels import Connection
from channel_connector.handlers import on_commands
from channel_connector.pace import SharedPace
from channel_connector.routes import router, with_company
from channel_connector.schedule import keep_schedule
from channel_connector.settings import Settings
from channel_connector.tokens import ConnectionTokens
from channel_connector.vault import Vault
from channel_connector.worker import Worker
from chassis.database import open_pool
from chassis.errors import FatalError
from chassis.service import Parts, Service

LOOPBACK_WITHOUT_PROXY = ("all://127.0.0.1", "all://localhost", "all://[::1]")
PROVIDER = "quickbooks-online"
WEBHOOKS_PATH = "/webhooks/quickbooks"

Outcome = TypeVar("Outcome")


def rotate_keys(settings: Settings) -> None:
    """Encrypt all tokens with the newest key of TOKEN_KEYS."""
    vault = Vault(settings.token_keys.get_secret_value())
    rotation = asyncio.run(_with_pool(settings, lambda pool: maintenance.rotate_keys(pool, vault)))
    _say(f"{rotation.rotated} connections' tokens are encrypted with {vault.newest_key_id} now.")
    if rotation.refused:
        raise FatalError("\n".join(rotation.refused))


def renormalise(settings: Settings) -> None:
    """Read stored documents anew and publish those that read differently now."""
    found = asyncio.run(_with_pool(settings, lambda pool: maintenance.renormalise(pool, normalise)))
    for channel in found:
        _say(
            f"{channel.channel_id}: {channel.read} documents read anew, {channel.to_publish} read "
            "differently and are published again."
        )
        for sentence in channel.worse:
            _say(f"{channel.channel_id}: left as published, though it fails now: {sentence}")
    if busy := [channel.channel_id for channel in found if channel.busy]:
        raise FatalError(f"A sync is under way in {', '.join(busy)}; try again when it has ended.")


async def _with_pool(
    settings: Settings, work: Callable[[asyncpg.Pool], Awaitable[Outcome]]
) -> Outcome:
    pool = await open_pool(settings.database_url, application="channel-connector")
    try:
        return await work(pool)
    finally:
        await pool.close()


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")


def build(settings: Settings, parts: Parts) -> Service:
    """Build the service of its settings and the chassis's parts."""
    http = httpx.AsyncClient(
        limits=httpx.Limits(max_connections=20), mounts=dict.fromkeys(LOOPBACK_WITHOUT_PROXY)
    )
    vault = Vault(settings.token_keys.get_secret_value())
    endpoint = IntuitTokens(
        http,
        oauth_addresses(settings.quickbooks_oauth_url, settings.redirect_uri),
        settings.quickbooks_client_id,
        settings.quickbooks_client_secret,
    )

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
            api_url=api_address(settings.quickbooks_environment, settings.quickbooks_api_url),
            realm_id=connection.realm_id,
            tokens=tokens,
            pace=SharedPace(
                parts.pool,
                provider=PROVIDER,
                realm_id=connection.realm_id,
                step_seconds=STEP_SECONDS,
            ),
            retries=Retries(),
        )
        return QuickBooksCompany(client)

    worker = Worker(parts.pool, system_of, announce=parts.relay.wake)
    parts.http.include_router(
        router(
            parts.pool,
            vault,
            provider=PROVIDER,
            system_of=system_of,
            endpoint=endpoint,
            announce=parts.relay.wake,
        )
    )

    async def learn(connection: Connection) -> Connection:
        return await with_company(parts.pool, connection, system_of(connection))

    consents = Consents(
        parts.pool,
        vault,
        endpoint,
        provider=PROVIDER,
        redirect_uri=settings.redirect_uri,
        learn=learn,
        announce=parts.relay.wake,
    )
    parts.http.include_router(consent.router(consents))
    parts.http.include_router(
        hooks.router(
            parts.pool,
            provider=PROVIDER,
            path=WEBHOOKS_PATH,
            signature_header=webhooks.SIGNATURE_HEADER,
            verifier_token=settings.quickbooks_webhook_verifier_token,
            how_to_turn_on="Set QUICKBOOKS_WEBHOOK_VERIFIER_TOKEN to the verifier token of your "
            "app.",
            is_genuine=webhooks.is_genuine,
            read_notices=webhooks.read_notices,
        )
    )
    return Service(
        subscriptions=[replace(on_commands, on_commit=worker.wake)],
        background=[worker.run, partial(keep_schedule, parts.pool)],
        close=partial(httpx.AsyncClient.aclose, http),
    )
