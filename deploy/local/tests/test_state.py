import os
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from local_stack import StackError
from local_stack.processes import ManagedProcess
from local_stack.state import State, only_one, prepare


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_what_was_noted_is_read_back_by_another_process(tmp_path: Path) -> None:
    state = State.read(tmp_path)
    state.add(ManagedProcess("kafka", 12, 34.5, tmp_path / "kafka.log", signal.SIGINT))
    state.set_address("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    again = State.read(tmp_path)
    assert again.processes == state.processes
    assert again.addresses == {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    assert again.file.stat().st_mode & 0o077 == 0, "it holds database passwords"


def test_a_second_command_on_the_same_folder_is_told_so(tmp_path: Path) -> None:
    with (
        only_one(tmp_path),
        pytest.raises(StackError, match=r"Another `salesync up` or `down` is at work"),
        only_one(tmp_path),
    ):
        pass


def test_a_full_disk_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(10**12, 10**12, 5_000_000))
    with pytest.raises(StackError, match=r"has 5 MB free, and 1000 MB are needed"):
        prepare(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match=r"data folder .*/file/data cannot be made"):
        prepare(tmp_path / "file" / "data")


def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(StackError, match=r"belongs to another user. Run this as that user"):
        prepare(tmp_path)


def test_a_state_that_may_not_be_read_is_another_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(StackError, match=r"belongs to another user"):
        State.read(tmp_path)
