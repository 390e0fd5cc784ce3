"""Free loopback ports, the same ones again as long as nobody else took them.

Ports are taken below the range from which systems give ports to outgoing connections, so that a
connection of some client cannot sit on a port between its choice and the server's bind.
"""

import json
import random
import socket
from pathlib import Path

from local_stack.errors import StackError

HOST = "127.0.0.1"
PORT_MIN, PORT_MAX = 20_000, 32_000
TRIES_MAX = 200


def is_free(port: int) -> bool:
    """Whether a server can bind the port on the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port(taken: set[int]) -> int:
    """A free port that is not in `taken`, to which it is added."""
    for _ in range(TRIES_MAX):
        port = random.randint(PORT_MIN, PORT_MAX)  # noqa: S311  (no secret)
        if port not in taken and is_free(port):
            taken.add(port)
            return port
    raise StackError(
        f"No free port between {PORT_MIN} and {PORT_MAX} on {HOST} was found in {TRIES_MAX} tries."
        " Stop some of the servers on this machine and run this again."
    )


def remembered_ports(file: Path, names: list[str]) -> dict[str, int]:
    """A free port for each name: the one that `file` remembers where it is free, else a new one.

    The file is written with the answer; ports of other names stay in it.
    """
    remembered: dict[str, int] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    taken = set(remembered.values())
    for name in names:
        if name not in remembered or not is_free(remembered[name]):
            remembered[name] = free_port(taken)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(remembered, indent=2) + "\n", "utf-8")
    new.replace(file)
    return {name: remembered[name] for name in names}
