"""A Kafka and a Postgres for one test run, gone with it however it ends.

Given `KAFKA_BOOTSTRAP_SERVERS` or `DATABASE_URL`, those servers are used and never stopped. With
`SALESYNC_TEST_STACK=containers` both come from containers. Otherwise they are started from wheels
and jars in a temporary folder, Postgres without fsync, and a guardian process ends them when the
test process is gone.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_stack import kafka, postgres
from local_stack.errors import StackError
from local_stack.processes import ManagedProcess, stop_all
from local_stack.progress import Progress, silent


@dataclass(frozen=True)
class Stack:
    """The servers of a test run; a pid is None where the server is not ours."""

    bootstrap_servers: str
    server_url: str
    kafka_pid: int | None = None
    postgres_pid: int | None = None

    def server_dsn(self, database: str) -> str:
        """The URL of a database on the server; creating the database is the caller's."""
        return postgres.database_url(self.server_url, database)

    def kafka_tool(
        self,
        main_class: str,
        *args: str,
        input: str | None = None,  # noqa: A002  (named as in subprocess.run)
    ) -> "subprocess.CompletedProcess[str]":
        """Run one of Kafka's own tools from its jars; the address is for the caller to pass."""
        return kafka.tool(main_class, *args, input=input)


@contextmanager
def ephemeral(on_progress: Progress = silent) -> Iterator[Stack]:
    """Servers for as long as the block runs.

    Raises:
        StackError: a server cannot be started; the message says why and what to do.
    """
    with ExitStack() as cleanup:
        given_kafka = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        given_postgres = os.environ.get("DATABASE_URL")
        kind = os.environ.get("SALESYNC_TEST_STACK", "local")
        if given_kafka and given_postgres:
            yield Stack(given_kafka, given_postgres)
        elif kind == "containers":
            from local_stack import containers  # noqa: PLC0415  (needs Docker's client)

            yield Stack(
                given_kafka or cleanup.enter_context(containers.kafka_container()),
                given_postgres or cleanup.enter_context(containers.postgres_container()),
            )
        elif kind == "local":
            yield _from_wheels(cleanup, given_kafka, given_postgres, on_progress)
        else:
            raise StackError(
                f"SALESYNC_TEST_STACK is {kind!r}, but must be `local` (the default) or"
                " `containers`."
            )


def _from_wheels(
    cleanup: ExitStack, given_kafka: str | None, given_postgres: str | None, on_progress: Progress
) -> Stack:
    folder = Path(tempfile.mkdtemp(prefix="partsemble-test-"))
    watch = cleanup.enter_context(_guarded(folder))
    processes: list[ManagedProcess] = []
    cleanup.callback(stop_all, processes)

    def start_kafka() -> tuple[str, int | None]:
        if given_kafka:
            return given_kafka, None
        process, address = kafka.launch(folder, on_progress)
        processes.append(process)
        watch(process)
        kafka.wait_until_ready(process.server, address)
        return address, process.pid

    def start_postgres() -> tuple[str, int | None]:
        if given_postgres:
            return given_postgres, None
        process, url = postgres.launch(folder, durable=False)
        processes.append(process)
        watch(process)
        postgres.wait_until_ready(process.server, url)
        return url, process.pid

    with ThreadPoolExecutor(2) as pool:
        starting = pool.submit(start_kafka), pool.submit(start_postgres)
    address, kafka_pid = starting[0].result()
    url, postgres_pid = starting[1].result()
    return Stack(address, url, kafka_pid, postgres_pid)


@contextmanager
def _guarded(folder: Path) -> Iterator[Callable[[ManagedProcess], None]]:
    """A guardian for the folder and for the processes that are passed to the function yielded."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("guardian.py")), str(folder)]
    with subprocess.Popen(  # noqa: S603  (our own module)
        command, stdin=subprocess.PIPE, text=True, start_new_session=True
    ) as guardian:
        pipe = guardian.stdin
        if pipe is None:
            raise AssertionError

        def watch(process: ManagedProcess) -> None:
            pipe.write(f"{process.pid} {process.started_at}\n")
            pipe.flush()

        try:
            yield watch
        finally:
            shutil.rmtree(folder, ignore_errors=True)
