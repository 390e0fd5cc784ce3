import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import asyncpg
import psutil
import pytest

import local_stack
from local_stack import StackError, postgres


async def test_both_servers_answer(stack: local_stack.Stack) -> None:
    connection = await asyncpg.connect(stack.server_dsn("postgres"))
    try:
        assert (await connection.fetchval("SHOW server_version")).startswith("18.")
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        assert await connection.fetchval("SHOW timezone") == "UTC"
    finally:
        await connection.close()


def test_kafkas_own_tools_run_from_the_jars(stack: local_stack.Stack) -> None:
    server = ("--bootstrap-server", stack.bootstrap_servers)
    topics = "org.apache.kafka.tools.TopicCommand"
    made = stack.kafka_tool(topics, *server, "--create", "--topic", "tried")
    assert (made.returncode, made.stdout, made.stderr) == (0, "Created topic tried.\n", "")
    sent = stack.kafka_tool(
        "org.apache.kafka.tools.ConsoleProducer", *server, "--topic", "tried", input='{"é": 1}\n'
    )
    assert (sent.returncode, sent.stdout) == (0, "")
    read = stack.kafka_tool(
        *["org.apache.kafka.tools.consumer.ConsoleConsumer", *server, "--topic", "tried"],
        *["--from-beginning", "--max-messages", "1", "--timeout-ms", "20000"],
    )
    assert read.stdout == '{"é": 1}\n'


def test_topics_are_never_made_by_a_typing_error(stack: local_stack.Stack) -> None:
    listed = stack.kafka_tool(
        "org.apache.kafka.tools.GetOffsetShell",
        *["--bootstrap-server", stack.bootstrap_servers, "--topic", "no-such-topic"],
    )
    assert listed.returncode == 1
    assert "Could not match any topic-partitions" in listed.stderr


def test_only_this_machine_can_reach_the_servers(stack: local_stack.Stack) -> None:
    for pid in (stack.kafka_pid, stack.postgres_pid):
        assert pid is not None
        listening = {
            connection.laddr.ip.removeprefix("::ffff:")
            for connection in psutil.Process(pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}


async def test_postgres_asks_for_the_password(stack: local_stack.Stack) -> None:
    password = stack.server_url.split(":")[2].split("@")[0]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(stack.server_url.replace(password, "wrong"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give up its rights")
def test_as_root_postgres_is_another_user_with_one_right_of_roots(
    stack: local_stack.Stack,
) -> None:
    status = Path(f"/proc/{stack.postgres_pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert "0" not in fields["Uid"].split()
    assert int(fields["CapEff"], 16) in {0, 1 << 2}, "nothing, or CAP_DAC_READ_SEARCH"


def test_servers_given_by_the_environment_are_used_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@db:5433/postgres?sslmode=require")
    with local_stack.ephemeral() as stack:
        assert stack.bootstrap_servers == "broker:9092"
        assert (
            stack.server_dsn("inventory")
            == "postgresql://me:secret@db:5433/inventory?sslmode=require"
        )
        assert stack.kafka_pid is None
        assert stack.postgres_pid is None


def test_an_unknown_kind_of_stack_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("SALESYNC_TEST_STACK", "clouds")
    with (
        pytest.raises(StackError, match=r"'clouds', but must be `local` .* or `containers`"),
        local_stack.ephemeral(),
    ):
        pass


def test_containers_without_docker_say_what_to_do() -> None:
    program = "import local_stack\nwith local_stack.ephemeral(): pass"
    environment = {name: value for name, value in os.environ.items() if name not in GIVEN}
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=environment
        | {"SALESYNC_TEST_STACK": "containers", "DOCKER_HOST": "unix:///nowhere/docker.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    last_line = run.stderr.splitlines()[-1]
    assert "SALESYNC_TEST_STACK=containers needs a running Docker engine" in last_line


def test_a_killed_test_run_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import time, local_stack
        with local_stack.ephemeral() as stack:
            print(stack.kafka_pid, stack.postgres_pid, flush=True)
            time.sleep(600)
    """)
    environment = {name: value for name, value in os.environ.items() if name not in GIVEN}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env=environment | {"TMPDIR": str(tmp_path)},
    ) as run:
        assert run.stdout is not None
        processes = [psutil.Process(int(pid)) for pid in run.stdout.readline().split()]
        assert len(processes) == 2
        assert len(list(tmp_path.iterdir())) == 1
        run.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    gone, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
    assert len(gone) == 2
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        psutil.wait_procs(psutil.Process().children(), timeout=0.1)
    assert list(tmp_path.iterdir()) == []


def test_database_urls_keep_everything_but_the_database() -> None:
    url = "postgresql://u:p@127.0.0.1:1/postgres?sslmode=disable"
    assert postgres.database_url(url, "b") == "postgresql://u:p@127.0.0.1:1/b?sslmode=disable"


GIVEN = {"KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "SALESYNC_TEST_STACK"}
