"""Processes that are started here, found again by pid and start time, and stopped within bounds.

A pid alone may by now belong to somebody else; a process is only ever signalled when the time at
which it started is the one that was noted when we started it.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from local_stack.errors import StackError
from local_stack.progress import Progress, silent
from local_stack.waiting import Server

STOP_SECONDS_MAX = 20.0
KILL_SECONDS_MAX = 10.0
ZOMBIE_SECONDS_MAX = 1.0
POLL_SECONDS = 0.1
LOG_LINES_SHOWN = 15


@dataclass(frozen=True)
class ManagedProcess:
    """A process that we started, in this run or an earlier one."""

    name: str
    pid: int
    started_at: float
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    popen: "subprocess.Popen[bytes] | None" = field(default=None, compare=False, repr=False)

    def as_json(self) -> dict[str, object]:
        """What `from_json` needs to find it again from another process."""
        return {
            "name": self.name,
            "pid": self.pid,
            "started_at": self.started_at,
            "log": str(self.log),
            "stop_signal": self.stop_signal.name,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ManagedProcess":
        """The process that was written down, whether it still runs or not."""
        return cls(
            name=data["name"],
            pid=data["pid"],
            started_at=data["started_at"],
            log=Path(data["log"]),
            stop_signal=signal.Signals[data["stop_signal"]],
        )

    def is_running(self) -> bool:
        """Whether it is alive; a zombie is not."""
        if self.popen is not None:
            return self.popen.poll() is None
        process = _same_process(self.pid, self.started_at)
        return process is not None and process.status() != psutil.STATUS_ZOMBIE

    def stop(self, on_progress: Progress = silent, seconds_max: float = STOP_SECONDS_MAX) -> None:
        """Ask it to end, wait, and kill it with a word about that when it does not."""
        self.ask_to_stop()
        self.wait_until_stopped(on_progress, seconds_max)

    def ask_to_stop(self) -> None:
        """Send the signal on which it ends cleanly."""
        self._signal(self.stop_signal)

    def wait_until_stopped(
        self, on_progress: Progress = silent, seconds_max: float = STOP_SECONDS_MAX
    ) -> None:
        """Wait for its end, at most `seconds_max`, then kill it."""
        if self._ended_within(seconds_max):
            return
        on_progress(f"{self.name} did not stop within {seconds_max:.0f} s and was killed")
        self._signal(signal.SIGKILL)
        if not self._ended_within(KILL_SECONDS_MAX):
            raise StackError(
                f"{self.name} (pid {self.pid}) cannot be stopped; it hangs in the kernel."
                " Look at its disk, or restart the machine."
            )

    def last_lines(self) -> str:
        """The end of its log."""
        if not self.log.exists():
            return "(no log)"
        lines = self.log.read_text("utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES_SHOWN:]) or "(nothing)"

    @property
    def server(self) -> Server:
        """What waiting for it to be ready needs."""
        return Server(
            self.name, self.is_running, lambda: f"The end of {self.log}:\n{self.last_lines()}"
        )

    def _signal(self, number: signal.Signals) -> None:
        process = _same_process(self.pid, self.started_at)
        if process is not None:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                return

    def _ended_within(self, seconds: float) -> bool:
        """Wait until it is gone; one that its parent leaves a zombie counts as gone after a while.

        Only a parent can take a zombie away, and it may itself be waiting for us.
        """
        if self.popen is not None:
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                return False
            return True
        deadline = time.monotonic() + seconds
        ended_at = None
        while (process := _same_process(self.pid, self.started_at)) is not None:
            now = time.monotonic()
            if self.is_running():
                if now >= deadline:
                    return False
            else:
                ended_at = ended_at or now
                if now >= ended_at + ZOMBIE_SECONDS_MAX:
                    return True
            psutil.wait_procs([process], timeout=POLL_SECONDS)
        return True


def spawn(
    name: str,
    command: Sequence[object],
    *,
    log: Path,
    env: Mapping[str, str],
    stop_signal: signal.Signals = signal.SIGTERM,
    cwd: Path | None = None,
) -> ManagedProcess:
    """Start a process in a session of its own, so that a Ctrl-C reaches it only through us."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        popen = subprocess.Popen(  # noqa: S603  (our own commands)
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            cwd=cwd,
            start_new_session=True,
        )
    return ManagedProcess(
        name=name,
        pid=popen.pid,
        started_at=psutil.Process(popen.pid).create_time(),
        log=log,
        stop_signal=stop_signal,
        popen=popen,
    )


def _same_process(pid: int, started_at: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return process if abs(process.create_time() - started_at) < 1 else None
    except psutil.NoSuchProcess:
        return None


def stop_all(processes: Sequence[ManagedProcess], on_progress: Progress = silent) -> None:
    """Ask all to end at once, then wait for each."""
    for process in processes:
        process.ask_to_stop()
    for process in processes:
        process.wait_until_stopped(on_progress)
