"""The sandbox's clock and the way QuickBooks Online writes time.

Law: every instant inside is aware UTC or whole epoch seconds; text with an offset is made only
here. Source: recorded payloads carry second precision and the US-Pacific offset of that day,
whatever the company's country; only the envelope's `time` has milliseconds.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")

_BASIC_OFFSET = re.compile(r"([+-]\d{2})(\d{2})$")


class Clock:
    """The time of the sandbox: real, shifted by an offset, or standing still."""

    def __init__(self) -> None:
        """Start as the real clock."""
        self.offset = timedelta(0)
        self.fixed: datetime | None = None

    def now(self) -> datetime:
        """The current instant in UTC, as the sandbox sees it."""
        return self.fixed if self.fixed is not None else datetime.now(UTC) + self.offset

    def second(self) -> int:
        """The current epoch second, fraction cut off."""
        return int(self.now().timestamp())

    def fix(self, instant: datetime) -> None:
        """Stand still at an instant until told otherwise."""
        self.fixed, self.offset = instant.astimezone(UTC), timedelta(0)

    def shift(self, offset: timedelta) -> None:
        """Run at real speed, this far from the real time."""
        self.fixed, self.offset = None, offset

    def advance(self, step: timedelta) -> None:
        """Jump forward (or back) from wherever the clock is, fixed or running."""
        if self.fixed is None:
            self.offset += step
        else:
            self.fixed += step

    def today(self, zone: ZoneInfo) -> date:
        """Today's date in a company's own calendar."""
        return self.now().astimezone(zone).date()


@lru_cache(maxsize=4096)
def seconds_text(epoch_seconds: int) -> str:
    """Write an instant as MetaData has it: `2026-03-08T01:59:59-08:00`."""
    return datetime.fromtimestamp(epoch_seconds, PACIFIC).isoformat(timespec="seconds")


def milliseconds_text(instant: datetime) -> str:
    """Write an instant as the envelope's `time` has it: `2026-03-08T01:59:59.123-08:00`."""
    return instant.astimezone(PACIFIC).isoformat(timespec="milliseconds")


def parse_instant(text: str) -> datetime:
    """Read a date-time as filters may write it; without an offset it is US-Pacific.

    Accepts `…Z`, `…-07:00`, `…-0700`, none, and a bare date (its midnight).
    Raises: ValueError for anything else.
    """
    instant = datetime.fromisoformat(_BASIC_OFFSET.sub(r"\1:\2", text.strip()))
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=PACIFIC)
