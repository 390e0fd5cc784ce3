"""Keeps the sandbox's state in one file of JSON lines, if a place was given.

Law: every change is one line, appended before the answer is sent; replaying the lines in order
gives the same books, tokens and clock. At start the file is written anew, without what is outdated.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import IO

from quickbooks_sandbox import wire
from quickbooks_sandbox.wire import Document

FILE_NAME = "sandbox.jsonl"


class JournalError(Exception):
    """The state file cannot be read; the message says where and what to do."""


class Journal:
    """An append-only file, or nothing at all."""

    def __init__(self, place: Path | None) -> None:
        """Keep the journal in this file, or in this folder; None keeps nothing."""
        if place is not None and (place.is_dir() or not place.suffix):
            place.mkdir(parents=True, exist_ok=True)
            place /= FILE_NAME
        self.path = place
        self._file: IO[str] | None = None

    def read(self) -> Iterable[Document]:
        """All entries so far.

        Raises: JournalError for a line that is no entry; a last line cut short is left out.
        """
        if self.path is None or not self.path.exists():
            return
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            try:
                entry = wire.decode(line)
            except ValueError as error:
                if number == len(lines) and not line.endswith("\n"):
                    return
                raise JournalError(self._broken(number, str(error))) from error
            if not isinstance(entry, dict) or "do" not in entry:
                raise JournalError(self._broken(number, "it has no 'do'"))
            yield entry

    def rewrite(self, entries: Iterable[Document]) -> None:
        """Replace the file by these entries, and append from now on."""
        if self.path is None:
            return
        self.close()
        draft = self.path.with_suffix(".new")
        with draft.open("w", encoding="utf-8") as file:
            file.writelines(wire.encode(entry) + "\n" for entry in entries)
        draft.replace(self.path)
        self._file = self.path.open("a", encoding="utf-8", buffering=1)

    def append(self, entry: Document) -> None:
        """Add one entry; it reaches the operating system at once, so that a kill loses nothing."""
        if self._file is not None:
            self._file.write(wire.encode(entry) + "\n")

    def close(self) -> None:
        """Stop appending."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _broken(self, number: int, why: str) -> str:
        return (
            f"line {number} of {self.path} is no journal entry ({why}): move the file away to "
            "start with fresh books, or cut the line out to keep the rest"
        )
