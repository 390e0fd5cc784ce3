"""One QuickBooks company as the core sees it.

The laws of this module:

- Pages follow time, not offsets: the next page begins at the last row's second, so rows that are
  edited or deleted in between move no border. A second with more rows than a page is read whole.
- A scan is bounded above by the server's clock at its start; what changes later has a later time
  and comes with the next run.
- Deletions are only those that change data capture can be trusted for: fewer than 1000 objects
  in the answer (the cap drops tombstones first, without a sign), and less than 29 days back.
Source: fact sheet sections 1 to 4 and 11.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from channel_connector.clients.quickbooks import wire
from channel_connector.clients.quickbooks.client import Answer, QuickBooksClient, instant_text
from channel_connector.clients.quickbooks.countries import usual_currency
from channel_connector.clients.quickbooks.documents import (
    ENTITIES,
    ITEM,
    KINDS,
    UNNAMED,
    cdc_blocks,
    document_of,
    id_of,
    is_bare,
    is_tombstone,
    item_of,
    rows_of,
)
from channel_connector.clients.quickbooks.faults import QuickBooksError, WrongRequestError
from channel_connector.clients.quickbooks.normalise import normalise
from channel_connector.domain.documents import (
    Document,
    DocumentKey,
    Failure,
    Item,
    Kind,
    NormalisedDocument,
)
from channel_connector.provider import Company, Page, Position, ReadRequest, SourceError

log = structlog.get_logger(__name__)

PAGE_ROWS = 1_000
"""The most that a query gives; also what a whole second is read with."""
CDC_OBJECTS_MAX = 1_000
CDC_LOOK_BACK = timedelta(days=29)
IDS_PER_QUERY = 200
PASSES_MAX = 8
CREATED = "MetaData.CreateTime"
UPDATED = "MetaData.LastUpdatedTime"
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _Scan:
    """Rows of one entity along a time, up to a bound."""

    entity: str
    axis: str
    until: datetime | None
    where: tuple[str, ...] = ()

    def statement(self, low: datetime | None, *, start: int = 1, rows: int) -> str:
        """The page that begins at `low`."""
        conditions = list(self.where)
        if low is not None:
            conditions.append(f"{self.axis} >= '{instant_text(low)}'")
        if self.until is not None:
            conditions.append(f"{self.axis} <= '{instant_text(self.until)}'")
        return self._select(conditions, start, rows)

    def second(self, low: datetime, *, start: int = 1, rows: int) -> str:
        """The rows of exactly one second."""
        return self._select(self._within(low), start, rows)

    def count(self, low: datetime) -> str:
        """How many rows one second has."""
        return _statement(self.entity, self._within(low), what="COUNT(*)")

    def _within(self, low: datetime) -> list[str]:
        return [
            *self.where,
            f"{self.axis} >= '{instant_text(low)}'",
            f"{self.axis} < '{instant_text(low + _SECOND)}'",
        ]

    def _select(self, conditions: Sequence[str], start: int, rows: int) -> str:
        tail = f"ORDERBY {self.axis} STARTPOSITION {start} MAXRESULTS {rows}"
        return _statement(self.entity, conditions, tail)

    def time_of(self, row: dict[str, Any]) -> datetime | None:
        """The row's time on this axis, to the second."""
        times = row.get("MetaData")
        found = (
            wire.instant(times.get(self.axis.split(".")[1])) if isinstance(times, dict) else None
        )
        return found.replace(microsecond=0) if found else None


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of a page; reading goes on at `low`, or is done if it is None."""

    rows: list[dict[str, Any]]
    low: datetime | None
    time: datetime


class QuickBooksCompany:
    """Reads one company. `page_rows` and `cdc_objects_max` are smaller in tests only."""

    def __init__(
        self,
        client: QuickBooksClient,
        *,
        page_rows: int = PAGE_ROWS,
        cdc_objects_max: int = CDC_OBJECTS_MAX,
    ) -> None:
        self._client = client
        self._page_rows = page_rows
        self._cdc_objects_max = cdc_objects_max

    @property
    def http_calls(self) -> int:
        """Requests sent so far, retries included, the token endpoint's not."""
        return self._client.calls

    async def read(self, request: ReadRequest, position: Position | None) -> AsyncIterator[Page]:
        """Everything since the initial date, or all that changed since the cursor.

        Raises:
            SourceError: reading cannot go on.
        """
        try:
            async for page in self._read(request, position):
                yield await self._completed(page)
        except QuickBooksError as error:
            raise SourceError("upstream-error", f"{error}.") from None

    async def _read(self, request: ReadRequest, position: Position | None) -> AsyncIterator[Page]:
        if position is None and request.changed_since is not None:
            captured = await self._captured(request, request.changed_since)
            yield captured
            position = captured.position
        position = position or {"stage": "rows", "kinds": list(request.kinds), "low": None}
        if position["stage"] == "rows":
            async for page in self._read_rows(request, position):
                yield page
                position = page.position
        if position["stage"] == "deletions" and request.changed_since is not None:
            async for page in self._read_deletions(request.changed_since, position):
                yield page
                position = page.position
        if request.never_read and request.changed_since is not None:
            async for page in self._read_from_the_beginning(request, position):
                yield page

    async def _read_from_the_beginning(
        self, request: ReadRequest, position: Position
    ) -> AsyncIterator[Page]:
        """Kinds that the channel takes now and did not take before, since the initial date."""
        if position["stage"] != "beginning":
            position = {"stage": "beginning", "kinds": list(request.never_read), "low": None}
        first = replace(request, kinds=request.never_read, changed_since=None)
        async for page in self._read_rows(first, position):
            ended = page.position["stage"] == "deletions"
            left = [] if ended else page.position["kinds"]
            yield replace(page, position={**page.position, "stage": "beginning", "kinds": left})

    async def _completed(self, page: Page) -> Page:
        """The page with invoices that came without their lines read again, one by one."""
        documents = [
            (await self.find(document.key) or document)
            if document.key.kind == "invoice" and _may_be_bare(document)
            else document
            for document in page.documents
        ]
        return replace(page, documents=documents)

    async def _captured(self, request: ReadRequest, since: datetime) -> Page:
        """All changes and deletions by one request, if the answer can be trusted to be whole."""
        names = [ENTITIES[kind] for kind in request.kinds]
        answer = await self._client.changes(",".join([*names, ITEM]), since)
        if self._is_whole(answer, since):
            return _page_of_changes(answer, request.kinds, {"stage": "done"})
        log.info("change data capture is not whole", realm_id=self._client.realm_id)
        return Page(
            position={
                "stage": "rows",
                "kinds": [ITEM, *request.kinds],
                "low": _floor(since).isoformat(),
                "until": answer.time.isoformat(),
            },
            source_time=answer.time,
        )

    def _is_whole(self, answer: Answer, since: datetime) -> bool:
        objects = sum(
            len(rows_of(block, entity))
            for block in cdc_blocks(answer.body)
            for entity in (*KINDS, ITEM)
        )
        return objects < self._cdc_objects_max and answer.time - since < CDC_LOOK_BACK

    async def _read_rows(self, request: ReadRequest, position: Position) -> AsyncIterator[Page]:
        """Every entity in turn, by queries."""
        kinds: list[str] = list(position["kinds"])
        until = wire.instant(position.get("until"))
        low = wire.instant(position.get("low"))
        first_low = _floor(request.changed_since) if request.changed_since else None
        while kinds:
            scan = _scan_of(kinds[0], request, until)
            async for rows in self._along(scan, low):
                until = until or rows.time
                if rows.low is None:
                    kinds = kinds[1:]
                    low = first_low
                else:
                    low = rows.low
                yield _page_of_rows(scan, rows, until, self._position(request, kinds, low, until))

    def _position(
        self, request: ReadRequest, kinds: list[str], low: datetime | None, until: datetime
    ) -> Position:
        if not kinds:
            return {
                "stage": "deletions",
                "kinds": list(request.kinds),
                "until": until.isoformat(),
            }
        return {
            "stage": "rows",
            "kinds": kinds,
            "low": low.isoformat() if low else None,
            "until": until.isoformat(),
        }

    async def _along(self, scan: _Scan, low: datetime | None) -> AsyncIterator[_Rows]:
        """Pages along time. Rows may come twice, at borders; none is left out."""
        while True:
            answer = await self._client.query(scan.statement(low, rows=self._page_rows))
            rows = rows_of(answer.body.get("QueryResponse"), scan.entity)
            if len(rows) < self._page_rows:
                yield _Rows(rows, None, answer.time)
                return
            last = max(filter(None, map(scan.time_of, rows)), default=None)
            if last is None:
                raise SourceError("upstream-error", "QuickBooks' rows have no times.")
            if low is None or last > low:
                low = last
                yield _Rows(rows, low, answer.time)
                continue
            async for part in self._whole_second(scan, low):
                yield part
            low += _SECOND
            yield _Rows([], low, answer.time)

    async def _whole_second(self, scan: _Scan, low: datetime) -> AsyncIterator[_Rows]:
        """All rows of one second: by one request, or by passes until nothing can be missing.

        Pages of a pass overlap by one row. If that row is where it was, no row before it went away
        in between; else the pass is repeated. If rows of one second come in another order each
        time, passes are added up until they hold as many rows as the server counts.
        """
        seen: set[str] = set()
        for _ in range(PASSES_MAX):
            before = await self._count(scan, low) if seen else None
            steady, start, border = True, 1, None
            while True:
                answer = await self._client.query(scan.second(low, start=start, rows=PAGE_ROWS))
                rows = rows_of(answer.body.get("QueryResponse"), scan.entity)
                steady = steady and (border is None or (bool(rows) and id_of(rows[0]) == border))
                seen.update(map(id_of, rows))
                yield _Rows(rows, low, answer.time)
                if len(rows) < PAGE_ROWS:
                    break
                border = id_of(rows[-1])
                start += len(rows) - 1
            if steady or (before is not None and len(seen) >= before):
                return
        raise SourceError(
            "upstream-error",
            f"More than {PAGE_ROWS} {scan.entity} rows share the second {instant_text(low)} and "
            "change while they are read. Try again later.",
        )

    async def _count(self, scan: _Scan, low: datetime) -> int:
        answer = await self._client.query(scan.count(low))
        total = answer.body.get("QueryResponse", {}).get("totalCount")
        return int(total) if isinstance(total, int) else 0

    async def _read_deletions(self, since: datetime, position: Position) -> AsyncIterator[Page]:
        """Deletions of one entity after another; where they cannot be asked for, say so."""
        kinds: list[Kind] = list(position["kinds"])
        until = wire.instant(position["until"])
        if until is None:
            raise SourceError("upstream-error", "The stored position of this run cannot be read.")
        while kinds:
            kind, kinds = kinds[0], kinds[1:]
            position = {"stage": "deletions", "kinds": kinds, "until": until.isoformat()}
            answer = None
            if until - since < CDC_LOOK_BACK:
                answer = await self._client.changes(ENTITIES[kind], since)
            if answer is not None and self._is_whole(answer, since):
                page = _page_of_changes(answer, (kind,), position)
                yield Page(position, until, deleted=page.deleted)
            else:
                yield Page(position, until, compare=(kind,))

    async def find(self, key: DocumentKey) -> Document | None:
        """The document as it is now, or None if it was deleted.

        Raises:
            SourceError: the question could not be answered.
        """
        entity = ENTITIES[key.kind]
        try:
            answer = await self._client.read(entity, key.external_id)
            row = answer.body.get(entity) if answer is not None else None
            if not isinstance(row, dict) or is_tombstone(row):
                return None
            return document_of(key.kind, row)
        except QuickBooksError as error:
            raise SourceError("upstream-error", f"{error}.") from None

    async def existing(self, kind: Kind, external_ids: Collection[str]) -> set[str]:
        """Those of the ids that exist; nobody can ask for documents that came without one.

        Raises:
            SourceError: the question could not be answered.
        """
        found = {str(row.get("Id")) for row in await self._by_ids(ENTITIES[kind], external_ids)}
        return found | {i for i in external_ids if i.startswith(UNNAMED)}

    async def items(self, external_ids: Collection[str]) -> list[Item]:
        """The items with these ids, inactive ones too.

        Raises:
            SourceError: the question could not be answered.
        """
        rows = await self._by_ids(ITEM, external_ids, "Active IN (true, false)")
        return [item_of(row) for row in rows if row.get("Id")]

    async def _by_ids(
        self, entity: str, external_ids: Collection[str], *conditions: str
    ) -> list[dict[str, Any]]:
        ids = sorted(i for i in external_ids if i.isascii() and i.isdigit())
        found: list[dict[str, Any]] = []
        try:
            for start in range(0, len(ids), IDS_PER_QUERY):
                wanted = ", ".join(f"'{i}'" for i in ids[start : start + IDS_PER_QUERY])
                where = [f"Id IN ({wanted})", *conditions]
                answer = await self._client.query(
                    _statement(entity, where, f"MAXRESULTS {PAGE_ROWS}")
                )
                found += rows_of(answer.body.get("QueryResponse"), entity)
        except QuickBooksError as error:
            raise SourceError("upstream-error", f"{error}.") from None
        return found

    async def company(self) -> Company:
        """Whose books these are; what the company does not tell is None.

        Raises:
            SourceError: the company does not answer.
        """
        info = await self._first_row("CompanyInfo")
        preferences = await self._first_row("Preferences")
        currencies = preferences.get("CurrencyPrefs")
        home, _ = wire.reference(
            currencies.get("HomeCurrency") if isinstance(currencies, dict) else None
        )
        return Company(
            name=wire.text(info.get("CompanyName")),
            home_currency=home or usual_currency(wire.text(info.get("Country"))),
            time_zone=wire.text(info.get("DefaultTimeZone")),
        )

    async def _first_row(self, entity: str) -> dict[str, Any]:
        try:
            answer = await self._client.query(_statement(entity))
        except WrongRequestError as error:
            log.info("company does not tell", entity=entity, code=error.code)
            return {}
        rows = rows_of(answer.body.get("QueryResponse"), entity)
        return rows[0] if rows else {}

    def normalise(
        self, document: Document, home_currency: str | None
    ) -> NormalisedDocument | Failure:
        """A stored document in our words."""
        return normalise(document, home_currency)


def _statement(
    entity: str, conditions: Sequence[str] = (), tail: str = "", *, what: str = "*"
) -> str:
    """A statement. The language has no parameters; all values are numbers, dates and digits."""
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {what} FROM {entity}{where} {tail}".rstrip()  # noqa: S608


def _scan_of(kind: str, request: ReadRequest, until: datetime | None) -> _Scan:
    """What to query of an entity: by creation in the first sync, by change later."""
    if kind == ITEM:
        return _Scan(ITEM, UPDATED, until, ("Active IN (true, false)",))
    entity = ENTITIES[kind]  # type: ignore[index]  # positions hold kinds as text
    if request.changed_since is None:
        return _Scan(entity, CREATED, until, (f"TxnDate >= '{request.initial_date.isoformat()}'",))
    return _Scan(entity, UPDATED, until)


def _page_of_rows(scan: _Scan, rows: _Rows, until: datetime, position: Position) -> Page:
    if scan.entity == ITEM:
        return Page(position, until, items=[item_of(row) for row in rows.rows])
    kind = KINDS[scan.entity]
    return Page(position, until, documents=[document_of(kind, row) for row in rows.rows])


def _page_of_changes(answer: Answer, kinds: Sequence[Kind], position: Position) -> Page:
    documents: list[Document] = []
    deleted: list[DocumentKey] = []
    items: list[Item] = []
    for block in cdc_blocks(answer.body):
        items += [item_of(row) for row in rows_of(block, ITEM) if not is_tombstone(row)]
        for kind in kinds:
            for row in rows_of(block, ENTITIES[kind]):
                if is_tombstone(row):
                    deleted.append(DocumentKey(kind, id_of(row)))
                else:
                    documents.append(document_of(kind, row))
    return Page(position, answer.time, documents, deleted, items)


def _may_be_bare(document: Document) -> bool:
    """Whether an invoice came without its lines; most are told by a look at the bytes."""
    if b"SalesItemLineDetail" in document.payload or b"SubTotal" not in document.payload:
        return False
    return is_bare(wire.decode_object(document.payload))


def _floor(value: datetime) -> datetime:
    return value.replace(microsecond=0)
