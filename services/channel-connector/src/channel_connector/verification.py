"""The connector's invariants, asked of its own database in one snapshot.

The law of this module: a check is one statement that finds violations, so an empty answer is proof.
"""

from dataclasses import dataclass
from typing import Any

import asyncpg

from channel_connector.messages import SERVICE
from channel_connector.store import queries

VIOLATIONS_MAX = 100


@dataclass(frozen=True, slots=True)
class Check:
    """An invariant, what it says, and the query that finds its violations."""

    invariant: str
    description: str
    query: str


CHECKS = (
    Check("SY7", "a channel has at most one open run", "violations_of_open_runs"),
    Check("I6", "the published versions of a document grow", "violations_of_version_order"),
    Check("SY10", "every published version has its raw payload", "violations_of_payloads"),
    Check(
        "SA6", "nothing of a document is published after its deletion", "violations_of_deletions"
    ),
    Check("I7", "a completed run published what it counted", "violations_of_counts"),
    Check("SY8", "a channel with a completed run has a cursor", "violations_of_cursors"),
    Check("CH4", "a connection has at most one accounting channel", "violations_of_channels"),
    Check("I10", "no message waits in the outbox for more than a minute", "violations_of_outbox"),
)


async def verify(pool: asyncpg.Pool, business_id: str | None) -> dict[str, Any]:
    """All checks, of one business or of all."""
    async with (
        pool.acquire() as session,
        session.transaction(isolation="repeatable_read", readonly=True),
    ):
        return {
            "service": SERVICE,
            "checks": [
                {
                    "invariant": check.invariant,
                    "description": check.description,
                    "violations": [
                        row["violation"]
                        async for row in getattr(queries, check.query)(
                            session, business_id=business_id, count=VIOLATIONS_MAX
                        )
                    ],
                }
                for check in CHECKS
            ],
        }
