"""What a data folder knows of its system: the processes, their addresses, and one writer at a time.

The file is written after each start, before the next one, so that `down` finds everything that an
interrupted `up` started.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from local_stack.errors import StackError
from local_stack.processes import ManagedProcess

FREE_BYTES_MIN = 1_000_000_000


@dataclass
class State:
    """The content of `stack.json`: processes by name, as they were started, and addresses."""

    file: Path
    processes: dict[str, ManagedProcess] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    _writing: Lock = field(default_factory=Lock, repr=False)

    @classmethod
    def read(cls, data_dir: Path) -> "State":
        """The state of the folder; empty where nothing was started yet."""
        file = data_dir / "stack.json"
        try:
            data = json.loads(file.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return cls(file)
        except PermissionError as error:
            raise StackError(_belongs_to_another(data_dir)) from error
        processes = [ManagedProcess.from_json(process) for process in data["processes"]]
        return cls(file, {process.name: process for process in processes}, data["addresses"])

    def running(self) -> list[ManagedProcess]:
        """Those of its processes that are alive."""
        return [process for process in self.processes.values() if process.is_running()]

    def add(self, process: ManagedProcess) -> None:
        """Note a process that was just started."""
        with self._writing:
            self.processes[process.name] = process
            self._write()

    def set_address(self, name: str, value: str) -> None:
        """Note where something is reached."""
        with self._writing:
            self.addresses[name] = value
            self._write()

    def forget(self) -> None:
        """Note that nothing runs."""
        with self._writing:
            self.processes.clear()
            self.addresses.clear()
            self._write()

    def _write(self) -> None:
        text = json.dumps(
            {
                "processes": [process.as_json() for process in self.processes.values()],
                "addresses": self.addresses,
            },
            indent=2,
        )
        new = self.file.with_suffix(".new")
        new.touch(0o600)
        new.write_text(text + "\n", "utf-8")
        new.replace(self.file)


def prepare(data_dir: Path) -> None:
    """Make the folder, for its owner only.

    Raises:
        StackError: it cannot be made or written, or its disk is nearly full.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StackError(
            f"The data folder {data_dir} cannot be made: {error.strerror}."
            " Name another one with --data."
        ) from error
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        raise StackError(_belongs_to_another(data_dir))
    free_bytes = shutil.disk_usage(data_dir).free
    if free_bytes < FREE_BYTES_MIN:
        raise StackError(
            f"The disk of {data_dir} has {free_bytes / 1e6:.0f} MB free, and"
            f" {FREE_BYTES_MIN / 1e6:.0f} MB are needed. Free some, or name another folder with"
            " --data."
        )


def _belongs_to_another(data_dir: Path) -> str:
    return (
        f"The data folder {data_dir} belongs to another user. Run this as that user, or name"
        " another folder with --data."
    )


@contextmanager
def only_one(data_dir: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other `up` and `down` commands off the folder, waiting for the present one or not.

    Raises:
        StackError: another one is at work there, and we do not wait.
    """
    with (data_dir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise StackError(
                f"Another `salesync up` or `down` is at work in {data_dir}. Wait for it, or name"
                " another folder with --data."
            ) from None
        yield
