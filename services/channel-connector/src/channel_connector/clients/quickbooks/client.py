"""HTTP to one QuickBooks company: limits, retries, tokens.

The laws of this module: at most 10 requests a second and 500 a minute for a company; retries are
bounded, jittered and only for what passes; a refused access token is renewed once per call; every
answer's `intuit_tid` is logged, never a body or a token.
Source: fact sheet section 10.
"""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import httpx
import stamina
import structlog
from aiolimiter import AsyncLimiter

from channel_connector.clients.quickbooks import faults, wire
from channel_connector.provider import SourceError, TokenSource

log = structlog.get_logger(__name__)

MINOR_VERSION = "75"
TIMEOUT = httpx.Timeout(125.0, connect=10.0)
"""Intuit gives up a request itself after 120 seconds."""


class Limits:
    """The pace of one company; a burst and a steady rate that keep to both limits at any moment.

    In any second at most 2 + 8 requests, in any minute at most 100 + 400.
    """

    def __init__(self) -> None:
        self._second = AsyncLimiter(2, 0.25)
        self._minute = AsyncLimiter(100, 15)

    async def wait(self) -> None:
        """Wait for a turn."""
        await self._minute.acquire()
        await self._second.acquire()


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how long a request is repeated."""

    attempts: int = 6
    seconds_max: float = 150.0
    wait_first_seconds: float = 0.5
    wait_seconds_max: float = 60.0
    jitter_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer and the server's clock when it was given."""

    body: dict[str, Any]
    time: datetime


class QuickBooksClient:
    """Reads of one company. `calls` counts requests sent, retries included."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        api_url: str,
        realm_id: str,
        tokens: TokenSource,
        limits: Limits,
        retries: Retries,
    ) -> None:
        self.calls = 0
        self.realm_id = realm_id
        self._http = http
        self._base = f"{api_url}/v3/company/{realm_id}"
        self._tokens = tokens
        self._limits = limits
        self._retries = retries

    async def query(self, statement: str) -> Answer:
        """The answer to a statement of the query language.

        Raises:
            SourceError: it failed for good.
            WrongRequestError: the statement itself is refused.
        """
        return await self._send(
            "POST", "query", content=statement.encode(), content_type="application/text"
        )

    async def changes(self, entities: str, since: datetime) -> Answer:
        """The answer of change data capture.

        Raises:
            SourceError: it failed for good.
            WrongRequestError: it is refused.
        """
        changed_since = instant_text(since)
        return await self._send(
            "GET", "cdc", params={"entities": entities, "changedSince": changed_since}
        )

    async def read(self, entity: str, external_id: str) -> Answer | None:
        """One object, or None if it was deleted or never was.

        Raises:
            SourceError: it failed for good.
            WrongRequestError: it is refused.
        """
        try:
            return await self._send("GET", f"{entity.lower()}/{external_id}")
        except faults.WrongRequestError as error:
            if error.code == faults.GONE:
                return None
            raise

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
        content_type: str | None = None,
    ) -> Answer:
        request = {
            "method": method,
            "url": f"{self._base}/{path}",
            "params": {**(params or {}), "minorversion": MINOR_VERSION},
            "content": content,
            "headers": {"Content-Type": content_type} if content_type else {},
        }
        try:
            async for attempt in stamina.retry_context(
                on=(faults.ThrottledError, faults.TemporaryError),
                attempts=self._retries.attempts,
                timeout=self._retries.seconds_max,
                wait_initial=self._retries.wait_first_seconds,
                wait_max=self._retries.wait_seconds_max,
                wait_jitter=self._retries.jitter_seconds,
            ):
                with attempt:
                    return await self._send_with_token(request)
        except faults.QuickBooksError as error:
            _give_up(error)
        raise AssertionError("stamina returns or raises")

    async def _send_with_token(self, request: dict[str, Any]) -> Answer:
        token = await self._tokens.current()
        try:
            return await self._send_once(request, token)
        except faults.TokenRejectedError:
            renewed = await self._tokens.renew(token)
            return await self._send_once(request, renewed)

    async def _send_once(self, request: dict[str, Any], token: str) -> Answer:
        await self._limits.wait()
        self.calls += 1
        headers = {
            **request["headers"],
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
        }
        try:
            answer = await self._http.request(**{**request, "headers": headers}, timeout=TIMEOUT)
        except httpx.HTTPError as error:
            kind = type(error).__name__
            log.warning("quickbooks did not answer", realm_id=self.realm_id, error=kind)
            raise faults.TemporaryError(f"QuickBooks did not answer ({kind})", status=0) from None
        try:
            body = faults.body_of(answer.status_code, answer.content)
        except faults.QuickBooksError as error:
            log.warning(
                "quickbooks refused",
                realm_id=self.realm_id,
                status=answer.status_code,
                code=error.code,
                kind=type(error).__name__,
                intuit_tid=answer.headers.get("intuit_tid"),
            )
            raise
        log.info(
            "quickbooks answered",
            realm_id=self.realm_id,
            path=request["url"].rsplit("/", 1)[-1],
            intuit_tid=answer.headers.get("intuit_tid"),
        )
        return Answer(body, _server_time(body, answer.headers))


def _server_time(body: dict[str, Any], headers: httpx.Headers) -> datetime:
    """The server's clock: never ours.

    Raises:
        TemporaryError: the answer tells no time.
    """
    if time := wire.instant(body.get("time")):
        return time
    try:
        return parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        raise faults.TemporaryError("QuickBooks' answer tells no time", status=0) from None


def _give_up(error: faults.QuickBooksError) -> NoReturn:
    """Say what a failure means for the run; a wrong request is the caller's to judge."""
    match error:
        case faults.WrongRequestError():
            raise error
        case faults.ThrottledError():
            raise SourceError(
                "rate-limited",
                f"{error}. It went on after several waits: either too much is asked of this "
                "company just now, or the month's quota is used up. Try again later.",
            ) from None
        case faults.CompanyStoppedError() | faults.TokenRejectedError():
            raise SourceError("needs-reconnect", f"{error}. Connect the company again.") from None
        case _:
            raise SourceError("upstream-error", f"{error}. Try again later.") from None


def instant_text(value: datetime) -> str:
    """An instant as filters take it, in UTC, with its offset."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")
