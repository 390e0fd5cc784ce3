"""SQL in, domain values out, for a whole batch at a time.

Locks are taken in one order: the item links of a business, then sales by business and sale id, then
runs by business and sync id. Whoever changes links, channels or which sales wait as a whole has the
first alone, so what one batch reads does not change before it commits, and the order of commits is
one in which all could have been applied one after another (I11).
"""

import json
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiosql
from pydantic import TypeAdapter

from chassis.outbox import Connection
from contracts.channels import ChannelChanged
from contracts.inventory import Allocation, ProductChanged, ReturnedGoods, Shortage
from sales_processor.domain.matching import ItemKey, LinkedProduct, MissingItem
from sales_processor.domain.money import ZERO
from sales_processor.domain.sale import (
    LINE_FLAGS,
    Content,
    Costed,
    CostedLine,
    Line,
    Sale,
    SaleKey,
    State,
)

queries: Any = aiosql.from_path(Path(__file__).parent / "sql" / "queries.sql", "asyncpg")

ProductKey = tuple[str, str]
"""Business and product."""
ChannelKey = tuple[str, str]
"""Business and channel."""

_CONTENT = TypeAdapter(Content)
_ALLOCATIONS = TypeAdapter(tuple[Allocation, ...])
_RETURNED = TypeAdapter(tuple[ReturnedGoods, ...])

_SALE_COLUMNS = (
    *("business_id", "sale_id", "channel_id", "source", "kind", "external_id", "seen_version"),
    *("intent", "content_hash", "revision", "costed_revision", "costing", "holds_goods"),
    *("update_waiting", "draft", "pending_sync_id", "status", "version", "number"),
    *("customer_external_id", "customer_name", "sale_date", "currency", "exchange_rate"),
    *("total_amount", "tax_amount", "revenue", "cost", "flags", "notes", "sync_id"),
    *("home_currency", "money_places", "asked_revision"),
)
_LINE_COLUMNS = (
    *("business_id", "sale_id", "line_number", "item_external_id", "product_id", "product_name"),
    *("description", "quantity", "unit_price", "amount", "discount", "revenue", "cost"),
    *("allocations", "shortage", "skipped_reason", "flags", "returned"),
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A version that must wait: the document as it came, or a content that inventory refused.

    `created_at` and `order_id` place it among those of its date; `tried_by` names what brought it
    or tried it last.
    """

    version: int
    document: bytes | None
    content: Content | None
    errors: Sequence[Mapping[str, Any]]
    sale_date: date
    created_at: datetime
    order_id: str
    tried_by: str | None
    connection_id: str | None = None
    missing: tuple[MissingItem, ...] = ()


def encode_content(content: Content) -> bytes:
    """A content as it is stored."""
    return _CONTENT.dump_json(content, exclude_defaults=True)


def decode_content(stored: bytes) -> Content:
    """A content from its stored form."""
    return _CONTENT.validate_json(stored)


async def rows(found: AsyncIterable[Any]) -> list[Any]:
    """All rows of a query."""
    return [row async for row in found]


def columns(records: Iterable[Sequence[Any]], count: int) -> list[list[Any]]:
    """Records turned into one list for each of their columns."""
    turned = [list(column) for column in zip(*records, strict=True)]
    return turned or [[] for _ in range(count)]


async def lock_links(connection: Connection, businesses: Iterable[str], *, shared: bool) -> None:
    """Keep item links as they are (shared), or wait until nobody matches documents to them."""
    lock = queries.lock_links_shared if shared else queries.lock_links
    await rows(lock(connection, business_ids=sorted(set(businesses))))


async def save_channels(connection: Connection, changed: Sequence[ChannelChanged]) -> None:
    """Keep channels as described, the newest description of each."""
    newest: dict[tuple[str, str], ChannelChanged] = {}
    for channel in changed:
        key = (channel.business_id, channel.channel_id)
        if key not in newest or newest[key].changed_at <= channel.changed_at:
            newest[key] = channel
    await queries.save_channels(
        connection,
        business_ids=[c.business_id for c in newest.values()],
        channel_ids=[c.channel_id for c in newest.values()],
        channel_types=[c.channel_type for c in newest.values()],
        statuses=[c.status for c in newest.values()],
        connection_ids=[c.connection_id for c in newest.values()],
        settings=[c.settings.model_dump(mode="json") for c in newest.values()],
        instants=[c.changed_at for c in newest.values()],
    )


async def find_returns(
    connection: Connection, channels: Iterable[ChannelKey]
) -> dict[ChannelKey, str]:
    """Where returned goods go, by the settings of these channels; unknown ones are left out."""
    wanted = named(channels, "business_ids", "channel_ids")
    if not wanted["business_ids"]:
        return {}
    return {
        (row["business_id"], row["channel_id"]): row["returns"]
        for row in await rows(queries.find_returns(connection, **wanted))
    }


async def save_products(
    connection: Connection, changed: Sequence[ProductChanged]
) -> list[ProductKey]:
    """Keep products with their links as described, where newer; returns which."""
    newest: dict[ProductKey, ProductChanged] = {}
    for product in changed:
        key = (product.business_id, product.product_id)
        if key not in newest or newest[key].version < product.version:
            newest[key] = product
    fields = [
        (p.business_id, p.product_id, p.name, p.sku, p.product_type, p.version)
        for p in newest.values()
    ]
    saved = await rows(
        queries.save_products(
            connection,
            **named(
                fields,
                *("business_ids", "product_ids", "names", "skus", "product_types", "versions"),
            ),
        )
    )
    keys = [(row["business_id"], row["product_id"]) for row in saved]
    links = [
        (business, product, link.connection_id, link.item_external_id, newest[key].changed_at)
        for key in keys
        for business, product in [key]
        for link in newest[key].item_links
    ]
    kept = [link[:4] for link in links] + [(*key, None, None) for key in keys]
    names = ("business_ids", "product_ids", "connection_ids", "item_external_ids", "instants")
    await queries.delete_links(connection, **named(kept, *names[:4]))
    await queries.save_links(connection, **named(links, *names))
    return keys


def named(records: Iterable[Sequence[Any]], *names: str) -> dict[str, list[Any]]:
    """Records as one named list for each of their columns: the parameters of a set-wise query."""
    return dict(zip(names, columns(records, len(names)), strict=True))


async def find_links(
    connection: Connection, items: Iterable[ItemKey]
) -> dict[ItemKey, LinkedProduct]:
    """The products that items are linked to."""
    wanted = named(items, "business_ids", "connection_ids", "item_external_ids")
    if not wanted["business_ids"]:
        return {}
    return {
        (row["business_id"], row["connection_id"], row["item_external_id"]): LinkedProduct(
            row["product_id"], row["name"], row["product_type"]
        )
        for row in await rows(queries.find_links(connection, **wanted))
    }


async def find_products(
    connection: Connection, products: Iterable[ProductKey]
) -> dict[ProductKey, LinkedProduct]:
    """Products by id."""
    wanted = named(products, "business_ids", "product_ids")
    return {
        (row["business_id"], row["product_id"]): LinkedProduct(
            row["product_id"], row["name"], row["product_type"]
        )
        for row in await rows(queries.find_products(connection, **wanted))
    }


def by_key(keys: Iterable[SaleKey]) -> dict[str, list[str]]:
    """The parameters that name sales."""
    return named(keys, "business_ids", "sale_ids")


async def lock_sales(connection: Connection, keys: Iterable[SaleKey]) -> dict[SaleKey, Sale]:
    """Lock sales in their one order; those that are not known are left out."""
    return {
        (row["business_id"], row["sale_id"]): Sale(
            row["business_id"],
            row["sale_id"],
            row["channel_id"],
            row["source"],
            row["kind"],
            row["external_id"],
            State(row["intent"]),
            row["seen_version"],
            row["content_hash"],
            row["revision"],
            row["costed_revision"],
            row["costing"],
            row["holds_goods"],
            row["update_waiting"],
            None if row["draft"] is None else decode_content(row["draft"]),
            row["pending_sync_id"],
            row["status"],
            row["version"],
            row["asked_revision"],
        )
        for row in await rows(queries.lock_sales(connection, **by_key(keys)))
    }


async def find_tombstones(connection: Connection, keys: Iterable[SaleKey]) -> dict[SaleKey, int]:
    """The versions of voids of documents that were never seen."""
    found = await rows(queries.find_tombstones(connection, **by_key(keys)))
    return {(row["business_id"], row["sale_id"]): row["version"] for row in found}


async def save_tombstones(connection: Connection, versions: Mapping[SaleKey, int]) -> None:
    """Remember voids of documents that were never seen."""
    records = [(*key, version) for key, version in versions.items()]
    await queries.save_tombstones(
        connection, **named(records, "business_ids", "sale_ids", "versions")
    )


async def delete_tombstones(connection: Connection, keys: Iterable[SaleKey]) -> None:
    """Forget tombstones of documents that came to life."""
    await queries.delete_tombstones(connection, **by_key(keys))


async def find_shown(connection: Connection, keys: Iterable[SaleKey]) -> dict[SaleKey, Costed]:
    """What is shown of sales, with its lines and their cost."""
    wanted = by_key(keys)
    lines: dict[SaleKey, list[CostedLine]] = {}
    for row in await rows(queries.list_lines(connection, **wanted)):
        lines.setdefault((row["business_id"], row["sale_id"]), []).append(costed_line(row))
    return {
        key: _costed(row, tuple(lines.get(key, ())))
        for row in await rows(queries.list_shown(connection, **wanted))
        for key in [(row["business_id"], row["sale_id"])]
    }


def costed_line(row: Any) -> CostedLine:  # noqa: ANN401  (a database row)
    """A line of what is shown."""
    flags = tuple(row["flags"] or ())
    line = Line(
        row["line_number"],
        row["item_external_id"],
        row["product_id"],
        row["product_name"],
        row["description"],
        row["quantity"],
        row["unit_price"],
        row["amount"],
        row["discount"],
        row["revenue"],
        row["skipped_reason"],
        tuple(flag for flag in flags if flag in LINE_FLAGS),
    )
    allocations = tuple(Allocation(**allocation) for allocation in row["allocations"] or ())
    shortage = None if row["shortage"] is None else Shortage(**row["shortage"])
    returned = tuple(ReturnedGoods(**goods) for goods in row["returned"] or ())
    return CostedLine(line, row["cost"], allocations, shortage, flags, returned)


def revision_lines(text: str) -> list[CostedLine]:
    """The lines of an earlier revision, to the last digit as they were shown."""
    stored = json.loads(text, parse_float=Decimal)
    return [
        costed_line(
            {"returned": None}
            | line
            | {
                name: None if line[name] is None else Decimal(line[name])
                for name in ("quantity", "unit_price", "amount", "discount", "revenue", "cost")
            }
        )
        for line in stored
    ]


def _costed(row: Any, lines: tuple[CostedLine, ...]) -> Costed:  # noqa: ANN401  (a database row)
    content = Content(
        row["version"],
        row["sync_id"],
        row["number"],
        row["customer_external_id"],
        row["customer_name"],
        row["sale_date"],
        row["currency"],
        row["exchange_rate"],
        row["total_amount"],
        row["tax_amount"],
        row["revenue"],
        tuple(line.line for line in lines),
        row["notes"],
        row["void_reason"],
        home_currency=row["home_currency"],
    )
    flags = sorted({flag for line in lines for flag in line.flags})
    return Costed(content, row["cost"], tuple(flags), lines)


async def insert_sales(connection: Connection, sales: Iterable[tuple[Sale, Content]]) -> None:
    """Add sales, each with the content that is shown of it until its cost is known."""
    await connection.copy_records_to_table(
        "sales",
        columns=_SALE_COLUMNS,
        records=[
            (
                *(s.business_id, s.sale_id, s.channel_id, s.source, s.kind, s.external_id),
                *(s.seen_version, s.state.value, s.content_hash, s.revision, s.costed_revision),
                *(s.costing, s.holds_goods, s.update_waiting),
                None if s.draft is None else encode_content(s.draft),
                *(s.pending_sync_id, s.status, s.version, c.number, c.customer_external_id),
                *(c.customer_name, c.sale_date, c.currency, c.exchange_rate, c.total_amount),
                *(c.tax_amount, ZERO, ZERO, (), c.notes, c.sync_id, c.home_currency, c.places),
                s.asked_revision,
            )
            for s, c in sales
        ],
    )


async def save_intake(connection: Connection, sales: Iterable[Sale]) -> None:
    """Keep the newest intent of sales that are stored."""
    records = [
        (
            *(s.business_id, s.sale_id, s.seen_version, s.version, s.state.value),
            *(s.content_hash, s.revision, s.costed_revision, s.holds_goods, s.update_waiting),
            None if s.draft is None else encode_content(s.draft),
            *(s.pending_sync_id, s.status, s.asked_revision),
        )
        for s in sales
    ]
    await queries.save_intake(
        connection,
        **named(
            records,
            *("business_ids", "sale_ids", "seen_versions", "versions", "intents"),
            *("content_hashes", "revisions", "costed_revisions", "holds_goods"),
            *("updates_waiting", "drafts", "pending_sync_ids", "statuses", "asked_revisions"),
        ),
    )


async def save_headers(connection: Connection, waiting: Mapping[SaleKey, Content]) -> None:
    """Show the documents that sales wait with, where nothing was applied before."""
    records = [
        (
            *key,
            *(c.number, c.customer_external_id, c.customer_name, c.sale_date, c.currency),
            *(c.exchange_rate, c.total_amount, c.tax_amount, c.sync_id, c.home_currency, c.places),
        )
        for key, c in waiting.items()
    ]
    await queries.save_headers(
        connection,
        **named(
            records,
            *("business_ids", "sale_ids", "numbers", "customer_ids", "customer_names", "dates"),
            *("currencies", "rates", "totals", "taxes", "sync_ids", "home_currencies", "places"),
        ),
    )


async def save_costed(
    connection: Connection, costed: Sequence[tuple[Sale, Costed, int]], instant: datetime
) -> None:
    """Show contents that have their cost now, with the number of the costing of each."""
    records = [
        (
            *(s.business_id, s.sale_id, costing, d.status, d.content.version, d.content.number),
            *(d.content.customer_external_id, d.content.customer_name, d.content.sale_date),
            *(d.content.currency, d.content.exchange_rate, d.content.total_amount),
            *(d.content.tax_amount, d.content.revenue, d.cost, " ".join(d.flags)),
            *(d.content.notes, d.content.sync_id, d.content.void_reason),
            *(d.content.home_currency, d.content.places),
        )
        for s, d, costing in costed
    ]
    await queries.save_costed(
        connection,
        instant=instant,
        **named(
            records,
            *("business_ids", "sale_ids", "costings", "statuses", "versions", "numbers"),
            *("customer_ids", "customer_names", "dates", "currencies", "rates", "totals"),
            *("taxes", "revenues", "costs", "flags", "notes", "sync_ids", "void_reasons"),
            *("home_currencies", "places"),
        ),
    )


async def save_recosted(
    connection: Connection, recosted: Sequence[tuple[Sale, Costed, int]]
) -> None:
    """Show new costs of sales that did not change."""
    records = [
        (s.business_id, s.sale_id, costing, d.cost, " ".join(d.flags)) for s, d, costing in recosted
    ]
    await queries.save_recosted(
        connection,
        **named(records, "business_ids", "sale_ids", "costings", "costs", "flags"),
    )


async def keep_revisions(
    connection: Connection, keys: Iterable[SaleKey], instant: datetime
) -> None:
    """Keep what is shown of sales, before something newer takes its place."""
    await queries.keep_revisions(connection, instant=instant, **by_key(keys))


async def replace_lines(
    connection: Connection, stale: Sequence[SaleKey], costed: Sequence[tuple[Sale, Costed, int]]
) -> None:
    """Write the lines of what is shown; `stale` sales have lines already, which go."""
    if stale:
        await queries.delete_lines(connection, **by_key(stale))
    await connection.copy_records_to_table(
        "sale_lines",
        columns=_LINE_COLUMNS,
        records=[
            (
                *(s.business_id, s.sale_id, line.line_number, line.item_external_id),
                *(line.product_id, line.product_name, line.description, line.quantity),
                *(line.unit_price, line.amount, line.discount, line.revenue, item.cost),
                _ALLOCATIONS.dump_json(item.allocations, exclude_none=True)
                if item.allocations
                else None,
                None if item.shortage is None else item.shortage.model_dump(mode="json"),
                line.skipped_reason,
                item.flags or None,
                _RETURNED.dump_json(item.returned, exclude_none=True) if item.returned else None,
            )
            for s, d, _ in costed
            for item in d.lines
            for line in [item.line]
        ],
    )


async def save_waiting(
    connection: Connection, waiting: Mapping[SaleKey, tuple[Sale, Waiting]]
) -> None:
    """Keep versions that must wait, in place of what waited, with the items that they lack."""
    records = [
        (
            *key,
            *(sale.channel_id, w.version, w.document),
            None if w.content is None else encode_content(w.content),
            *(json.dumps(w.errors), w.sale_date, w.created_at, w.order_id, w.tried_by),
        )
        for key, (sale, w) in waiting.items()
    ]
    await queries.save_waiting(
        connection,
        **named(
            records,
            *("business_ids", "sale_ids", "channel_ids", "versions", "documents", "contents"),
            *("errors", "dates", "instants", "order_ids", "tried_by"),
        ),
    )
    await queries.delete_missing(connection, **by_key(waiting))
    await connection.copy_records_to_table(
        "missing_items",
        columns=("business_id", "sale_id", "connection_id", "item_external_id", "name", "kind"),
        records=[
            (*key, w.connection_id, item.external_id, item.name, item.kind)
            for key, (_, w) in waiting.items()
            for item in w.missing
        ],
    )


async def delete_waiting(connection: Connection, keys: Iterable[SaleKey]) -> None:
    """Say that sales wait no longer."""
    await queries.delete_waiting(connection, **by_key(keys))


async def list_waiting(connection: Connection, keys: Iterable[SaleKey]) -> dict[SaleKey, Any]:
    """What sales wait with: rows of version, document, content and errors."""
    found = await rows(queries.list_waiting(connection, **by_key(keys)))
    return {(row["business_id"], row["sale_id"]): row for row in found}
