"""The books of one company: its records, kept by id and by time.

Law: a record changes only through `Books.put` and `Books.drop`; both keep the time index, the
tombstones, the cached text and the journal in step. A second holds any number of changes.
"""

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

from quickbooks_sandbox import wire
from quickbooks_sandbox.clock import seconds_text
from quickbooks_sandbox.entities import ENTITIES, PAYMENT, Entity
from quickbooks_sandbox.wire import Document

Change = Callable[[Document], None]
"""Is told every change as a journal entry."""

FIRST_TRANSACTION_ID = 101
HISTORY_SECONDS = 3600
DOC_NUMBER_DIGITS = 10
"""Longer numbers do not move the automatic numbering."""


@dataclass(slots=True)
class Row:
    """One live record. `created` and `updated` are epoch seconds, as MetaData shows them."""

    entity: Entity
    document: Document
    created: int
    updated: int
    text: str | None = None
    verbatim: bool = False
    """Whether `text` was given as is, so that it must never be written anew."""
    before: "Row | None" = None
    """The version that this one replaced, if that was within the last hour."""

    @property
    def id(self) -> str:
        """The record's id."""
        return str(self.document["Id"])

    @property
    def sync_token(self) -> int:
        """The number of modifications so far."""
        return int(self.document.get("SyncToken", "0"))

    @property
    def rank(self) -> tuple[int, int]:
        """Where the record stands in order of change."""
        return self.updated, int(self.id)

    def as_of(self, second: int) -> "Row | None":
        """The version that was there at that second, if there was one."""
        row: Row | None = self
        while row is not None and row.updated > second:
            row = row.before
        return row

    def follow(self, old: "Row") -> None:
        """Take the place of an older version, and forget those of more than an hour ago.

        Of the versions of one second only the last is kept, so there are at most 3,600.
        """
        if old is not self:
            self.before = old.before if old.updated == self.updated else old
        version = self.before
        while version is not None and version.updated >= self.updated - HISTORY_SECONDS:
            version = version.before
        if version is not None:
            version.before = None

    def body(self) -> str:
        """The record as JSON text, written once per version."""
        if self.text is None:
            self.text = wire.encode(self.document)
        return self.text

    def bare_body(self) -> str:
        """The record as it is shown by mistake: of its lines the SubTotal alone."""
        lines = self.document.get("Line")
        if not isinstance(lines, list):
            return self.body()
        kept = [line for line in lines if line.get("DetailType") == "SubTotalLineDetail"]
        return wire.encode({**self.document, "Line": kept})


@dataclass(frozen=True)
class Tombstone:
    """What is left of a deleted record: no SyncToken, no amounts, no customer, no number."""

    entity: Entity
    id: str
    updated: int
    row: Row | None = None
    """What was deleted, for queries that lag behind."""

    def body(self) -> str:
        """The tombstone as change data capture shows it."""
        meta = {"LastUpdatedTime": seconds_text(self.updated)}
        stone = {"domain": "QBO", "status": "Deleted", "Id": self.id, "MetaData": meta}
        return wire.encode(stone)


@dataclass
class Table:
    """All live records of one entity."""

    rows: dict[str, Row] = field(default_factory=dict)
    by_time: list[tuple[int, int]] = field(default_factory=list)

    def place(self, row: Row) -> None:
        """Add a record to both indexes."""
        self.rows[row.id] = row
        bisect.insort(self.by_time, row.rank)

    def remove(self, row: Row) -> None:
        """Take a record out of both indexes."""
        del self.rows[row.id]
        del self.by_time[bisect.bisect_left(self.by_time, row.rank)]

    def between(self, first: int | None, last: int | None) -> Iterator[Row]:
        """Records changed within the two seconds, both included, oldest change first."""
        start = 0 if first is None else bisect.bisect_left(self.by_time, (first, 0))
        end = len(self.by_time) if last is None else bisect.bisect_left(self.by_time, (last + 1, 0))
        return (self.rows[str(number)] for _, number in self.by_time[start:end])


@dataclass(frozen=True)
class TaxCode:
    """A sales tax: percent of the taxable net amount, and the ids that documents show."""

    id: str
    rate_id: str
    percent: Decimal


@dataclass
class Profile:
    """What a company is: facts that no transaction changes."""

    realm: str
    name: str
    country: str = "US"
    currency: str = "USD"
    time_zone: str = "America/Los_Angeles"
    multi_currency: bool = False
    custom_numbers: bool = False
    """Whether sales without a DocNumber stay without one (QBO: custom transaction numbers)."""
    tax_codes: tuple[TaxCode, ...] = (TaxCode("2", "3", Decimal(8)),)

    @property
    def zone(self) -> ZoneInfo:
        """The company's own calendar."""
        return ZoneInfo(self.time_zone)

    @property
    def sales_tax_by_line(self) -> bool:
        """Whether each line has its tax code (everywhere but in the United States)."""
        return self.country != "US"

    def tax_code(self, code: str) -> TaxCode | None:
        """The tax code with that id."""
        return next((known for known in self.tax_codes if known.id == code), None)


class Books:
    """Everything that one company has recorded."""

    def __init__(self, profile: Profile, changed: Change | None) -> None:
        """Open empty books; `changed`, if there is one, hears every change."""
        self.profile = profile
        self.tables: dict[str, Table] = {entity.name: Table() for entity in ENTITIES.values()}
        self.tombstones: dict[str, list[Tombstone]] = {name: [] for name in self.tables}
        self.applied: dict[tuple[str, str], dict[str, Decimal]] = {}
        """(entity, id) of an invoice or memo to the amounts that payments apply to it."""
        self.next_doc_number = 1001
        self.answers: dict[str, tuple[str, str]] = {}
        """Answers already given, by `requestid`."""
        self._next_ids: dict[str, int] = {}
        self._changed = changed

    def table(self, entity: Entity) -> Table:
        """The live records of one entity."""
        return self.tables[entity.name]

    def find(self, entity: Entity, record_id: str) -> Row | None:
        """The live record with that id."""
        return self.table(entity).rows.get(record_id)

    def as_of(self, entity: Entity, second: int) -> list[Row]:
        """All records as they were at that second, oldest change first."""
        buried = [s.row for s in self.tombstones[entity.name] if s.row and s.updated > second]
        present = [*self.table(entity).rows.values(), *buried]
        seen = [then for row in present if (then := row.as_of(second)) is not None]
        return sorted(seen, key=lambda row: row.rank)

    def next_id(self, entity: Entity) -> str:
        """A fresh id; all transactions share one counter, each list has its own."""
        counter, first = ("", FIRST_TRANSACTION_ID) if entity.transaction else (entity.name, 1)
        number = self._next_ids.get(counter, first)
        self._next_ids[counter] = number + 1
        return str(number)

    def put(self, row: Row) -> None:
        """Add a record or replace the one with its id."""
        table = self.table(row.entity)
        if (old := table.rows.get(row.id)) is not None:
            table.remove(old)
            row.follow(old)
        table.place(row)
        self._keep_counters(row.entity, row.id)
        if self._changed is not None:
            self._changed(self._put_entry(row))

    def drop(self, row: Row, when: int) -> None:
        """Take a record out for good; a transaction leaves a tombstone."""
        self.table(row.entity).remove(row)
        self.bury(Tombstone(row.entity, row.id, when, row))

    def bury(self, stone: Tombstone) -> None:
        """Report an id as deleted in change data capture."""
        self.tombstones[stone.entity.name].append(stone)
        if self._changed is not None:
            self._changed(self._drop_entry(stone))

    def touch_text(self, row: Row) -> None:
        """Let a record be written anew after a change that is no modification in QBO's sense."""
        row.text = None
        self.put(row)

    def _keep_counters(self, entity: Entity, record_id: str) -> None:
        counter, first = ("", FIRST_TRANSACTION_ID) if entity.transaction else (entity.name, 1)
        known = self._next_ids.get(counter, first)
        self._next_ids[counter] = max(known, int(record_id) + 1)

    def retell(self) -> Iterator[Document]:
        """All that is in the books, as journal entries."""
        for table in self.tables.values():
            yield from (self._put_entry(row) for row in table.rows.values())
        for stones in self.tombstones.values():
            yield from map(self._drop_entry, stones)

    def replay(self, entry: Document) -> None:
        """Take over one journal entry without telling it again."""
        entity, table = ENTITIES[entry["entity"].lower()], self.tables[entry["entity"]]
        old = table.rows.get(str(entry.get("id") or entry.get("document", {}).get("Id")))
        if old is not None:
            table.remove(old)
        if entry["do"] == "drop":
            self.tombstones[entity.name].append(Tombstone(entity, entry["id"], entry["updated"]))
            self._keep_counters(entity, entry["id"])
            return
        row = Row(entity, entry["document"], entry["created"], entry["updated"], entry.get("text"))
        row.verbatim = row.text is not None
        table.place(row)
        self._keep_counters(entity, row.id)
        number = str(row.document.get("DocNumber", ""))
        if number.isdecimal() and len(number) < DOC_NUMBER_DIGITS:
            self.next_doc_number = max(self.next_doc_number, int(number) + 1)
        for line in row.document.get("Line", ()) if entity is PAYMENT else ():
            link = line["LinkedTxn"][0]
            amounts = self.applied.setdefault((link["TxnType"], link["TxnId"]), {})
            amounts[row.id] = Decimal(line["Amount"])

    def _put_entry(self, row: Row) -> Document:
        entry: Document = {"do": "put", "realm": self.profile.realm, "entity": row.entity.name}
        entry |= {"created": row.created, "updated": row.updated, "document": row.document}
        return entry | ({"text": row.text} if row.verbatim else {})

    def _drop_entry(self, stone: Tombstone) -> Document:
        entry = {"do": "drop", "realm": self.profile.realm, "entity": stone.entity.name}
        return entry | {"id": stone.id, "updated": stone.updated}
