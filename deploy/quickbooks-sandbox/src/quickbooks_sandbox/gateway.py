"""The way of every imitated request: disturbed, limited, answered, logged.

Law: every answer of `/v3` and of the OAuth endpoints leaves through `Gateway.serve`, so each has an
`intuit_tid`, a line in the log and one shape of error.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping

from fastapi import Response
from starlette.types import Receive, Scope, Send

from quickbooks_sandbox import faults, wire
from quickbooks_sandbox.clock import milliseconds_text
from quickbooks_sandbox.faults import QboError
from quickbooks_sandbox.sandbox import Sandbox
from quickbooks_sandbox.tokens import OAuthError
from quickbooks_sandbox.traffic import Call, Disturbance

LOGGER = logging.getLogger("quickbooks_sandbox")

JSON = "application/json;charset=UTF-8"
XML = "application/xml;charset=UTF-8"
HTML = "text/html;charset=UTF-8"

Answer = Callable[[], Response]
Act = Callable[[wire.Document], Awaitable[None]]
"""Makes one call of the control API."""

GATEWAY_PAGE = """<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>
<body><h1>Bad Gateway</h1><p>The server cannot service your request now.</p></body></html>
"""


class ConnectionDroppedError(Exception):
    """Raised on purpose after half an answer, so that the server cuts the connection."""


class CutResponse(Response):
    """Promises a whole body, sends half of it and breaks the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send headers and half the body, then fail."""
        del receive
        head = {"type": "http.response.start", "status": self.status_code}
        await send(head | {"headers": self.raw_headers})
        half = self.body[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        raise ConnectionDroppedError(scope["path"])


class Gateway:
    """Serves calls on behalf of one sandbox."""

    def __init__(self, sandbox: Sandbox, act: Act) -> None:
        """Serve from this sandbox; `act` makes calls of the control API."""
        self.sandbox = sandbox
        self.act = act

    async def serve(self, call: Call, answer: Answer) -> Response:
        """Answer a call, or let go wrong what was planted to go wrong."""
        started = time.perf_counter()
        tid = _tid()
        disturbance = self.sandbox.disturbances.take(call)
        if disturbance is not None and disturbance.delay_ms:
            await asyncio.sleep(disturbance.delay_ms / 1000)
        response = self._limited(call) or self._disturbed(call, disturbance, answer)
        response.headers["intuit_tid"] = tid
        effect = disturbance.effect if disturbance is not None else ""
        self.sandbox.log.add(
            call,
            at=milliseconds_text(self.sandbox.clock.now()),
            status=response.status_code,
            milliseconds=round((time.perf_counter() - started) * 1000, 3),
            intuit_tid=tid,
            disturbed=effect,
        )
        if disturbance is not None and disturbance.effect == "change-books":
            for action in disturbance.actions:
                await self.act(action)
        return response

    def qbo_error(self, error: QboError) -> Response:
        """A fault as an answer."""
        body = error.body(self.sandbox.clock.now())
        return Response(body, error.status, error.headers, JSON)

    def envelope(self, **parts: str) -> Response:
        """An answer of JSON texts, with the server's `time`."""
        now = milliseconds_text(self.sandbox.clock.now())
        body = ",".join(f'"{name}":{text}' for name, text in parts.items())
        return Response(f'{{{body},"time":"{now}"}}', headers={}, media_type=JSON)

    def _safely(self, answer: Answer) -> Response:
        try:
            return answer()
        except QboError as error:
            return self.qbo_error(error)
        except OAuthError as error:
            body = {"error_description": error.description, "error": error.error}
            return Response(wire.encode(body), error.status, media_type=JSON)
        except Exception:
            LOGGER.exception("a request met a fault of the sandbox itself")
            return self.qbo_error(faults.system_fault("the sandbox has a bug; see its log"))

    def _limited(self, call: Call) -> Response | None:
        if not call.realm:
            return None
        why = self.sandbox.limits.refusal(call, time.monotonic())
        return self._throttled(why) if why is not None else None

    def _throttled(self, why: str) -> Response:
        body = faults.throttled_xml(self.sandbox.clock.now(), why)
        return Response(body, faults.TOO_MANY_REQUESTS, media_type=XML)

    def _disturbed(self, call: Call, planted: Disturbance | None, answer: Answer) -> Response:
        if planted is None or planted.effect in {"delay", "change-books"}:
            return self._safely(answer)
        if planted.effect in {"truncated", "reset"}:
            whole = self._safely(answer)
            body = bytes(whole.body)
            if planted.effect == "reset":
                return CutResponse(body, whole.status_code, media_type=JSON)
            return Response(body[: len(body) // 2], whole.status_code, media_type=JSON)
        if planted.after:
            self._safely(answer)
        effects = {
            "throttle": self._throttle,
            "fault": self._fault,
            "fault-in-200": self._fault_in_200,
            "status": self._status,
            "html": self._html,
            "token-expired": self._token_expired,
            "invalid-grant": self._invalid_grant,
        }
        return effects[planted.effect](call, planted)

    def _throttle(self, _call: Call, _planted: Disturbance) -> Response:
        return self._throttled("The request limit was reached.  Try again later")

    def _fault(self, _call: Call, planted: Disturbance) -> Response:
        system = planted.type == "SystemFault"
        status = planted.status or (faults.SERVER_ERROR if system else faults.BAD_REQUEST)
        return self.qbo_error(_planted_error(planted, status))

    def _fault_in_200(self, call: Call, planted: Disturbance) -> Response:
        fault = wire.encode(_planted_error(planted, 200).fault())
        if call.operation == "query":
            return self.envelope(QueryResponse=f'{{"Fault":{fault}}}')
        return self.envelope(Fault=fault)

    def _status(self, _call: Call, planted: Disturbance) -> Response:
        return Response(planted.body or "", planted.status or 503, media_type="text/plain")

    def _html(self, _call: Call, planted: Disturbance) -> Response:
        return Response(planted.body or GATEWAY_PAGE, planted.status or 502, media_type=HTML)

    def _token_expired(self, call: Call, _planted: Disturbance) -> Response:
        self.sandbox.tokens.expire_access(call.realm or None)
        self.sandbox.save_tokens()
        return self.qbo_error(faults.token_expired("sandbox"))

    def _invalid_grant(self, _call: Call, _planted: Disturbance) -> Response:
        body = wire.encode({"error_description": "Token invalid", "error": "invalid_grant"})
        return Response(body, faults.BAD_REQUEST, media_type=JSON)


def header(headers: Mapping[str, str], name: str) -> str:
    """A header's value in lower case, empty if absent."""
    return headers.get(name, "").lower()


def _planted_error(planted: Disturbance, status: int) -> QboError:
    return QboError(planted.code, planted.message, planted.detail, type=planted.type, status=status)


def _tid() -> str:
    trace = uuid.uuid4().hex
    return f"1-{trace[:8]}-{trace[8:]}"
