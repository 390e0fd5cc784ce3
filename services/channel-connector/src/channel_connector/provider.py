"""What the core needs from an accounting system, and how that may fail.

The law of this module: it names no accounting system. An adapter gives documents by pages with an
opaque position to go on from; everything that can go wrong is a `SourceError` with one of four
reasons.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, Protocol

from channel_connector.domain.documents import (
    Document,
    DocumentKey,
    Failure,
    Item,
    Kind,
    NormalisedDocument,
)

Position = dict[str, Any]
Reason = Literal["connection-unavailable", "needs-reconnect", "rate-limited", "upstream-error"]


class SourceError(Exception):
    """Reading cannot go on; `reason` is for programs, the text for people. It holds no secret."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class InvalidGrantError(Exception):
    """The token endpoint refused a refresh token; not always final."""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What to read: everything since the initial date, or what changed since the cursor.

    Of kinds in `never_read`, everything since the initial date in any case.
    """

    kinds: tuple[Kind, ...]
    initial_date: date
    changed_since: datetime | None
    never_read: tuple[Kind, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """What one step of reading brought; after it is stored, reading can go on from `position`.

    `source_time` is the source's clock when reading began. `documents` are alive, voided at most;
    `deleted` are reported, not confirmed, whether the source marks them or only tells their ids.
    For the kinds in `compare`, deletions could not be asked for: known ids must be compared.
    """

    position: Position
    source_time: datetime
    documents: Sequence[Document] = ()
    deleted: Sequence[DocumentKey] = ()
    items: Sequence[Item] = ()
    compare: Sequence[Kind] = ()


@dataclass(frozen=True, slots=True)
class Company:
    """What is known of the company behind a connection."""

    name: str | None
    home_currency: str | None
    time_zone: str | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint answered."""

    access_token: str
    expires_in_seconds: int
    refresh_token: str

    def __repr__(self) -> str:
        return "Tokens(…)"


class TokenEndpoint(Protocol):
    """Where refresh tokens become access tokens."""

    async def refresh(self, refresh_token: str) -> Tokens:
        """Use a refresh token; the answer's refresh token replaces it.

        Raises:
            InvalidGrantError: it was refused.
            SourceError: no answer that can be used.
        """


@dataclass(frozen=True, slots=True)
class Callback:
    """What a consent page sent back: a code, or a refusal for people to read.

    Some accounting systems name the company here already, others only with the tokens.
    """

    state: str
    code: str = ""
    realm_id: str = ""
    refusal: str | None = None

    def __repr__(self) -> str:
        return "Callback(…)"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a consent came to: a company, and the tokens to read it with."""

    realm_id: str
    tokens: Tokens


class ConsentEndpoint(TokenEndpoint, Protocol):
    """Where people allow access to their books, and take it back."""

    def realm_fault(self, realm_id: str) -> str | None:
        """What is wrong with a company's id, for people to read; None if it could be one."""

    def consent_address(self, state: str) -> str:
        """The page to send a browser to."""

    def read_callback(self, parameters: Mapping[str, str]) -> Callback:
        """What the page sent back."""

    async def exchange(self, callback: Callback) -> Grant:
        """Use the code of a consent.

        Raises:
            InvalidGrantError: it was refused.
            SourceError: no answer that can be used.
        """

    async def revoke(self, refresh_token: str) -> None:
        """End a consent.

        Raises:
            SourceError: it could not be ended, or had ended.
        """


class TokenSource(Protocol):
    """Gives one connection's access token."""

    async def current(self) -> str:
        """A token that should be good for the next minute.

        Raises:
            SourceError: the connection is gone or must be connected again.
        """

    async def renew(self, rejected: str) -> str:
        """Another token than the one that was refused.

        Raises:
            SourceError: as `current`.
        """


class AccountingSystem(Protocol):
    """One company's books.

    Every method but `normalise` calls out, and raises SourceError when that fails for good.
    """

    @property
    def http_calls(self) -> int:
        """Requests sent so far."""

    def read(self, request: ReadRequest, position: Position | None) -> AsyncIterator[Page]:
        """Read page by page, from `position` if given, until everything was given."""

    async def find(self, key: DocumentKey) -> Document | None:
        """The document as it is now, or None if it exists no more."""

    async def existing(self, kind: Kind, external_ids: Collection[str]) -> set[str]:
        """Those of the ids that exist."""

    async def items(self, external_ids: Collection[str]) -> list[Item]:
        """The items with these ids; unknown ones are left out."""

    async def company(self) -> Company:
        """Whose books these are."""

    def normalise(
        self, document: Document, home_currency: str | None
    ) -> NormalisedDocument | Failure:
        """A stored document in our words; pure."""
