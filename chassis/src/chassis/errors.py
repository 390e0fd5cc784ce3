"""Errors by what happens next: retried, dead-lettered, or the end of the process."""

import asyncpg


class PoisonError(Exception):
    """A message that can never be applied; `reason` is a short code, the text is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TransientError(Exception):
    """A fault outside that passes: the batch is tried again."""


class FatalError(Exception):
    """A state that only a person can mend; the process ends and its text says what to do."""


TRANSIENT_ERRORS: tuple[type[BaseException], ...] = (
    TransientError,
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
"""What the database or the network cause and time heals."""
