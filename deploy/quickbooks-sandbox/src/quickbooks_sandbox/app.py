"""Builds the sandbox's web application: the table of contents of this package."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from quickbooks_sandbox import __version__, api, control, oauth
from quickbooks_sandbox.faults import QboError
from quickbooks_sandbox.forms import FormError
from quickbooks_sandbox.gateway import Gateway
from quickbooks_sandbox.sandbox import Sandbox, Settings
from quickbooks_sandbox.wire import Document


def build_app(settings: Settings) -> FastAPI:
    """The application for these settings, its state loaded.

    Raises: JournalError if the data file cannot be read.
    """
    sandbox = Sandbox(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        sandbox.journal.close()

    app = FastAPI(title="QuickBooks sandbox", version=__version__, lifespan=lifespan)

    async def act(action: Document) -> None:
        await call_own_route(app, action)

    app.state.sandbox = sandbox
    gateway = Gateway(sandbox, act)
    app.include_router(oauth.router(gateway))
    app.include_router(api.router(gateway))
    app.include_router(control.router(sandbox))

    @app.get("/health/live", include_in_schema=False)
    @app.get("/health/ready", include_in_schema=False)
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    _tell_control_errors(app)
    return app


async def call_own_route(app: FastAPI, action: Document) -> None:
    """Make one call of the control API from within.

    Raises: FormError if the answer is an error.
    """
    body = json.dumps(action.get("json", {})).encode()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": str(action.get("method", "POST")).upper(),
        "scheme": "http",
        "path": action["path"],
        "raw_path": str(action["path"]).encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"host", b"sandbox")],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
    }
    answers: list[Any] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's own message type
        answers.append(message)

    await app(scope, receive, send)
    if answers[0]["status"] >= 400:  # noqa: PLR2004 - the first status that is an error
        text = b"".join(message.get("body", b"") for message in answers[1:]).decode()
        raise FormError(f"the planned change {action['path']} failed: {text}")


def _tell_control_errors(app: FastAPI) -> None:
    """Answer what the control API refuses with one sentence."""

    @app.exception_handler(FormError)
    async def form_error(_: Request, error: FormError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(QboError)
    async def refused(_: Request, error: QboError) -> JSONResponse:
        return JSONResponse({"detail": f"{error.message}: {error.detail}", "code": error.code}, 422)

    @app.exception_handler(ValidationError)
    async def invalid(_: Request, error: ValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"detail": f"{place}: {first['msg']}"}, 422)
