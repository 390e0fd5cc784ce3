"""`explain` and `lot`: where a cost comes from, and where the goods of a lot went.

The law of this module: it shows what the three services recorded and computes nothing but the sums
that lead from the recorded parts to the recorded cost.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console

from salesync.addresses import DEFAULT_FOLDER, DataFolder
from salesync.http import CONNECTOR, INVENTORY, PROCESSOR, Service
from salesync.lookup import find_lot, find_sale
from salesync.summary import money

USERS_SHOWN = 100

Body = Mapping[str, Any]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Business = Annotated[str | None, typer.Option(help="Its business; else all are searched.")]


def explain(
    sale: Annotated[str, typer.Argument(help="Sale id, or the document's number or id.")],
    business: Business = None,
    data: DataFolder = DEFAULT_FOLDER,
    *,
    as_json: AsJson = False,
) -> None:
    """Show where a sale's cost comes from, back to the document as QuickBooks sent it.

    Each line with the item link used, the lots with quantity, unit cost and receipt date, what was
    short, and how it was rounded; then every earlier revision, and each change of stock.
    """
    with (
        Service(CONNECTOR, data) as connector,
        Service(PROCESSOR, data) as processor,
        Service(INVENTORY, data) as inventory,
    ):
        owner, found = find_sale(connector, processor, sale, business)
        sale_id = found["sale_id"]
        connection = _connection(connector, found)
        explained = {
            "sale": found,
            "connection_id": connection,
            "changed_links": changed_links(inventory, owner, connection, found["lines"]),
            "revisions": list(processor.items("businesses", owner, "sales", sale_id, "revisions")),
            "stock_transactions": list(
                inventory.items("businesses", owner, "stock-transactions", sale_id=sale_id)
            ),
            "documents": _documents(connector, owner, found),
        }
    if as_json:
        typer.echo(json.dumps(explained, indent=2))
    else:
        _show(explained, Console(highlight=False))


def lot(
    lot: Annotated[str, typer.Argument(help="Lot id or number.")],
    business: Business = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many sales.")] = USERS_SHOWN,
    data: DataFolder = DEFAULT_FOLDER,
    *,
    as_json: AsJson = False,
) -> None:
    """Show which sales took goods of a lot, and which returns gave goods to it."""
    with (
        Service(CONNECTOR, data) as connector,
        Service(PROCESSOR, data) as processor,
        Service(INVENTORY, data) as inventory,
    ):
        owner, found = find_lot(connector, inventory, lot, business)
        named = [*islice(found["sales"], limit), *islice(found.get("returns", []), limit)]
        sales = {
            sale_id: processor.find("businesses", owner, "sales", sale_id)
            for sale_id in dict.fromkeys(user["sale_id"] for user in named)
        }
    if as_json:
        typer.echo(json.dumps({"lot": found, "documents": sales}, indent=2))
    else:
        _show_lot(found, sales, limit, Console(highlight=False))


def _connection(connector: Service, sale: Body) -> str | None:
    channel = connector.find("channels", sale["channel_id"])
    return None if channel is None else channel["connection_id"]


def changed_links(
    inventory: Service, business: str, connection: str | None, lines: Iterable[Body]
) -> dict[str, str | None]:
    """Items of tracked lines that are not what they were recorded as any more, with what they are.

    The catalogue is searched only for items whose product has them no more; None is no link.
    """
    recorded = {
        line["item_external_id"]: line["product_id"]
        for line in lines
        if line["item_external_id"] is not None and line["product_id"] is not None
    }
    if connection is None:
        return {}
    for product_id in dict.fromkeys(recorded.values()):
        product = inventory.find("businesses", business, "products", product_id)
        for item in _items_of(product, connection):
            recorded.pop(item, None)
    changed: dict[str, str | None] = dict.fromkeys(recorded)
    left = set(changed)
    catalogue = inventory.items("businesses", business, "products") if left else iter(())
    for product in catalogue:
        for item in left & _items_of(product, connection):
            changed[item] = product["product_id"]
            left.discard(item)
        if not left:
            break
    return changed


def _items_of(product: Body | None, connection: str) -> set[str]:
    return {
        link["item_external_id"]
        for link in ([] if product is None else product["item_links"])
        if link["connection_id"] == connection
    }


def _documents(connector: Service, business: str, sale: Body) -> list[dict[str, Any]]:
    """Every version of the sale's document as it came, of the sale's channel."""
    if sale["external_id"] is None:
        return []
    path = ("businesses", business, "transactions", sale["kind"], sale["external_id"])
    found = connector.find(*path)
    return [
        one
        for one in ([] if found is None else found["items"])
        if one["channel_id"] == sale["channel_id"]
    ]


def _show(explained: Body, to: Console) -> None:
    sale = explained["sale"]
    _say(to, f"{_title(sale)}, {sale['status']}", style="bold")
    _say(to, f"Sale {sale['sale_id']}")
    _say(
        to,
        f"Business {sale['business_id']}, channel {sale['channel_id']}, revision"
        f" {sale['revision']} (version {sale['version']})",
    )
    _say(to, _figures(sale))
    if sale["flags"]:
        _say(to, f"Flags: {', '.join(sale['flags'])}")
    for error in sale.get("errors", []):
        _say(to, f"It waits: {error['message']} {error.get('hint') or ''}".rstrip())
    _head(to, "Lines")
    received = {
        row["lot_id"]: row["received_on"]
        for row in explained["stock_transactions"]
        if row["lot_id"] is not None
    }
    changed = explained["changed_links"]
    for line in sale["lines"]:
        for text in _line(line, sale, explained["connection_id"], received):
            _say(to, text)
        if line["product_id"] is not None and line["item_external_id"] in changed:
            _say(to, f"   {_since(line, changed[line['item_external_id']])}")
    _show_revisions(explained["revisions"], to)
    _show_stock(explained["stock_transactions"], to)
    _show_documents(explained["documents"], sale, to)


def _since(line: Body, now: str | None) -> str:
    """What became of the item's link since the line was recorded."""
    item, product = line["item_external_id"], line["product_id"]
    if now is None:
        return (
            f"item {item} is linked to no product now: this version keeps {product}, a later one"
            " waits for a link"
        )
    return f"item {item} is now {now}: this version keeps {product}, a later one counts as {now}"


def _line(
    line: Body, sale: Body, connection: str | None, received: Mapping[str, str | None]
) -> Iterable[str]:
    """What a line says, one text for each fact."""
    name = line.get("product_name") or line.get("description") or line["skipped_reason"] or "line"
    price = "" if line["unit_price"] is None else f" at {_money(line['unit_price'])}"
    goods = "" if line["quantity"] is None else f": {_plain(line['quantity'])}{price}"
    currency = f" {sale['currency']}" if sale["currency"] else ""
    yield f"{line['line_number']}. {name}{goods}, {money(Decimal(line['amount']))}{currency}"
    item = line["item_external_id"]
    of = f" of {connection}" if connection else ""
    if line["product_id"] is None:
        about = "" if item is None else f" (item {item}{of})"
        yield f"   not counted: {line['skipped_reason']}{about}"
        return
    yield (
        f"   product {line['product_id']}"
        if item is None
        else f"   link used: item {item}{of} is product {line['product_id']}"
    )
    discount, rate = Decimal(line["discount"]), sale["exchange_rate"]
    steps = [f"less {money(discount)} discount"] if discount else []
    steps += [f"times {_plain(rate)}"] if rate and Decimal(rate) != 1 else []
    yield f"   revenue {money(Decimal(line['revenue']))}{_because(steps)}"
    yield from _cost(line, received)
    flags = [flag for flag in line["flags"] if flag != "short"]
    if flags:
        yield f"   flags: {', '.join(flags)}"


def _cost(line: Body, received: Mapping[str, str | None]) -> Iterable[str]:
    """The lots behind a line, what was short, and the rounding."""
    exact = Decimal(0)
    for part in line["allocations"]:
        value = Decimal(part["quantity"]) * Decimal(part["unit_cost"])
        exact += value
        day = part.get("received_on") or received.get(part["lot_id"])
        since = f" received {day}" if day else ""
        yield (
            f"   {_plain(part['quantity'])} of lot {part['lot_number']}{since}"
            f" at {_money(part['unit_cost'])} = {_money(value)}"
        )
    short = line.get("shortage")
    if short:
        back = short.get("returned") or "0"
        value = (Decimal(short["open"]) + Decimal(back)) * Decimal(short["unit_cost"])
        exact += value
        came = f", {_plain(back)} came back meanwhile" if Decimal(back) else ""
        yield (
            f"   {_plain(short['quantity'])} were not in stock, {_plain(short['open'])} still"
            f" are not{came}, at the average of {_money(short['unit_cost'])} = {_money(value)}"
        )
    for part in line.get("returned") or ():
        value = -Decimal(part["quantity"]) * Decimal(part["unit_cost"])
        exact += value
        yield (
            f"   {_plain(part['quantity'])} went back {_whereto(part)}"
            f" at {_money(part['unit_cost'])} = {_money(value)}"
        )
    cost = Decimal(line["cost"])
    rounded = exact.quantize(cost, ROUND_HALF_UP) == cost and exact != cost
    steps = [f"rounded once from {money(exact)}"] if rounded else []
    yield f"   cost {money(cost)}{_because(steps)}"


def _whereto(part: Body) -> str:
    """Where returned goods went: a lot of their own, the lot of a sale, or a shortage of it."""
    if part.get("source_sale_id") is None:
        return f"to a lot of their own, {part['lot_id']},"
    if part.get("lot_id") is None:
        return f"to what sale {part['source_sale_id']} was short of"
    return f"to lot {part['lot_id']}, from where sale {part['source_sale_id']} had them,"


def _show_revisions(revisions: Sequence[Body], to: Console) -> None:
    _head(to, "Earlier revisions")
    if not revisions:
        _say(to, "None.")
    for one in revisions:
        _say(
            to,
            f"Revision {one['revision']}, costing {one['costing']} (version {one['version']}),"
            f" {one['status']}, until {_instant(one['replaced_at'])}",
        )
        _say(to, f"   {_figures(one)}")
        for line in one["lines"]:
            if line["product_id"] is not None:
                parts = [
                    f"{_plain(a['quantity'])} of {a['lot_number']} at {_money(a['unit_cost'])}"
                    for a in line["allocations"]
                ]
                if line.get("shortage"):
                    parts.append(f"{_plain(line['shortage']['open'])} short")
                _say(
                    to,
                    f"   {line['line_number']}. {line['product_name'] or line['product_id']}, cost"
                    f" {money(Decimal(line['cost']))}{_because(parts)}",
                )


def _show_stock(changes: Sequence[Body], to: Console) -> None:
    _head(to, "Stock transactions")
    if not changes:
        _say(to, "None.")
        return
    row = "{:<16} {:<15} {:>4} {:>4} {:>10} {:>10}  {}"
    _say(to, row.format("At", "Kind", "Rev.", "Line", "Quantity", "Unit cost", "Lot"))
    for one in changes:
        _say(
            to,
            row.format(
                _instant(one["at"]),
                one["kind"],
                one["revision"] or "",
                one["line_id"] or "",
                _plain(one["quantity"]),
                _money(one["unit_cost"]),
                one["lot_number"] or one["lot_id"] or "(short)",
            ),
        )


def _show_documents(documents: Sequence[Body], sale: Body, to: Console) -> None:
    _head(to, "The document as QuickBooks sent it")
    if sale["external_id"] is None:
        _say(to, "None: the sale was recorded by hand.")
        return
    if not documents:
        _say(to, "The connector has none.")
    for one in documents:
        used = " (used)" if one["version"] == sale["version"] else ""
        _say(
            to,
            f"Version {one['version']}, {one['status']}, received"
            f" {_instant(one['received_at'])}{used}",
        )
    shown = [one for one in documents if one["version"] == sale["version"]] or documents[-1:]
    for one in shown:
        _say(to, json.dumps(one["payload"], indent=1, ensure_ascii=False))


def _show_lot(lot: Body, sales: Mapping[str, Body | None], limit: int, to: Console) -> None:
    _say(to, f"Lot {lot['lot_number']} of {lot['product_id']}, {lot['status']}", style="bold")
    _say(to, f"Id {lot['lot_id']}, received {lot['received_on']}")
    _say(
        to,
        f"{_plain(lot['quantity_received'])} received at {_money(lot['unit_cost'])},"
        f" {_plain(lot['quantity_remaining'])} left",
    )
    returns = lot.get("returns", [])
    for title, users in (("Taken by", lot["sales"]), ("Given back by", returns)):
        if not users:
            continue
        _head(to, title)
        for user in users[:limit]:
            sale = sales.get(user["sale_id"])
            about = f"sale of {user['sale_date']}" if sale is None else _title(sale)
            back = Decimal(user.get("returned") or 0)
            given = f", {_plain(str(back))} given back" if back else ""
            _say(to, f"{_plain(user['quantity'])} at {_money(user['unit_cost'])}{given}: {about}")
            _say(to, f"   sale {user['sale_id']}, line {user['line_id']}")
        if len(users) > limit:
            _say(to, f"… and {len(users) - limit} more; --limit shows them.")
    if not lot["sales"] and not returns:
        _say(to, "No sale has goods of it.")


def _title(sale: Body) -> str:
    number = sale.get("number") or sale.get("external_id") or ""
    customer = f", {sale['customer_name']}" if sale.get("customer_name") else ""
    return f"{sale['kind']} {number} of {sale['sale_date']}{customer}".replace("  ", " ")


def _figures(sale: Body) -> str:
    percent = sale.get("margin_percent")
    return (
        f"Revenue {money(Decimal(sale['revenue']))}, cost {money(Decimal(sale['cost']))}, margin"
        f" {money(Decimal(sale['margin']))}{f' ({percent} %)' if percent else ''}"
    )


def _because(steps: Sequence[str]) -> str:
    return f" ({', '.join(steps)})" if steps else ""


def _plain(number: str) -> str:
    """A quantity or a rate without the zeros that say nothing."""
    value = Decimal(number)
    return f"{value.to_integral_value() if value == value.to_integral_value() else value:f}"


def _money(number: str | Decimal) -> str:
    """An amount with two places at least."""
    return money(Decimal(number))


def _instant(text: str) -> str:
    return text[:16].replace("T", " ")


def _head(to: Console, title: str) -> None:
    to.print()
    _say(to, title, style="bold")


def _say(to: Console, text: str, style: str = "") -> None:
    to.print(text, style=style, markup=False, overflow="fold")
