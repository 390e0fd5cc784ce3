"""HTTP to one QuickBooks company: limits, retries, tokens.

The laws of this module: a request goes out only at its turn; retries are bounded, jittered and
only for what passes, and a used-up month is not retried at all; a refused access token is renewed
once per call; every answer's `intuit_tid` is logged, never a body or a token.
Source: fact sheet section 10.
"""

import random
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, Protocol

import httpx
import stamina
import structlog

from channel_connector.clients.quickbooks import faults, wire
from channel_connector.provider import SourceError, TokenSource

log = structlog.get_logger(__name__)

MINOR_VERSION = "75"
STEP_SECONDS = 0.125
"""Between two requests to a company: never more than 10 in a second or 500 in a minute."""
TOKEN_SHOWN = b"[access token]"
"""What stands for the token where an answer repeats it: texts of faults reach people."""
TIMEOUT = httpx.Timeout(125.0, connect=10.0)
"""Intuit gives up a request itself after 120 seconds."""


class Pace(Protocol):
    """Keeps requests to a company apart."""

    async def wait(self) -> None:
        """Wait for a turn."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how long a request is repeated.

    After a 429 the waits are `throttled_seconds`, for Intuit sends no Retry-After: the first cures
    a second's limit, their sum a minute's.
    """

    attempts: int = 6
    seconds_max: float = 150.0
    throttled_seconds: tuple[float, ...] = (1.0, 4.0, 15.0, 60.0)
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
        pace: Pace,
        retries: Retries,
    ) -> None:
        self.calls = 0
        self.realm_id = realm_id
        self._http = http
        self._base = f"{api_url}/v3/company/{realm_id}"
        self._tokens = tokens
        self._pace = pace
        self._retries = retries

    async def query(self, statement: str) -> Answer:
        """The answer to a statement of the query language.

        Raises:
            SourceError: it failed for good.
            WrongRequestError: the statement itself is refused.
        """
        return await self._send(
            "POST",
            "query",
            "QueryResponse",
            content=statement.encode(),
            content_type="application/text",
        )

    async def changes(self, entities: str, since: datetime) -> Answer:
        """The answer of change data capture.

        Raises:
            SourceError: it failed for good.
            WrongRequestError: it is refused.
        """
        changed_since = instant_text(since)
        return await self._send(
            "GET",
            "cdc",
            "CDCResponse",
            params={"entities": entities, "changedSince": changed_since},
        )

    async def read(self, entity: str, external_id: str) -> Answer | None:
        """One object, or None if it was deleted or never was.

        Raises:
            SourceError: it failed for good.
            WrongRequestError: it is refused.
        """
        try:
            return await self._send("GET", f"{entity.lower()}/{external_id}", entity)
        except faults.WrongRequestError as error:
            if error.code == faults.GONE:
                return None
            raise

    async def _send(
        self,
        method: str,
        path: str,
        holds: str,
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
                on=_Patience(self._retries).judge,
                attempts=self._retries.attempts,
                timeout=self._retries.seconds_max,
                wait_initial=self._retries.wait_first_seconds,
                wait_max=self._retries.wait_seconds_max,
                wait_jitter=self._retries.jitter_seconds,
            ):
                with attempt:
                    return await self._send_with_token(request, holds)
        except faults.QuickBooksError as error:
            _give_up(error)
        raise AssertionError("stamina returns or raises")

    async def _send_with_token(self, request: dict[str, Any], holds: str) -> Answer:
        token = await self._tokens.current()
        try:
            return await self._send_once(request, token, holds)
        except faults.TokenRejectedError:
            renewed = await self._tokens.renew(token)
            return await self._send_once(request, renewed, holds)

    async def _send_once(self, request: dict[str, Any], token: str, holds: str) -> Answer:
        await self._pace.wait()
        self.calls += 1
        headers = {
            **request["headers"],
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
        }
        try:
            answer, content = await self._exchange({**request, "headers": headers})
        except httpx.HTTPError as error:
            kind = type(error).__name__
            log.warning("quickbooks did not answer", realm_id=self.realm_id, error=kind)
            raise faults.TemporaryError(f"QuickBooks did not answer ({kind})", status=0) from None
        content = content.replace(token.encode(), TOKEN_SHOWN)
        try:
            body = faults.body_of(answer.status_code, content, answer.headers)
            faults.refuse_without(body, holds)
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

    async def _exchange(self, request: dict[str, Any]) -> tuple[httpx.Response, bytes]:
        """Send a request; the answer, and apart from it its bytes.

        The response refers to itself and stays until the collector comes by. A page is too large
        to stay with it.
        """
        async with self._http.stream(**request, timeout=TIMEOUT) as answer:
            return answer, b"".join([part async for part in answer.aiter_bytes()])


class _Patience:
    """Judges the failures of one request: whether to try again, and when."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._waits = list(retries.throttled_seconds)

    def judge(self, error: Exception) -> bool | float:
        """False to give up, True for the usual backoff, or the seconds to wait."""
        if isinstance(error, faults.ThrottledError):
            if error.is_quota or not self._waits:
                return False
            wait = self._waits.pop(0)
            asked = min(error.retry_after_seconds or 0.0, self._retries.wait_seconds_max)
            jitter = random.uniform(0, self._retries.jitter_seconds)  # noqa: S311  (no secret)
            return max(wait, asked) + jitter
        return isinstance(error, faults.TemporaryError)


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
        case faults.ThrottledError(is_quota=True):
            raise SourceError(
                "rate-limited",
                f"{error}: the month's quota of this app is used up (quota). Nothing can be read "
                "until the next month begins, or the app's plan at Intuit is raised.",
            ) from None
        case faults.ThrottledError():
            raise SourceError(
                "rate-limited",
                f"{error} (throttle), and went on after several waits. Try again in a few minutes; "
                "if it stays for hours, the month's quota may be used up.",
            ) from None
        case faults.CompanyStoppedError() | faults.TokenRejectedError():
            raise SourceError("needs-reconnect", f"{error}. Connect the company again.") from None
        case _:
            raise SourceError("upstream-error", f"{error}. Try again later.") from None


def instant_text(value: datetime) -> str:
    """An instant as filters take it, in UTC, with its offset."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")
