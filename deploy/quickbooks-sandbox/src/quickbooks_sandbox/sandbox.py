"""The whole sandbox: companies, clock, switches, tokens and traffic in one place.

Law: everything that must survive a restart goes through the journal; traffic (log, limits,
disturbances) does not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from quickbooks_sandbox import faults, seed
from quickbooks_sandbox.books import Books, Profile, TaxCode
from quickbooks_sandbox.clock import Clock
from quickbooks_sandbox.journal import Journal
from quickbooks_sandbox.switches import Switches
from quickbooks_sandbox.tokens import Tokens
from quickbooks_sandbox.traffic import Disturbances, Limits, Log
from quickbooks_sandbox.versions import Desk
from quickbooks_sandbox.wire import Document


@dataclass(frozen=True)
class Settings:
    """How a sandbox starts."""

    host: str = "127.0.0.1"
    port: int = 8090
    data: Path | None = None
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105 - well known on purpose
    realm: str = "9130000000000001"
    refresh_token: str = "sandbox-refresh-token-1"  # noqa: S105 - well known on purpose
    redirect_uris: tuple[str, ...] = ()
    """Redirect URIs that the app registered; none registered allows any."""
    intuit_limits: bool = False


@dataclass
class Sandbox:
    """The state behind all routes."""

    settings: Settings
    clock: Clock = field(default_factory=Clock)
    switches: Switches = field(default_factory=Switches)
    companies: dict[str, Books] = field(default_factory=dict)
    log: Log = field(default_factory=Log)
    disturbances: Disturbances = field(default_factory=Disturbances)

    def __post_init__(self) -> None:
        """Open the journal, and replay it or start with the default company."""
        self.tokens = Tokens(self.clock, self.switches)
        self.limits = Limits(self.switches)
        self.journal = Journal(self.settings.data)
        if self.settings.intuit_limits:
            self.switches.requests_per_second = 10
            self.switches.requests_per_minute = 500
        for entry in self.journal.read():
            self._replay(entry)
        if self.companies:
            self.journal.rewrite(self._entries())
        else:
            self.reset()

    def reset(self) -> None:
        """Go back to the default company, tokens, clock and an empty log."""
        self.companies.clear()
        self.tokens.grants.clear()
        self.tokens.codes.clear()
        self.clock.shift(timedelta(0))
        self.log.clear()
        self.limits.recent.clear()
        self.limits.reads.clear()
        self.disturbances.planted.clear()
        for name, info in Switches.model_fields.items():
            setattr(self.switches, name, info.default)
        if self.settings.intuit_limits:
            self.switches.requests_per_second = 10
            self.switches.requests_per_minute = 500
        desk = self.open_company(Profile(self.settings.realm, seed.COMPANY_NAME))
        seed.stock_shelves(desk)
        self.tokens.open_grant(self.settings.realm, self.settings.refresh_token)
        self.journal.rewrite(self._entries())

    def stock(self, desk: Desk) -> None:
        """Put the default items and customers into empty books."""
        seed.stock_shelves(desk)

    def open_company(self, profile: Profile) -> Desk:
        """Create a company with empty books, in place of one with the same realm."""
        self.companies[profile.realm] = Books(profile, self._listener())
        self.journal.append(_profile_entry(profile))
        return self.desk(profile.realm)

    def close_company(self, realm: str) -> None:
        """Remove a company and its grants."""
        del self.companies[realm]
        self.tokens.revoke_realm(realm)
        self.journal.append({"do": "close", "realm": realm})
        self.save_tokens()

    def desk(self, realm: str) -> Desk:
        """Where the books of that company are kept.

        Raises: QboError 3100 for a company that does not exist.
        """
        books = self.companies.get(realm)
        if books is None:
            raise faults.wrong_realm()
        return Desk(books, self.clock, self.switches)

    def _listener(self) -> Callable[[Document], None] | None:
        return self.journal.append if self.journal.path is not None else None

    def save_tokens(self) -> None:
        """Journal the grants as they are now."""
        self.journal.append({"do": "tokens", "grants": self.tokens.state()})

    def save_clock(self) -> None:
        """Journal the clock as it is now."""
        self.journal.append(self._clock_entry())

    def save_switches(self) -> None:
        """Journal the switches as they are now."""
        self.journal.append({"do": "switches", "switches": self.switches.model_dump()})

    def _clock_entry(self) -> Document:
        fixed = self.clock.fixed.isoformat() if self.clock.fixed else None
        return {"do": "clock", "fixed": fixed, "offset": str(self.clock.offset.total_seconds())}

    def _entries(self) -> list[Document]:
        entries = [self._clock_entry(), {"do": "tokens", "grants": self.tokens.state()}]
        entries.append({"do": "switches", "switches": self.switches.model_dump()})
        for books in self.companies.values():
            entries += [_profile_entry(books.profile), *books.retell()]
        return entries

    def _replay(self, entry: Document) -> None:
        match entry["do"]:
            case "company":
                profile = _profile(entry)
                self.companies[profile.realm] = Books(profile, self._listener())
            case "close":
                del self.companies[entry["realm"]]
            case "put" | "drop":
                self.companies[entry["realm"]].replay(entry)
            case "tokens":
                self.tokens.restore(entry["grants"])
            case "switches":
                for name, value in entry["switches"].items():
                    setattr(self.switches, name, value)
            case "clock" if entry["fixed"]:
                self.clock.fix(datetime.fromisoformat(entry["fixed"]).astimezone(UTC))
            case "clock":
                self.clock.shift(timedelta(seconds=float(entry["offset"])))


def _profile_entry(profile: Profile) -> Document:
    codes = [[code.id, code.rate_id, code.percent] for code in profile.tax_codes]
    return {"do": "company", **vars(profile), "tax_codes": codes}


def _profile(entry: Document) -> Profile:
    codes = tuple(TaxCode(i, rate, Decimal(percent)) for i, rate, percent in entry["tax_codes"])
    facts = {name: value for name, value in entry.items() if name not in {"do", "tax_codes"}}
    return Profile(**facts, tax_codes=codes)
