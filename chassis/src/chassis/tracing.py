"""W3C trace context: a message caused by another belongs to the other's trace.

Source: https://www.w3.org/TR/trace-context/#traceparent-header
"""

import random
import re

_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})$")


def child_traceparent(parent: str | None) -> str:
    """A `traceparent` for a message caused by one with `parent`; a new trace if it has none."""
    span = f"{random.getrandbits(64) or 1:016x}"
    match = _TRACEPARENT.match(parent) if parent else None
    if match is None:
        return f"00-{random.getrandbits(128) or 1:032x}-{span}-01"
    return f"00-{match[1]}-{span}-{match[2]}"
