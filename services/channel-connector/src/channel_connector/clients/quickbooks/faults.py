"""Answers of QuickBooks Online become a body or one of five errors.

The laws of this module: the HTTP status decides before the body is read; both envelopes are
understood, also inside HTTP 200; what cannot be read at all is a passing fault.
Source: error codes and recorded answers, fact sheet section 10; the classes are ours.
"""

from collections.abc import Mapping
from typing import Any

from channel_connector.clients.quickbooks import wire

OK = 200
UNAUTHORIZED = 401
FORBIDDEN = 403
REQUEST_TIMEOUT = 408
TOO_MANY_REQUESTS = 429
SERVER_ERRORS_FROM = 500

GONE = "610"
"""The code of an object that was deleted or never was: HTTP 400, not 404."""

_THROTTLED = frozenset({"3001", "003001"})
_PASSING = frozenset({"10000", "150", "130"})
_STOPPING = frozenset({"120", "140", "3100", "003100", "6190"})
_TOKEN = frozenset({"3200", "003200"})
_DETAIL_LENGTH_MAX = 300
_SAID_BYTES_MAX = 4_000
_SECONDS_DIGITS_MAX = 6
_QUOTA_WORDS = (b"monthly", b"quota", b"coreplus")


class QuickBooksError(Exception):
    """An answer that is no success. `code` is Intuit's, as text, where there was one."""

    def __init__(self, detail: str, *, status: int, code: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


class ThrottledError(QuickBooksError):
    """Too many requests: wait and try again, but not if it is the month's quota."""

    is_quota = False
    retry_after_seconds: float | None = None


class TemporaryError(QuickBooksError):
    """A fault on the way or at the server: try again."""


class TokenRejectedError(QuickBooksError):
    """The access token is not good any more: refresh once."""


class CompanyStoppedError(QuickBooksError):
    """This company will not answer until a person connects it again or pays."""


class WrongRequestError(QuickBooksError):
    """The same request would fail again."""


def body_of(
    status: int, content: bytes, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The JSON object of a successful answer.

    Raises:
        QuickBooksError: one of its five kinds.
    """
    if status == TOO_MANY_REQUESTS:
        raise _throttled(content, headers or {})
    body = _decoded(content)
    faults = _faults(body) if body is not None else []
    if faults:
        raise _error(status, *faults[0])
    if status >= SERVER_ERRORS_FROM or status == REQUEST_TIMEOUT:
        raise TemporaryError(f"QuickBooks answered HTTP {status}", status=status)
    if status == UNAUTHORIZED:
        raise TokenRejectedError("QuickBooks refused the access token", status=status)
    if status == FORBIDDEN:
        raise CompanyStoppedError("QuickBooks refused access to the company", status=status)
    if status != OK:
        raise WrongRequestError(f"QuickBooks answered HTTP {status}", status=status)
    if body is None:
        raise TemporaryError("QuickBooks' answer is broken off or no JSON", status=status)
    return body


def _throttled(content: bytes, headers: Mapping[str, str]) -> ThrottledError:
    """The status has decided; the text, XML or JSON, only tells a used-up month from a throttle."""
    error = ThrottledError("QuickBooks limits the number of requests", status=TOO_MANY_REQUESTS)
    said = content[:_SAID_BYTES_MAX].lower()
    error.is_quota = any(word in said for word in _QUOTA_WORDS)
    seconds = headers.get("retry-after", "")
    if seconds.isascii() and seconds.isdigit():
        error.retry_after_seconds = float(seconds[:_SECONDS_DIGITS_MAX])
    return error


def _error(status: int, code: str, kind: str, detail: str) -> QuickBooksError:
    detail = f"QuickBooks said {code or kind}: {detail}"
    if code in _THROTTLED:
        return ThrottledError(detail, status=status, code=code)
    if code in _STOPPING:
        return CompanyStoppedError(detail, status=status, code=code)
    if code in _TOKEN or status == UNAUTHORIZED:
        return TokenRejectedError(detail, status=status, code=code)
    if code in _PASSING or kind.upper() == "SYSTEMFAULT" or status >= SERVER_ERRORS_FROM:
        return TemporaryError(detail, status=status, code=code)
    if status == FORBIDDEN:
        return CompanyStoppedError(detail, status=status, code=code)
    return WrongRequestError(detail, status=status, code=code)


def _decoded(content: bytes) -> dict[str, Any] | None:
    try:
        return wire.decode_object(content)
    except ValueError:
        return None


def refuse_without(body: dict[str, Any], holds: str) -> None:
    """Refuse a success that lacks what was asked for: it must not be taken for "nothing there".

    Raises:
        TemporaryError: it does.
    """
    if holds == "CDCResponse":
        there = any(
            isinstance(answer.get("QueryResponse"), (list, dict))
            for answer in wire.members(body.get(holds))
        )
    else:
        there = isinstance(body.get(holds), dict)
    if not there:
        raise TemporaryError(f"QuickBooks' answer holds no {holds}", status=0)


def _faults(body: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Code, type and text of each error in an answer, wherever its fault stands."""
    found = []
    places = [body, body.get("QueryResponse"), *_cdc_blocks(body)]
    for place in places:
        if not isinstance(place, dict):
            continue
        fault = place.get("Fault") or place.get("fault")
        if not isinstance(fault, dict):
            continue
        kind = str(fault.get("type") or "")
        errors = wire.members(fault.get("Error") or fault.get("error"))
        found += [
            (
                str(error.get("code") or ""),
                kind,
                str(error.get("Message") or error.get("message") or "")[:_DETAIL_LENGTH_MAX],
            )
            for error in errors
        ] or [("", kind, "a fault without an error")]
    return found


def _cdc_blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    answers = wire.members(body.get("CDCResponse"))
    return [*answers, *(block for a in answers for block in wire.members(a.get("QueryResponse")))]
