"""The adapter: Kauri Ledger as the connector's core sees an accounting system.

The laws of this module: lists are read in the order of ids, which never change, and rows never
leave a list while it is read, so page numbers miss nothing; what joins a page that was read already
has a later time and comes with the next run.
"""

import json
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from channel_connector.domain.documents import (
    Document,
    DocumentKey,
    Failure,
    Item,
    Kind,
    NormalisedDocument,
)
from channel_connector.provider import (
    Callback,
    Company,
    Grant,
    InvalidGrantError,
    Page,
    Position,
    ReadRequest,
    SourceError,
    Tokens,
    TokenSource,
)
from kauri.normalise import day, milliseconds, moment, normalise
from kauri.service import ID_FIELDS, Answer, KauriService

LISTS: dict[Kind, str] = {"invoice": "Invoices", "credit-memo": "CreditNotes"}
TYPES = {"Invoices": "ACCREC", "CreditNotes": "ACCRECCREDIT"}
UNFINISHED = {"DRAFT", "SUBMITTED"}
LOOK_BACK = timedelta(days=29)
"""Deleted documents stay in the lists for 30 days."""
ATTEMPTS = 3


class KauriLedger:
    """Reads one organisation."""

    def __init__(self, service: KauriService, tokens: TokenSource, *, page_rows: int = 100) -> None:
        self._service = service
        self._tokens = tokens
        self._page_rows = page_rows
        self._calls = 0

    @property
    def http_calls(self) -> int:
        """Requests sent so far."""
        return self._calls

    async def read(self, request: ReadRequest, position: Position | None) -> AsyncIterator[Page]:
        """Items, then each list: what changed, and everything of kinds never read."""
        steps: list[list[str]] = position["steps"] if position else _steps(request)
        number: int = position["page"] if position else 1
        while steps:
            (name, how), rest = steps[0], steps[1:]
            since = request.changed_since if how == "changes" else None
            params = {"If-Modified-Since": since.isoformat()} if since else {}
            if name != "Items":
                params |= {"page": str(number), "pageSize": str(self._page_rows)}
            answer = await self._get(name, params)
            rows = json.loads(answer.body)[name]
            if name != "Items" and len(rows) == self._page_rows:
                number += 1
            else:
                steps, number = rest, 1
            yield _page(name, rows, answer, since, {"steps": steps, "page": number})

    async def find(self, key: DocumentKey) -> Document | None:
        """The document as it is now, or None if it was deleted."""
        name = LISTS[key.kind]
        answer = await self._get(f"{name}/{key.external_id}")
        rows = json.loads(answer.body)[name] if answer.status == 200 else []
        return next((_document(key.kind, r) for r in rows if r["Status"] != "DELETED"), None)

    async def existing(self, kind: Kind, external_ids: Collection[str]) -> set[str]:
        """Those of the ids that exist."""
        name = LISTS[kind]
        answer = await self._get(name, {"IDs": ",".join(sorted(external_ids))})
        rows = json.loads(answer.body)[name]
        return {row[ID_FIELDS[name]] for row in rows if row["Status"] != "DELETED"}

    async def items(self, external_ids: Collection[str]) -> list[Item]:
        """The items with these ids."""
        answer = await self._get("Items", {"IDs": ",".join(sorted(external_ids))})
        return [_item(row) for row in json.loads(answer.body)["Items"]]

    async def company(self) -> Company:
        """Whose books these are."""
        (about,) = json.loads((await self._get("Organisation")).body)["Organisations"]
        return Company(about["Name"], about["BaseCurrency"], "Pacific/Auckland")

    def normalise(
        self, document: Document, home_currency: str | None
    ) -> NormalisedDocument | Failure:
        """A stored document in our words."""
        return normalise(document, home_currency)

    async def _get(self, path: str, params: dict[str, str] | None = None) -> Answer:
        """One answer, after bounded retries.

        Raises:
            SourceError: there is none that can be used.
        """
        token = await self._tokens.current()
        for _ in range(ATTEMPTS):
            self._calls += 1
            answer = self._service.get(path, token, params)
            if answer.status in {200, 404}:
                return answer
            if answer.status == 401:
                token = await self._tokens.renew(token)
        if answer.status == 401:
            raise SourceError("needs-reconnect", "Kauri Ledger refuses every token.")
        if answer.status == 429:
            raise SourceError("rate-limited", "Kauri Ledger limits requests.")
        raise SourceError("upstream-error", f"Kauri Ledger answered {answer.status}.")


def _steps(request: ReadRequest) -> list[list[str]]:
    how = "changes" if request.changed_since else "all"
    lists = [[LISTS[kind], how] for kind in request.kinds if kind in LISTS]
    return [
        ["Items", "all"],
        *lists,
        *([LISTS[k], "all"] for k in request.never_read if k in LISTS),
    ]


def _page(
    name: str,
    rows: list[dict[str, Any]],
    answer: Answer,
    since: datetime | None,
    position: Position,
) -> Page:
    time = parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
    if name == "Items":
        return Page(position, time, items=[_item(row) for row in rows])
    kind = next(kind for kind, listed in LISTS.items() if listed == name)
    sales = [r for r in rows if r["Type"] == TYPES[name] and r["Status"] not in UNFINISHED]
    return Page(
        position,
        time,
        documents=[_document(kind, row) for row in sales if row["Status"] != "DELETED"],
        deleted=[
            DocumentKey(kind, row[ID_FIELDS[name]]) for row in sales if row["Status"] == "DELETED"
        ],
        compare=[kind] if since and time - since >= LOOK_BACK else [],
    )


def _document(kind: Kind, row: dict[str, Any]) -> Document:
    return Document(
        key=DocumentKey(kind, row[ID_FIELDS[LISTS[kind]]]),
        version=milliseconds(row["UpdatedDateUTC"]),
        status="voided" if row["Status"] == "VOIDED" else "active",
        transaction_date=day(row["DateString"]),
        created_at=None,
        updated_at=moment(row["UpdatedDateUTC"]),
        payload=json.dumps(row).encode(),
    )


def _item(row: dict[str, Any]) -> Item:
    kind = "inventory" if row["IsTrackedAsInventory"] else "service"
    return Item(row["ItemID"], kind, row["Name"])


class KauriConsent:
    """Asks for consent, and trades codes and refresh tokens."""

    def __init__(self, service: KauriService) -> None:
        self._service = service

    def realm_fault(self, realm_id: str) -> str | None:
        """What is wrong with an organisation's id: it is a UUID."""
        return None if realm_id.count("-") == 4 else "An organisation's id is a UUID."

    def consent_address(self, state: str) -> str:
        """The page to send a browser to."""
        return f"https://kauri.test/consent?state={state}"

    def read_callback(self, parameters: Mapping[str, str]) -> Callback:
        """What the page sent back; the organisation is not said here."""
        return Callback(parameters["state"], code=parameters["code"])

    async def exchange(self, callback: Callback) -> Grant:
        """The tokens, and the organisation that they turn out to be for."""
        tokens = self._trade({"code": callback.code})
        answer = self._service.get("Connections", tokens.access_token)
        (connection,) = json.loads(answer.body)
        return Grant(connection["tenantId"], tokens)

    async def refresh(self, refresh_token: str) -> Tokens:
        """Use a refresh token once."""
        return self._trade({"refresh_token": refresh_token})

    async def revoke(self, refresh_token: str) -> None:
        """End a consent."""
        if refresh_token != self._service.refresh_token:
            raise SourceError("upstream-error", "Kauri Ledger did not revoke the consent.")
        self._service.revoke()

    def _trade(self, form: dict[str, str]) -> Tokens:
        answer = self._service.token(form)
        if answer.status != 200:
            raise InvalidGrantError
        said = json.loads(answer.body)
        return Tokens(said["access_token"], said["expires_in"], said["refresh_token"])
