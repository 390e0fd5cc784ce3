"""The HTTP side of a service: health, metrics, its AsyncAPI document, and errors as RFC 9457."""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from chassis.health import Health

PAGE_LIMIT_DEFAULT = 100
PAGE_LIMIT_MAX = 1_000

PageLimit = Annotated[int, Query(ge=1, le=PAGE_LIMIT_MAX, description="items in a page, at most")]
PageCursor = Annotated[
    str | None, Query(max_length=2_000, description="`next_cursor` of the page before")
]


PROBLEM: dict[str, Any] = {
    "description": "The request is wrong, or there is no such thing (RFC 9457)",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "errors": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["field", "message"],
                            "properties": {
                                "field": {"type": "string"},
                                "message": {"type": "string"},
                            },
                        },
                    },
                },
            }
        }
    },
}
"""How every error answer is declared."""
NOT_WELL: dict[int | str, dict[str, Any]] = {503: {"description": "It is not well, and says why"}}
BIGINT_MAX = 2**63 - 1


def create_app(
    *,
    title: str,
    health: Health,
    ready: Callable[[], Awaitable[str | None]],
    asyncapi: dict[str, Any],
) -> FastAPI:
    """The application with the routes that every service has.

    `ready` says what keeps the service from being ready, or None.
    """
    app = FastAPI(title=title, docs_url="/docs", redoc_url=None, responses={"4XX": PROBLEM})
    app.add_exception_handler(HTTPException, _problem_of_http_error)
    app.add_exception_handler(RequestValidationError, _problem_of_validation)

    @app.get("/health/live", tags=["operations"], responses=NOT_WELL)
    async def live() -> JSONResponse:
        """Say whether the process does its work; it should be restarted if not."""
        if health.stalled:
            return JSONResponse({"status": "stalled", "detail": health.stalled}, 503)
        return JSONResponse({"status": "alive"})

    @app.get("/health/ready", tags=["operations"], responses=NOT_WELL)
    async def is_ready() -> JSONResponse:
        """Say whether the service can serve: database, schema and Kafka assignment."""
        problems = dict(health.problems)
        if fault := await ready():
            problems["database"] = fault
        if problems:
            return JSONResponse({"status": "not-ready", "problems": problems}, 503)
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", tags=["operations"], response_class=Response)
    async def metrics() -> Response:
        """Prometheus metrics of this process."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/asyncapi.json", tags=["operations"])
    async def asyncapi_document() -> dict[str, Any]:
        """The messages that this service receives and sends, as AsyncAPI 3.0."""
        return asyncapi

    return app


def problem(status: int, title: str, detail: str, **extra: object) -> JSONResponse:
    """An RFC 9457 answer."""
    return JSONResponse(
        {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra},
        status,
        media_type="application/problem+json",
    )


async def _problem_of_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    titles = {404: "Not found", 405: "Method not allowed", 409: "Conflict"}
    title = titles.get(error.status_code, "Request failed")
    detail = error.detail if error.detail != "Not Found" else f"Nothing is at {request.url.path}."
    return problem(error.status_code, title, detail)


async def _problem_of_validation(
    request: Request,  # noqa: ARG001  (FastAPI passes it)
    error: Exception,
) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [
        {"field": ".".join(str(part) for part in fault["loc"]), "message": fault["msg"]}
        for fault in error.errors()
    ]
    return problem(422, "Wrong parameter", "A parameter has a wrong value.", errors=faults)


def storable(text: str | None) -> str | None:
    """An id of a request as it is, if Postgres can hold it.

    Raises:
        HTTPException: 404, nothing can have it.
    """
    if text is not None and "\x00" in text:
        raise HTTPException(404, "No id holds a NUL character.")
    return text


def encode_cursor(*position: str | int) -> str:
    """An opaque cursor for the position of the last item of a page."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """The position in a cursor made by `encode_cursor`, of these types.

    A date and an instant stand there as ISO 8601; the instant is given in UTC.

    Raises:
        HTTPException: 422, the cursor is none of ours.
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position = json.loads(text)
        if not isinstance(position, list):
            raise _wrong_cursor()
        return tuple(_value(found, kind) for found, kind in zip(position, kinds, strict=True))
    except (binascii.Error, ValueError, OverflowError) as error:
        raise _wrong_cursor() from error


def _value(found: object, kind: type) -> object:
    """A part of a position, if Postgres can hold it.

    Raises:
        ValueError: it is of another type, or out of range.
        OverflowError: it is an instant that no calendar has in UTC.
    """
    if type(found) is not (int if kind is int else str):
        raise ValueError(f"a {kind.__name__} is wanted")
    if isinstance(found, int):
        if abs(found) > BIGINT_MAX:
            raise ValueError("more than a bigint holds")
        return found
    text = str(found)
    if kind is datetime:
        return datetime.fromisoformat(text).astimezone(UTC)
    if kind is date:
        return date.fromisoformat(text)
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("text that no database holds")
    return text


def _wrong_cursor() -> HTTPException:
    return HTTPException(422, "`cursor` is none that this list gave; start without one.")
