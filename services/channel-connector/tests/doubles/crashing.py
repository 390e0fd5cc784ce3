"""A process that dies in the middle of reading."""

from collections.abc import AsyncIterator
from typing import Any

from channel_connector.provider import AccountingSystem, Page, Position, ReadRequest


class CrashError(BaseException):
    """The process is gone."""


class CrashingSystem:
    """Passes everything on, and crashes after so many pages."""

    def __init__(self, inner: AccountingSystem, pages: int) -> None:
        self._inner = inner
        self._pages = pages

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the inner one has)
        return getattr(self._inner, name)

    async def read(self, request: ReadRequest, position: Position | None) -> AsyncIterator[Page]:
        async for page in self._inner.read(request, position):
            if not self._pages:
                raise CrashError
            self._pages -= 1
            yield page
