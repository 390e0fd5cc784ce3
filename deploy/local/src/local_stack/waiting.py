"""Waiting for a server, with a deadline and with the server's own words when it fails."""

import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from local_stack.errors import StackError

READY_SECONDS_MAX = 120.0
POLL_SECONDS = 0.05


class Server(NamedTuple):
    """What waiting needs to know of a server that is starting."""

    name: str
    is_running: Callable[[], bool]
    log_end: Callable[[], str]


def wait_until(is_ready: Callable[[], bool], server: Server) -> None:
    """Ask until the server is ready.

    Raises:
        StackError: it ended, or was not ready in time; the message has the end of its log.
    """
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not is_ready():
        if not server.is_running():
            raise StackError(
                f"{server.name} ended while it started. If its log says that an address is in use,"
                f" run this again and another port is taken. {server.log_end()}"
            )
        if time.monotonic() > deadline:
            raise StackError(
                f"{server.name} was not ready within {READY_SECONDS_MAX:.0f} s; the machine may be"
                f" too busy. Run this again. {server.log_end()}"
            )
        time.sleep(POLL_SECONDS)


def is_listening(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
