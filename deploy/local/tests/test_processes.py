import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from local_stack.processes import ManagedProcess, spawn, stop_all
from local_stack.waiting import wait_until

STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    signal.pause()
"""
POLITE = "import signal; print('here', flush=True); signal.pause()"


def _start(tmp_path: Path, name: str, program: str, word: str) -> ManagedProcess:
    log = tmp_path / f"{name}.log"
    process = spawn(name, [sys.executable, "-c", program], log=log, env={})
    wait_until(lambda: word in log.read_text(), process.server)
    return process


def test_a_process_ends_on_its_signal(tmp_path: Path) -> None:
    told: list[str] = []
    process = _start(tmp_path, "polite", POLITE, "here")
    assert process.is_running()
    stop_all([process], told.append)
    assert not process.is_running()
    assert told == []


def test_a_process_that_ignores_its_signal_is_killed_and_that_is_said(tmp_path: Path) -> None:
    told: list[str] = []
    process = _start(tmp_path, "stubborn", STUBBORN, "deaf")
    process.stop(told.append, seconds_max=0.2)
    assert not process.is_running()
    assert told == ["stubborn did not stop within 0 s and was killed"]


def test_a_process_is_found_again_from_what_was_written_down(tmp_path: Path) -> None:
    process = _start(tmp_path, "polite", POLITE, "here")
    found = ManagedProcess.from_json(process.as_json())
    assert found.is_running()
    found.stop()
    assert not found.is_running()
    process.stop()


def test_another_process_with_the_same_pid_is_never_signalled(tmp_path: Path) -> None:
    process = _start(tmp_path, "polite", POLITE, "here")
    someone_else = replace(process, started_at=process.started_at - 100, popen=None)
    assert not someone_else.is_running()
    someone_else.stop()
    assert process.is_running()
    process.stop()


def test_the_end_of_the_log_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("\n".join(str(number) for number in range(100)))
    process = ManagedProcess("a", 1, 0.0, log, signal.SIGTERM)
    assert process.last_lines().splitlines()[0] == "85"
    assert process.last_lines().splitlines()[-1] == "99"


def test_a_process_that_only_its_parent_can_take_away_has_ended(tmp_path: Path) -> None:
    process = _start(tmp_path, "polite", POLITE, "here")
    program = (
        "import json, sys\n"
        "from local_stack.processes import ManagedProcess\n"
        "ManagedProcess.from_json(json.loads(sys.argv[1])).stop(print)\n"
    )
    # This test, the parent, does not look until the other process is done.
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(process.as_json())],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not process.is_running()
