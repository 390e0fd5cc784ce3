"""One start of the system: servers, databases, topics, sandbox, services, what can be at once.

Services are configured as in production, by environment variables alone. What the environment
gives (`KAFKA_BOOTSTRAP_SERVERS`, `DATABASE_URL`) is used and never stopped.
"""

import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import httpx

from local_stack import kafka, ports, postgres
from local_stack.errors import StackError
from local_stack.processes import ManagedProcess, spawn, stop_all
from local_stack.progress import Progress
from local_stack.state import State
from local_stack.waiting import wait_until

MIGRATION_SECONDS_MAX = 120.0
PROBE_SECONDS_MAX = 5.0
SERVERS = ("kafka", "postgres")
SANDBOX = "quickbooks-sandbox"
CONNECTOR = "channel-connector"
SERVICES = (CONNECTOR, "sales-processor", "inventory")


@dataclass(frozen=True)
class QuickBooks:
    """Where QuickBooks is, when it is not the sandbox that is started here."""

    api_url: str
    oauth_url: str


class Start:
    """One run of `up`; it leaves alone what already runs."""

    def __init__(self, data_dir: Path, state: State, on_progress: Progress) -> None:
        self._data_dir = data_dir
        self._state = state
        self._on_progress = on_progress
        self._running = {process.name for process in state.running()}
        self._started: list[ManagedProcess] = []
        self._aborted = Event()

    def run(self, apply_topics: Callable[[str], None], quickbooks: QuickBooks | None) -> None:
        """Start everything, or stop again what was started.

        Raises:
            StackError: something did not become ready.
        """
        pool = ThreadPoolExecutor(8)
        try:
            brokers_launched = pool.submit(self._launch_kafka)
            server_ready = pool.submit(self._postgres)
            books_ready = pool.submit(self._quickbooks, quickbooks)
            brokers = brokers_launched.result()
            topics_ready = pool.submit(self._topics, brokers, apply_topics)
            services = self._services(brokers, server_ready.result())
            services.get(CONNECTOR, {}).update(books_ready.result())
            list(pool.map(self._migrate, services, services.values()))
            topics_ready.result()
            list(pool.map(self._serve, services, services.values()))
        except BaseException:
            self._aborted.set()
            stop_in_order(self._started, self._on_progress)
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _launch_kafka(self) -> str:
        given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        if "kafka" in self._running:
            return self._state.addresses["KAFKA_BOOTSTRAP_SERVERS"]
        if given:
            address = given
        else:
            process, address = kafka.launch(self._data_dir, self._on_progress)
            self._note(process)
        self._state.set_address("KAFKA_BOOTSTRAP_SERVERS", address)
        return address

    def _topics(self, brokers: str, apply_topics: Callable[[str], None]) -> None:
        ours = self._state.processes.get("kafka")
        if ours is not None:
            kafka.wait_until_ready(ours.server, brokers)
            self._on_progress(f"kafka is ready on {brokers}")
        apply_topics(brokers)
        self._on_progress("topics are ready")

    def _postgres(self) -> str:
        given = os.environ.get("DATABASE_URL")
        if "postgres" in self._running:
            return self._state.addresses["POSTGRES_URL"]
        if given:
            url = given
        else:
            process, url = postgres.launch(self._data_dir)
            self._note(process)
            postgres.wait_until_ready(process.server, url)
            self._on_progress("postgres is ready")
        self._state.set_address("POSTGRES_URL", url)
        postgres.create_databases(url, [_database(service) for service in SERVICES])
        return url

    def _quickbooks(self, elsewhere: QuickBooks | None) -> dict[str, str]:
        """The connector's variables about QuickBooks, after starting the sandbox if it is used."""
        variables = {"TOKEN_KEYS": self._token_key()}
        if elsewhere is not None:
            return variables | {
                "QUICKBOOKS_API_URL": elsewhere.api_url,
                "QUICKBOOKS_OAUTH_URL": elsewhere.oauth_url,
                "QUICKBOOKS_ENVIRONMENT": os.environ.get("QUICKBOOKS_ENVIRONMENT", "sandbox"),
                "QUICKBOOKS_CLIENT_ID": os.environ.get("QUICKBOOKS_CLIENT_ID", "sandbox-client"),
                "QUICKBOOKS_CLIENT_SECRET": os.environ.get(
                    "QUICKBOOKS_CLIENT_SECRET", "sandbox-secret"
                ),
            }
        url = self._sandbox()
        return variables | {
            "QUICKBOOKS_API_URL": url,
            "QUICKBOOKS_OAUTH_URL": url,
            "QUICKBOOKS_ENVIRONMENT": "sandbox",
            "QUICKBOOKS_CLIENT_ID": "sandbox-client",
            "QUICKBOOKS_CLIENT_SECRET": "sandbox-secret",
        }

    def _sandbox(self) -> str:
        if SANDBOX in self._running:
            return self._state.addresses["QUICKBOOKS_SANDBOX_URL"]
        port = ports.remembered_ports(self._data_dir / "sandbox-port.json", [SANDBOX])[SANDBOX]
        command = [
            *[sys.executable, "-m", "quickbooks_sandbox", "--host", ports.HOST],
            *["--port", str(port), "--data", str(self._data_dir / "quickbooks")],
        ]
        process = self._spawn(SANDBOX, command, {})
        url = f"http://{ports.HOST}:{port}"
        wait_until(lambda: _answer(f"{url}/health/ready") == httpx.codes.OK, process.server)
        self._state.set_address("QUICKBOOKS_SANDBOX_URL", url)
        self._on_progress(f"the QuickBooks sandbox is ready on {url}")
        return url

    def _services(self, brokers: str, server_url: str) -> dict[str, dict[str, str]]:
        """The environment of each service that is to be started."""
        names = [service for service in SERVICES if service not in self._running]
        chosen = ports.remembered_ports(self._data_dir / "service-ports.json", names)
        services = {}
        for name in names:
            database_url = postgres.database_url(server_url, _database(name))
            self._state.set_address(f"{variable(name)}_DATABASE_URL", database_url)
            services[name] = {
                "KAFKA_BOOTSTRAP_SERVERS": brokers,
                "DATABASE_URL": database_url,
                "HTTP_HOST": ports.HOST,
                "HTTP_PORT": str(chosen[name]),
            }
        return services

    def _migrate(self, name: str, environment: Mapping[str, str]) -> None:
        done = subprocess.run(  # noqa: S603  (our own services)
            [sys.executable, "-m", _module(name), "migrate"],
            env={**os.environ, **environment},
            cwd=self._data_dir,
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            timeout=MIGRATION_SECONDS_MAX,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(
                f"The database of {name} could not be migrated:\n{done.stdout}{done.stderr}".strip()
            )

    def _serve(self, name: str, environment: Mapping[str, str]) -> None:
        """Start a service, and wait until it says that it is ready."""
        command = [sys.executable, "-m", _module(name), "run"]
        process = self._spawn(name, command, environment)
        url = f"http://{ports.HOST}:{environment['HTTP_PORT']}"
        wait_until(
            lambda: _answer(f"{url}/health/ready") == httpx.codes.OK,
            process.server,
        )
        self._state.set_address(f"{variable(name)}_URL", url)
        self._on_progress(f"{name} is ready on {url}")

    def _spawn(
        self, name: str, command: list[str], environment: Mapping[str, str]
    ) -> ManagedProcess:
        log = self._data_dir / "logs" / f"{name}.log"
        process = spawn(name, command, log=log, env=environment, cwd=self._data_dir)
        self._note(process)
        return process

    def _note(self, process: ManagedProcess) -> None:
        """Remember a process for `down`, or stop it where the start was given up meanwhile."""
        self._state.add(process)
        self._started.append(process)
        if self._aborted.is_set():
            process.stop(self._on_progress)
            raise StackError("The start was interrupted.")

    def _token_key(self) -> str:
        """The key that encrypts stored tokens, made once and readable by its owner alone."""
        file = self._data_dir / "token-keys"
        if not file.exists():
            file.touch(0o600)
            key = f"local:{base64.b64encode(secrets.token_bytes(32)).decode()}"
            file.write_text(key + "\n", "utf-8")
        return file.read_text("utf-8").strip()


def stop_in_order(processes: list[ManagedProcess], on_progress: Progress) -> None:
    """Stop services before the sandbox, and both before the servers under them."""
    for layer in (
        [p for p in processes if p.name in SERVICES],
        [p for p in processes if p.name == SANDBOX],
        [p for p in processes if p.name in SERVERS],
    ):
        if layer:
            on_progress(f"stopping {', '.join(process.name for process in layer)}")
            stop_all(layer, on_progress)


def variable(name: str) -> str:
    """The start of a process's variables in `salesync env`."""
    return _module(name).upper()


def _module(name: str) -> str:
    return name.replace("-", "_")


def _database(service: str) -> str:
    return service.replace("-", "_")


def _answer(url: str) -> int | None:
    """The status of the answer; None where nobody answers."""
    try:
        with httpx.Client(trust_env=False, timeout=PROBE_SECONDS_MAX) as client:
            return client.get(url).status_code
    except httpx.TransportError:
        return None
