"""A process that asks for an access token when told to: `current` or `renew`, one word a line."""

import asyncio
import os
import sys

import httpx
from pydantic import SecretStr

from channel_connector.clients.quickbooks.addresses import oauth_addresses
from channel_connector.clients.quickbooks.oauth import IntuitTokens
from channel_connector.provider import SourceError
from channel_connector.tokens import ConnectionTokens
from channel_connector.vault import Vault
from chassis import logs
from chassis.database import open_pool


async def serve() -> None:
    """Answer each word with the token, or with the reason why there is none."""
    pool = await open_pool(os.environ["DATABASE_URL"], application="refresher")
    async with httpx.AsyncClient(trust_env=False) as http:
        at = oauth_addresses(os.environ["QUICKBOOKS_OAUTH_URL"], "http://localhost/callback")
        tokens = ConnectionTokens(
            pool,
            Vault(os.environ["TOKEN_KEYS"]),
            IntuitTokens(http, at, "sandbox-client", SecretStr("sandbox-secret")),
            business_id="acme",
            connection_id="connection-1",
            second_try_seconds=0.01,
        )
        token = ""
        answer = "ready"
        while True:
            sys.stdout.write(f"{answer}\n")
            sys.stdout.flush()
            word = (await asyncio.to_thread(sys.stdin.readline)).strip()
            if not word:
                break
            try:
                token = await (tokens.current() if word == "current" else tokens.renew(token))
                answer = f"token {token}"
            except SourceError as error:
                answer = error.reason
    await pool.close()


if __name__ == "__main__":
    logs.configure("refresher", "WARNING")
    asyncio.run(serve())
