"""`up`, `down` and `env` as real processes, on real servers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import psutil
import pytest

import local_stack

GIVEN = {"KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "SALESYNC_TEST_STACK"}
SERVICES = ("CHANNEL_CONNECTOR", "SALES_PROCESSOR", "INVENTORY")
EVERYTHING = (*SERVICES, "QUICKBOOKS_SANDBOX", "KAFKA", "POSTGRES")
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data folder; whatever a failed test left running there is stopped."""
    folder = tmp_path / "its data"
    yield folder
    salesync("down", "--data", str(folder))


def salesync(
    *args: str, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "salesync", *args],
        env=_environment(env or {}),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in GIVEN}
    return inherited | {"COLUMNS": "200"} | dict(more)


def _env(data: Path) -> dict[str, str]:
    printed = salesync("env", "--data", str(data))
    assert printed.returncode == 0, printed.stderr
    return dict(line.split("=", 1) for line in printed.stdout.splitlines())


def _alive(env: Mapping[str, str]) -> list[str]:
    """The names of the processes that still run; a zombie does not."""
    pids = {name: int(value) for name, value in env.items() if name.endswith("_PID")}
    return [
        name
        for name, pid in pids.items()
        if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


def _external(stack: local_stack.Stack) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "DATABASE_URL": stack.server_dsn("postgres"),
    }


def test_a_detached_system_is_ready_survives_the_command_and_keeps_its_state(data: Path) -> None:
    up = salesync("up", "--detach", "--data", str(data))
    assert up.returncode == 0, up.stdout + up.stderr
    env = _env(data)
    for name in EVERYTHING:
        assert psutil.pid_exists(int(env[f"{name}_PID"])), name
    for name in SERVICES:
        assert httpx.get(env[f"{name}_URL"] + "/health/ready", trust_env=False).status_code == 200
        assert env[f"{name}_DATABASE_URL"].startswith("postgresql://")
    assert env["KAFKA_BOOTSTRAP_SERVERS"].startswith("127.0.0.1:")
    assert json.loads(salesync("env", "--json", "--data", str(data)).stdout) == env
    plan = salesync("topics", "plan", "--data", str(data))
    assert (plan.returncode, plan.stdout) == (0, "All topics are as the contracts say.\n")
    assert (data / "token-keys").stat().st_mode & 0o077 == 0

    # What died is started again, what runs is left alone.
    inventory = psutil.Process(int(env["INVENTORY_PID"]))
    inventory.kill()
    psutil.wait_procs([inventory], timeout=10)
    assert "INVENTORY_PID" not in _env(data)
    again = salesync("up", "--detach", "--data", str(data))
    assert again.returncode == 0, again.stdout + again.stderr
    mended = _env(data)
    assert mended["INVENTORY_PID"] != env["INVENTORY_PID"]
    assert mended | {"INVENTORY_PID": ""} == env | {"INVENTORY_PID": ""}
    refused = salesync("up", "--data", str(data))
    assert refused.returncode == 1
    assert f"A system is already running in {data}" in refused.stderr

    down = salesync("down", "--data", str(data))
    assert down.returncode == 0
    assert "was killed" not in down.stderr, "all ended cleanly"
    assert _alive(mended) == []
    nothing = salesync("env", "--data", str(data))
    assert nothing.returncode == 1
    assert nothing.stderr == (
        f"salesync: No system is running in {data}. Start it with `salesync up --data {data}`.\n"
    )

    up = salesync("up", "--detach", "--data", str(data))
    assert up.returncode == 0, up.stdout + up.stderr
    pids = {f"{name}_PID": "" for name in EVERYTHING}
    assert _env(data) | pids == env | pids, "the same addresses, the same databases"


def test_in_the_foreground_a_signal_stops_everything(data: Path, stack: local_stack.Stack) -> None:
    with _foreground(data, stack) as up:
        env = _env(data)
        assert "KAFKA_PID" not in env, "servers of others are not ours"
        assert env["KAFKA_BOOTSTRAP_SERVERS"] == stack.bootstrap_servers
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0
    assert salesync("env", "--data", str(data)).returncode == 1
    assert _alive(env) == []
    assert stack.kafka_pid is None or psutil.pid_exists(stack.kafka_pid)


def test_in_the_foreground_a_service_that_dies_ends_the_rest_and_is_named(
    data: Path, stack: local_stack.Stack
) -> None:
    api, oauth = "http://127.0.0.1:8/", "http://127.0.0.1:9"
    elsewhere = ("--quickbooks-api-url", api, "--quickbooks-oauth-url", oauth)
    with _foreground(data, stack, *elsewhere) as up:
        env = _env(data)
        assert "QUICKBOOKS_SANDBOX_PID" not in env, "QuickBooks is elsewhere"
        connector = psutil.Process(int(env["CHANNEL_CONNECTOR_PID"])).environ()
        assert connector["QUICKBOOKS_API_URL"] == "http://127.0.0.1:8"
        assert connector["QUICKBOOKS_OAUTH_URL"] == "http://127.0.0.1:9"
        psutil.Process(int(env["SALES_PROCESSOR_PID"])).kill()
        assert up.wait(60) == 1
        assert up.stderr is not None
        said = up.stderr.read()
    assert "sales-processor ended by itself, so the rest was stopped" in said
    assert _alive(env) == []


def test_down_from_another_terminal_ends_the_foreground_quietly(
    data: Path, stack: local_stack.Stack
) -> None:
    with _foreground(data, stack) as up:
        assert salesync("down", "--data", str(data)).returncode == 0
        assert up.wait(60) == 0


def test_a_service_that_cannot_start_is_named_with_its_words_and_nothing_is_left(
    data: Path, stack: local_stack.Stack
) -> None:
    up = salesync(
        *["up", "--detach", "--data", str(data)],
        env=_external(stack) | {"LOG_LEVEL": "SHOUTING"},
    )
    assert up.returncode == 1
    assert "LOG_LEVEL is wrong" in up.stderr
    assert "Traceback" not in up.stderr
    assert salesync("env", "--data", str(data)).returncode == 1
    assert json.loads((data / "stack.json").read_text())["processes"] == []


def test_addresses_of_quickbooks_are_given_both_or_none(data: Path) -> None:
    up = salesync("up", "--data", str(data), "--quickbooks-api-url", "http://127.0.0.1:1")
    assert up.returncode == 2
    assert "only given together" in up.stderr
    assert not data.exists()


def test_brokers_that_cannot_be_reached_are_named_without_a_traceback(data: Path) -> None:
    plan = salesync(
        *["topics", "plan", "--data", str(data)], env={"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    )
    assert plan.returncode == 1
    assert plan.stderr.startswith("salesync: Kafka at 127.0.0.1:1 cannot be reached")
    assert len(plan.stderr.splitlines()) == 1


def test_a_command_without_a_system_says_how_to_get_one(data: Path) -> None:
    plan = salesync("topics", "plan", "--data", str(data))
    assert plan.returncode == 1
    assert "KAFKA_BOOTSTRAP_SERVERS is not set, and no system is running" in plan.stderr
    stopped = salesync("down", "--data", str(data))
    assert (stopped.returncode, stopped.stderr) == (0, f"Nothing was running in {data}.\n")


def _foreground(data: Path, stack: local_stack.Stack, *args: str) -> "subprocess.Popen[str]":
    """Start `up` in the foreground and wait until it says that everything is ready."""
    up = subprocess.Popen(
        [sys.executable, "-m", "salesync", "up", "--data", str(data), *args],
        env=_environment(_external(stack)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert up.stderr is not None
    lines = []
    for line in up.stderr:
        lines.append(line)
        if "Press Ctrl-C" in line:
            return up
    up.stderr.close()
    up.wait()
    pytest.fail("".join(lines))
