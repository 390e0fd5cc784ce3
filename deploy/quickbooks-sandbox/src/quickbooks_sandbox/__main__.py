"""Starts the sandbox: `python -m quickbooks_sandbox --port 8090`."""

import argparse
import logging
import os
import sys
from pathlib import Path

import uvicorn

from quickbooks_sandbox.app import build_app
from quickbooks_sandbox.gateway import ConnectionDroppedError
from quickbooks_sandbox.journal import JournalError
from quickbooks_sandbox.sandbox import Settings

ENVIRONMENT = "QUICKBOOKS_SANDBOX_"


class HideDrops(logging.Filter):
    """Leaves out the traceback of a connection that was cut on purpose."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be shown."""
        return not (record.exc_info and isinstance(record.exc_info[1], ConnectionDroppedError))


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped; 2 if it cannot start."""
    options = _parser().parse_args(arguments)
    settings = Settings(
        host=options.host,
        port=options.port,
        data=options.data,
        client_id=options.client_id,
        client_secret=options.client_secret,
        realm=options.realm,
        refresh_token=options.refresh_token,
        redirect_uris=tuple(options.redirect_uri),
        intuit_limits=options.intuit_limits,
    )
    try:
        app = build_app(settings)
    except (JournalError, OSError) as error:
        sys.stderr.write(f"quickbooks-sandbox cannot start: {error}\n")
        return 2
    logging.getLogger("uvicorn.error").addFilter(HideDrops())
    config = uvicorn.Config(
        app, settings.host, settings.port, access_log=False, log_level=options.log_level
    )
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m quickbooks_sandbox",
        description="A stand-in for QuickBooks Online. Every option can also be given as an "
        f"environment variable, {ENVIRONMENT}PORT for --port and so on.",
    )
    known = Settings()

    def option(name: str, default: object, text: str, **more: object) -> None:
        variable = ENVIRONMENT + name.upper().replace("-", "_")
        value = os.environ.get(variable, default)
        parser.add_argument(f"--{name}", default=value, help=text, **more)  # type: ignore[arg-type]

    option("host", known.host, "address to listen on (default %(default)s)")
    option("port", known.port, "port to listen on (default %(default)s)", type=int)
    option("data", None, "file or folder that keeps the state; none: forget at the end", type=Path)
    option("client-id", known.client_id, "OAuth client id (default %(default)s)")
    option("client-secret", known.client_secret, "OAuth client secret (default %(default)s)")
    option("realm", known.realm, "company id of the first company (default %(default)s)")
    option("refresh-token", known.refresh_token, "its first refresh token (default %(default)s)")
    option("log-level", "warning", "of uvicorn (default %(default)s)")
    parser.add_argument(
        "--redirect-uri",
        action="append",
        default=os.environ.get(f"{ENVIRONMENT}REDIRECT_URI", "").split(),
        help="a redirect URI that the app registered; may be repeated; none allows any",
    )
    parser.add_argument(
        "--intuit-limits",
        action="store_true",
        default=os.environ.get(f"{ENVIRONMENT}INTUIT_LIMITS", "") not in {"", "0", "false"},
        help="refuse more than 10 requests a second or 500 a minute, as Intuit does",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
