"""Starts a sandbox for tests and demos, and speaks to it in short sentences.

Law: a sandbox started here is a process of its own on a free loopback port, and ends with its
block.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from quickbooks_sandbox.wire import Document

START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 10
REALM = "9130000000000001"
REFRESH_TOKEN = "sandbox-refresh-token-1"  # noqa: S105 - well known on purpose


class SandboxClient:
    """The control API and the imitated API of a running sandbox."""

    def __init__(self, url: str, realm: str = REALM) -> None:
        """Speak to the sandbox at that address about that company."""
        self.url, self.realm = url, realm
        self.http = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self._access_token = ""

    def control(self, method: str, path: str, form: object = None) -> Any:  # noqa: ANN401 - JSON
        """Make a call below `/control`; the answer's JSON.

        Raises: AssertionError with the sandbox's own sentence if it refuses.
        """
        response = self.http.request(method, f"/control{path}", json=form)
        if response.is_error:
            raise AssertionError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()

    def record(self, collection: str, /, **form: object) -> Document:
        """Create a record of the company by its short form."""
        made: Document = self.control("POST", f"/companies/{self.realm}/{collection}", form)
        return made

    def change(self, method: str, path: str, /, **form: object) -> Document:
        """Change a record: `change("POST", "invoices/1001/void")`."""
        made: Document = self.control(method, f"/companies/{self.realm}/{path}", form)
        return made

    def switch(self, **values: object) -> None:
        """Set switches."""
        self.control("PATCH", "/switches", values)

    def fix_clock(self, instant: str) -> None:
        """Let the clock stand still."""
        self.control("PUT", "/clock", {"fixed": instant})

    def connect(self) -> Document:
        """Make a connection of the company; both tokens, the access token used from now on."""
        tokens: Document = self.control("POST", f"/companies/{self.realm}/tokens", {})
        self._access_token = tokens["access_token"]
        return tokens

    def get(self, path: str, **params: str) -> httpx.Response:
        """Read something below the company, with a good token and asking for JSON."""
        return self.http.get(self.address(path), params=params, headers=self.headers())

    def post(self, path: str, body: Document | str, **params: str) -> httpx.Response:
        """Write something below the company: an object, or a query's statement."""
        headers = self.headers()
        content = body if isinstance(body, str) else json.dumps(body)
        kind = "application/text" if isinstance(body, str) else "application/json"
        headers["Content-Type"] = kind
        return self.http.post(self.address(path), params=params, content=content, headers=headers)

    def query(self, statement: str) -> Document:
        """The QueryResponse of a statement.

        Raises: AssertionError if the sandbox refuses it.
        """
        response = self.get("query", query=statement)
        if response.is_error:
            raise AssertionError(f"{statement}: {response.status_code} {response.text}")
        answer: Document = response.json()["QueryResponse"]
        return answer

    def rows(self, entity: str, where: str = "") -> list[Document]:
        """The rows of a query's first page."""
        rows: list[Document] = self.page(entity, f"WHERE {where}" if where else "").get(entity, [])
        return rows

    def page(self, entity: str, clauses: str = "") -> Document:
        """The QueryResponse of a SELECT with these clauses."""
        return self.query(f"SELECT * FROM {entity} {clauses}")  # noqa: S608 - there is no database

    def changes(self, entities: str, since: str) -> list[Document]:
        """The blocks of a change data capture."""
        response = self.get("cdc", entities=entities, changedSince=since)
        if response.is_error:
            raise AssertionError(f"cdc {entities}: {response.status_code} {response.text}")
        blocks: list[Document] = response.json()["CDCResponse"][0]["QueryResponse"]
        return blocks

    def address(self, path: str) -> str:
        """The address of something below the company."""
        return f"/v3/company/{self.realm}/{path}"

    def headers(self) -> dict[str, str]:
        """Headers of a good request."""
        if not self._access_token:
            self.connect()
        return {"Authorization": f"Bearer {self._access_token}", "Accept": "application/json"}

    def reset(self) -> None:
        """Go back to a fresh start."""
        self.control("POST", "/reset")
        self._access_token = ""

    def close(self) -> None:
        """Close the connections."""
        self.http.close()


@contextmanager
def run_sandbox(*options: str) -> Iterator[SandboxClient]:
    """A sandbox in a process of its own, with these options, ready to answer.

    Raises: RuntimeError if it does not start in time, with what it said.
    """
    port = _free_port()
    command = [sys.executable, "-m", "quickbooks_sandbox", "--port", str(port), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603
    client = SandboxClient(f"http://127.0.0.1:{port}")
    try:
        _await_start(client, process)
        yield client
    finally:
        client.close()
        process.terminate()
        try:
            process.communicate(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _await_start(client: SandboxClient, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = process.stderr.read() if process.stderr else ""
            raise RuntimeError(f"the sandbox ended with {process.returncode}: {said}")
        try:
            client.http.get("/health/live")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the sandbox did not answer within {START_SECONDS_MAX} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
