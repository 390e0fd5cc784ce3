"""What happens to a request on its way: it is counted, limited, disturbed and logged.

Law: no token and no request body is logged, only the query statement; the log is bounded.
"""

import re
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from quickbooks_sandbox.switches import Switches
from quickbooks_sandbox.wire import Document

LOG_ENTRIES_MAX = 10_000
MINUTE_SECONDS = 60.0

_FROM = re.compile(r"\bfrom\s+(\w+)", re.IGNORECASE)


@dataclass
class Call:
    """One request as far as the sandbox cares."""

    method: str
    path: str
    realm: str = ""
    entity: str = ""
    """Lowercase entity name; for CDC the comma-separated list."""
    operation: str = ""
    """query, cdc, batch, read, create, update, void, delete, send, token, revoke, …"""
    statement: str = ""

    @property
    def is_read(self) -> bool:
        """Whether it returns data: what Intuit meters as CorePlus."""
        return self.operation in {"query", "cdc", "read", "batch"}


def entity_of_statement(statement: str) -> str:
    """The entity that a query asks for, in lower case, if it can be seen."""
    found = _FROM.search(statement)
    return found[1].lower() if found else ""


@dataclass
class Entry:
    """A line of the request log."""

    number: int
    at: str
    method: str
    path: str
    realm: str
    entity: str
    operation: str
    statement: str
    status: int
    milliseconds: float
    intuit_tid: str
    disturbed: str


class Log:
    """The last requests, and counters that never forget."""

    def __init__(self) -> None:
        """Start empty."""
        self.entries: deque[Entry] = deque(maxlen=LOG_ENTRIES_MAX)
        self.counters: Counter[str] = Counter()
        self.number = 0

    def add(self, call: Call, **outcome: Any) -> None:  # noqa: ANN401 - the rest of an Entry
        """Write one line; `outcome` is what an `Entry` has beside the number and the call."""
        self.number += 1
        status = outcome["status"]
        self.counters.update(("total", f"operation:{call.operation}", f"status:{status}"))
        if call.entity:
            self.counters[f"{call.operation}:{call.entity}"] += 1
        self.entries.append(Entry(number=self.number, **asdict(call), **outcome))

    def since(self, number: int) -> list[Document]:
        """The lines after that one, oldest first."""
        return [asdict(entry) for entry in self.entries if entry.number > number]

    def clear(self) -> None:
        """Forget lines and counters."""
        self.entries.clear()
        self.counters.clear()


class Limits:
    """Requests per second, per minute and reads per month, for each company."""

    def __init__(self, switches: Switches) -> None:
        """Count under these switches."""
        self.switches = switches
        self.recent: dict[str, deque[float]] = {}
        self.reads: Counter[str] = Counter()

    def refusal(self, call: Call, now: float) -> str | None:
        """Why this request is refused at that (monotonic) second, if it is."""
        window = self.recent.setdefault(call.realm, deque())
        while window and window[0] <= now - MINUTE_SECONDS:
            window.popleft()
        second, minute = self.switches.requests_per_second, self.switches.requests_per_minute
        in_second = sum(1 for moment in window if moment > now - 1) if second else 0
        if (minute and len(window) >= minute) or (second and in_second >= second):
            return "The request limit was reached.  Try again later"
        window.append(now)
        if call.is_read:
            quota = self.switches.monthly_reads
            if quota is not None and self.reads[call.realm] >= quota:
                return "The monthly limit of CorePlus API calls was reached."
            self.reads[call.realm] += 1
        return None


class Match(BaseModel):
    """Which requests a disturbance meets; what is left out matches everything."""

    model_config = ConfigDict(extra="forbid")

    realm: str | None = None
    operation: str | None = Field(
        None,
        description="query, cdc, batch, read, create, update, void, delete, send, token, revoke",
    )
    entity: str | None = Field(None, description="Entity name in any case.")
    method: str | None = None
    path_contains: str | None = None
    statement_contains: str | None = Field(None, description="A part of the query, in any case.")

    def fits(self, call: Call) -> bool:
        """Whether the request is one of those meant."""
        return (
            self.realm in (None, call.realm)
            and self.operation in (None, call.operation)
            and (self.entity is None or self.entity.lower() in call.entity.split(","))
            and (self.method is None or self.method.upper() == call.method)
            and (self.path_contains is None or self.path_contains in call.path)
            and (
                self.statement_contains is None
                or self.statement_contains.lower() in call.statement.lower()
            )
        )


Effect = Literal[
    "throttle",
    "fault",
    "fault-in-200",
    "status",
    "html",
    "truncated",
    "reset",
    "delay",
    "token-expired",
    "invalid-grant",
    "change-books",
]


class Disturbance(BaseModel):
    """Something that goes wrong with the next requests that match."""

    model_config = ConfigDict(extra="forbid")

    effect: Effect
    match: Match = Match()
    times: int = Field(1, ge=1, description="How many matching requests it meets.")
    skip: int = Field(0, ge=0, description="How many matching requests pass before it starts.")
    status: int | None = Field(None, ge=200, le=599)
    code: str = Field("10000", description="Fault code for `fault` and `fault-in-200`.")
    message: str = "An application error has occurred while processing your request"
    detail: str = "System Failure Error: planted by a test"
    type: str = "SystemFault"
    body: str | None = Field(None, description="Body of `status` and `html`.")
    delay_ms: int = Field(0, ge=0, description="Wait before the answer, with any effect.")
    after: bool = Field(
        False, description="Do what was asked first, then lose the answer (it did happen)."
    )
    actions: list[Document] = Field(
        default_factory=list,
        description="For change-books: calls of the control API made right after the answer, each "
        '{"method": "POST", "path": "/control/…", "json": {…}}.',
    )
    met: int = Field(0, description="How many requests it has met so far.")


@dataclass
class Disturbances:
    """All planted disturbances, in the order in which they were planted."""

    planted: list[Disturbance] = field(default_factory=list)

    def take(self, call: Call) -> Disturbance | None:
        """The first disturbance that meets this request, used up by one."""
        for disturbance in self.planted:
            if disturbance.times == 0 or not disturbance.match.fits(call):
                continue
            if disturbance.skip:
                disturbance.skip -= 1
                continue
            disturbance.times -= 1
            disturbance.met += 1
            return disturbance
        return None
