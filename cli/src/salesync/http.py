"""Requests to the services' HTTP APIs, with faults said in words.

The law of this module: whatever the other side does (absent, slow, not JSON, an error) ends in an
answer or in one sentence that names the address and what to do.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from local_stack import StackError
from salesync.addresses import address

ANSWER_SECONDS_MAX = 60.0
PAGE_ITEMS = 500

CONNECTOR = "CHANNEL_CONNECTOR_URL"
PROCESSOR = "SALES_PROCESSOR_URL"
INVENTORY = "INVENTORY_URL"


class Service:
    """One service, found by the name of the variable that holds its address."""

    def __init__(self, variable: str, data: Path, *, seconds: float = ANSWER_SECONDS_MAX) -> None:
        self._variable = variable
        self.url = address(variable, data).rstrip("/")
        self._client = httpx.Client(timeout=seconds, transport=transport())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def get(self, *path: str, **parameters: str | int | None) -> Any:  # noqa: ANN401  (JSON)
        """The answer to a GET; path segments are quoted here.

        Raises:
            StackError: there is no such thing, or no answer.
        """
        return self._request("GET", path, parameters=parameters)

    def find(self, *path: str, **parameters: str | int | None) -> Any | None:  # noqa: ANN401
        """The answer to a GET, None where there is no such thing."""
        return self._request("GET", path, parameters=parameters, absent_ok=True)

    def post(self, *path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401  (JSON)
        """The answer to a POST."""
        return self._request("POST", path, body=body)

    def delete(self, *path: str) -> Any:  # noqa: ANN401  (JSON)
        """The answer to a DELETE."""
        return self._request("DELETE", path)

    def items(self, *path: str, **parameters: str | int | None) -> Iterator[dict[str, Any]]:
        """Every item of a paged list, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(*path, **{"limit": PAGE_ITEMS, **parameters}, cursor=cursor)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _request(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        parameters: dict[str, str | int | None] | None = None,
        body: dict[str, Any] | None = None,
        absent_ok: bool = False,
    ) -> Any:  # noqa: ANN401  (JSON)
        target = "/".join([self.url, *(quote(segment, safe="") for segment in path)])
        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        try:
            response = self._client.request(method, target, params=given, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise StackError(
                f"{method} {target} got no answer ({error or type(error).__name__}). Is the service"
                f" running? {self._variable} says where it is; `salesync up` starts a system."
            ) from error
        if response.status_code == httpx.codes.NOT_FOUND and absent_ok:
            return None
        if response.is_error:
            raise StackError(f"{method} {target}: {response.status_code}, {_fault(response)}")
        try:
            return response.json()
        except ValueError as error:
            raise StackError(
                f"{method} {target} answered with something that is not JSON. Check"
                f" {self._variable}."
            ) from error


def transport() -> httpx.BaseTransport | None:
    """How requests are sent; None is over the network. Tests put their own in its place."""
    return None


def _fault(response: httpx.Response) -> str:
    """What an error answer says, best first: each wrong field, the detail, the title, the text."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return response.text.strip()[:300] or "no reason given."
    fields = "; ".join(f"{e['field']}: {e['message']}" for e in problem.get("errors", []))
    return str(fields or problem.get("detail") or problem.get("title") or "no reason given.")
