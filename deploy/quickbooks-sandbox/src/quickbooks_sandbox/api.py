"""The imitated accounting API: `/v3/company/{realm}/…`.

Law: a request is checked in the order of the real gateway (token, company, JSON, resource); what it
does is decided by the books alone.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response

from quickbooks_sandbox import (
    bookkeeping,
    cdc,
    faults,
    lists,
    oddities,
    payments,
    query,
    shapes,
    wire,
)
from quickbooks_sandbox.books import Books, Row
from quickbooks_sandbox.clock import seconds_text
from quickbooks_sandbox.entities import (
    COMPANY_INFO,
    CUSTOMER,
    INVOICE,
    ITEM,
    PAYMENT,
    SALES,
    Entity,
    entity_named,
)
from quickbooks_sandbox.gateway import Gateway, header
from quickbooks_sandbox.traffic import Call, entity_of_statement
from quickbooks_sandbox.versions import Desk, check_token
from quickbooks_sandbox.wire import Document

BATCH_ITEMS_MAX = 30
READ_PARTS = 2
SEND_PARTS = 3
ANSWERS_KEPT_MAX = 1000


def router(gateway: Gateway) -> APIRouter:
    """The routes of the accounting API."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/v3/company/{realm}/{rest:path}", methods=["GET", "POST"])
    async def company_resource(realm: str, rest: str, request: Request) -> Response:
        asked = Asked(
            request.method,
            request.url.path,
            realm=realm,
            parts=rest.strip("/").split("/"),
            params=_parameters(request),
            headers=request.headers,
            body=await request.body(),
        )
        call = describe(asked)
        return await gateway.serve(call, lambda: Visit(gateway, asked).answer(call))

    return routes


@dataclass(frozen=True)
class Asked:
    """What came in: a request to one company."""

    method: str
    path: str
    realm: str
    parts: list[str]
    """The path below the company."""
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """The `operation` parameter; `void-by-include` for an update that includes a void."""
        operation = self.params.get("operation", "").lower()
        if operation == "update" and self.params.get("include", "").lower() == "void":
            return "void-by-include"
        return operation


def describe(asked: Asked) -> Call:
    """What a request asks for, in the words of the log."""
    head = asked.parts[0].lower()
    call = Call(asked.method, asked.path, asked.realm, entity=head, operation="read")
    if head == "query":
        body = asked.body.decode(errors="replace") if asked.method == "POST" else ""
        call.operation, call.statement = "query", asked.params.get("query") or body
        call.entity = entity_of_statement(call.statement)
    elif head == "cdc":
        call.operation, call.entity = "cdc", asked.params.get("entities", "").lower()
    elif head == "batch":
        call.operation, call.entity = "batch", ""
    elif asked.method == "POST" and len(asked.parts) >= SEND_PARTS:
        call.operation = asked.parts[2].lower()
    elif asked.method == "POST":
        implied = "update" if b'"Id"' in asked.body else "create"
        call.operation = asked.operation.removesuffix("-by-include") or implied
    return call


class Visit:
    """One request to one company."""

    def __init__(self, gateway: Gateway, asked: Asked) -> None:
        """Serve this request."""
        self.gateway, self.sandbox, self.asked = gateway, gateway.sandbox, asked

    def answer(self, call: Call) -> Response:
        """Answer the request.

        Raises: QboError for everything that the service would refuse.
        """
        desk = self._enter()
        head, parts, method = self.asked.parts[0].lower(), self.asked.parts, self.asked.method
        if head == "query" and len(parts) == 1:
            return self.gateway.envelope(QueryResponse=run_query(desk, call.statement))
        if (head, method, len(parts)) == ("cdc", "GET", 1):
            return self.gateway.envelope(CDCResponse=self._changes(desk))
        if (head, method, len(parts)) == ("batch", "POST", 1):
            return self._batch(desk)
        entity = entity_named(head)
        if entity is not None and (method, len(parts)) == ("GET", READ_PARTS):
            return self._read(desk, entity, parts[1])
        if entity is not None and (method, len(parts)) == ("POST", 1):
            return self._write(desk, entity)
        if entity in SALES and method == "POST" and parts[2:] == ["send"]:
            sold = live(desk.books, entity, parts[1])
            row = bookkeeping.email_sale(desk, sold, self.asked.params.get("sendTo"))
            return self.gateway.envelope(**{entity.name: row.body()})
        path = self.asked.path
        raise faults.unsupported(f"Could not find resource for relative : {path}")

    def _changes(self, desk: Desk) -> str:
        params = {name.lower(): value for name, value in self.asked.params.items()}
        entities, since = params.get("entities", ""), params.get("changedsince", "")
        return cdc.changes(entities, since, desk.books, desk.clock, desk.switches)

    def _enter(self) -> Desk:
        scheme, _, token = self.asked.headers.get("authorization", "").partition(" ")
        realm = self.sandbox.tokens.realm_of(token) if scheme.lower() == "bearer" else None
        if realm is None:
            raise faults.token_expired(token)
        if realm != self.asked.realm:
            raise faults.wrong_realm()
        if "application/json" not in header(self.asked.headers, "accept"):
            raise faults.json_only()
        return self.sandbox.desk(realm)

    def _read(self, desk: Desk, entity: Entity, record_id: str) -> Response:
        if entity is COMPANY_INFO:
            text = wire.encode(company_info(desk))
        else:
            row = live(desk.books, entity, record_id)
            bare = entity is INVOICE and desk.switches.subtotal_only == "queries-and-reads"
            text = row.bare_body() if bare else oddities.shown(row, desk.switches)
        return self.gateway.envelope(**{entity.name: text})

    def _write(self, desk: Desk, entity: Entity) -> Response:
        request_id = self.asked.params.get("requestid")
        digest = hashlib.sha256(self.asked.body).hexdigest()
        if request_id and request_id in desk.books.answers:
            known, text = desk.books.answers[request_id]
            if known != digest:
                detail = f"requestid {request_id} was used for another request"
                raise faults.QboError("600", "Duplicate Request Id", detail)
            return self.gateway.envelope(**{entity.name: text})
        body = parse_object(self.asked.body)
        text = write(desk, entity, self.asked.operation, body)
        if request_id:
            desk.books.answers[request_id] = (digest, text)
            if len(desk.books.answers) > ANSWERS_KEPT_MAX:
                del desk.books.answers[next(iter(desk.books.answers))]
        return self.gateway.envelope(**{entity.name: text})

    def _batch(self, desk: Desk) -> Response:
        body = parse_object(self.asked.body)
        shapes.check(body)
        items = body.get("BatchItemRequest")
        if not items:
            raise faults.missing("BatchItemRequest")
        if len(items) > BATCH_ITEMS_MAX:
            detail = f"a batch holds at most {BATCH_ITEMS_MAX} items, this one has {len(items)}"
            raise faults.business(detail)
        answers = ",".join(batch_item(desk, item) for item in items)
        return self.gateway.envelope(BatchItemResponse=f"[{answers}]")


def batch_item(desk: Desk, item: Document) -> str:
    """One item of a batch; a fault stays inside its item."""
    label = json.dumps(str(item.get("bId", "")))
    try:
        if "Query" in item:
            text = run_query(desk, str(item["Query"]))
            return f'{{"QueryResponse":{text},"bId":{label}}}'
        named = [
            (name, found)
            for name, part in item.items()
            if isinstance(part, dict) and (found := entity_named(name)) is not None
        ]
        if not named:
            raise faults.missing("BatchItemRequest entity")
        name, entity = named[0]
        operation = str(item.get("operation", "create")).lower()
        if operation == "update" and str(item.get("optionsData", "")).lower() == "void":
            operation = "void-by-include"
        operation = "" if operation in {"create", "update"} else operation
        text = write(desk, entity, operation, item[name])
    except faults.QboError as error:
        return f'{{"Fault":{wire.encode(error.fault())},"bId":{label}}}'
    return f'{{"{entity.name}":{text},"bId":{label}}}'


def run_query(desk: Desk, statement: str) -> str:
    """The QueryResponse of a statement as JSON text."""
    parsed = query.parse(statement)
    if parsed.entity.lower() == COMPANY_INFO.name.lower():
        info = wire.encode(company_info(desk))
        return f'{{"CompanyInfo":[{info}],"maxResults":1}}'
    answer = query.run(parsed, desk.books, desk.clock, desk.switches)
    return answer.text(empty_with_zero=desk.switches.empty_page == "zero")


def write(desk: Desk, entity: Entity, operation: str, body: Document) -> str:
    """Create, update, void or delete, as the operation and the body's Id say; the answer's text.

    Raises: QboError; 500 for an operation that the entity does not have.
    """
    if entity is COMPANY_INFO:
        raise faults.unsupported(f"{operation or 'create'} of CompanyInfo (not imitated)")
    if operation in {"", "create", "update"}:
        if not body.get("Id"):
            return create(desk, entity, body).body()
        return update(desk, live(desk.books, entity, str(body["Id"])), body).body()
    row = live(desk.books, entity, str(body.get("Id", "")))
    check_token(row, body)
    if operation == "delete" and entity.transaction:
        delete(desk, row)
        return wire.encode({"domain": "QBO", "status": "Deleted", "Id": row.id})
    if operation == {"operation": "void", "include": "void-by-include"}.get(entity.void):
        return void(desk, row).body()
    raise faults.unsupported(f"{operation} of {entity.name}")


def create(desk: Desk, entity: Entity, body: Document, at: int | None = None) -> Row:
    """Record something new of any entity."""
    shapes.check(body)
    if entity in (ITEM, CUSTOMER):
        return lists.create(desk, entity, body, at=at)
    if entity is PAYMENT:
        return payments.create(desk, body, at=at)
    return bookkeeping.create_sale(desk, entity, body, at=at)


def update(desk: Desk, row: Row, body: Document) -> Row:
    """Change something of any entity."""
    shapes.check(body)
    if row.entity in (ITEM, CUSTOMER):
        return lists.update(desk, row, body)
    if row.entity is PAYMENT:
        return payments.update(desk, row, body)
    return bookkeeping.update_sale(desk, row, body)


def void(desk: Desk, row: Row) -> Row:
    """Void a sale or a payment."""
    return payments.void(desk, row) if row.entity is PAYMENT else bookkeeping.void_sale(desk, row)


def delete(desk: Desk, row: Row) -> None:
    """Delete a sale or a payment."""
    if row.entity is PAYMENT:
        payments.delete(desk, row)
    else:
        bookkeeping.delete_sale(desk, row)


def live(books: Books, entity: Entity, record_id: str) -> Row:
    """The live record with that id.

    Raises: QboError 2030 for an id that is no number, 610 for one that is not there.
    """
    if not (record_id.isascii() and record_id.isdigit()):
        raise faults.invalid_id(record_id)
    row = books.find(entity, record_id)
    if row is None:
        raise faults.not_found()
    return row


def parse_object(body: bytes) -> Document:
    """A request body that must be a JSON object.

    Raises: QboError 2010.
    """
    try:
        parsed = wire.decode(body)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        detail = "the body is not a JSON object"
        raise faults.QboError("2010", "Request has invalid or unsupported property", detail)
    return parsed


def company_info(desk: Desk) -> Document:
    """The CompanyInfo of a company."""
    profile = desk.books.profile
    founded = "2024-01-01"
    address = {"Id": "1", "Line1": "7 Sawmill Lane", "City": "Astoria", "PostalCode": "97103"}
    address |= {"CountrySubDivisionCode": "OR"} if profile.country == "US" else {}
    opened = seconds_text(1704096000)
    return {
        "CompanyName": profile.name,
        "LegalName": profile.name,
        "CompanyAddr": address,
        "CustomerCommunicationAddr": address,
        "LegalAddr": address,
        "CustomerCommunicationEmailAddr": {"Address": "books@cedar.example"},
        "PrimaryPhone": {},
        "CompanyStartDate": founded,
        "FiscalYearStartMonth": "January",
        "Country": profile.country,
        "Email": {"Address": "books@cedar.example"},
        "WebAddr": {},
        "SupportedLanguages": "en",
        "DefaultTimeZone": profile.time_zone,
        "NameValue": [{"Name": "NeoEnabled", "Value": "true"}],
        "domain": "QBO",
        "sparse": False,
        "Id": "1",
        "SyncToken": "0",
        "MetaData": {"CreateTime": opened, "LastUpdatedTime": opened},
    }


def _parameters(request: Request) -> dict[str, str]:
    raw = request.scope["query_string"].decode("latin-1")
    parsed = parse_qs(raw, keep_blank_values=True, encoding="utf-8", errors="replace")
    return {name: values[-1] for name, values in parsed.items()}
