"""Webhooks: a change at the source asks for a sync.

The laws of this module: nothing unsigned is read; a delivery only notes which channels want a
sync, in one statement; delivered twice, late or out of order it changes nothing more, for what lies
before a channel's cursor is stored already; channels that did not turn webhooks on are left alone.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import asyncpg
import structlog
from fastapi import APIRouter, Request, Response
from pydantic import SecretStr

from channel_connector import store
from chassis.http import problem

log = structlog.get_logger(__name__)

BODY_BYTES_MAX = 2_097_152
UNAUTHORIZED = 401
TOO_LARGE = 413
NOT_CONFIGURED = 501


def router(
    pool: asyncpg.Pool,
    *,
    provider: str,
    path: str,
    signature_header: str,
    verifier_token: SecretStr | None,
    how_to_turn_on: str,
    is_genuine: Callable[[bytes, str, str], bool],
    read_notices: Callable[[bytes], dict[str, datetime | None]],
) -> APIRouter:
    """The webhook route of one accounting system."""
    routes = APIRouter()

    @routes.post(path, response_model=None)
    async def deliver(request: Request) -> Response | dict[str, Any]:
        """Note which channels want a sync; the answer never waits for one."""
        if verifier_token is None:
            return problem(NOT_CONFIGURED, "Webhooks are off", how_to_turn_on)
        body = await _bounded(request)
        if body is None:
            text = f"A delivery has at most {BODY_BYTES_MAX} bytes."
            return problem(TOO_LARGE, "Too large", text)
        signature = request.headers.get(signature_header, "")
        if not is_genuine(body, signature, verifier_token.get_secret_value()):
            log.warning("webhook refused: wrong signature")
            text = f"`{signature_header}` is not the signature of these bytes."
            return problem(UNAUTHORIZED, "Wrong signature", text)
        try:
            notices = read_notices(body)
        except ValueError as error:
            log.warning("webhook not understood", error=str(error))
            return {"syncs_wanted": 0}
        wanted = await store.queries.want_syncs(
            pool, provider=provider, realm_ids=list(notices), latest=list(notices.values())
        )
        log.info("webhook taken", companies=len(notices), syncs_wanted=wanted)
        return {"syncs_wanted": wanted}

    return routes


async def _bounded(request: Request) -> bytes | None:
    """The body, or None if it is too large."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            return None
        parts.append(part)
    return b"".join(parts)
