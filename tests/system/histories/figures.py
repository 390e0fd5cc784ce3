"""What the reads tell, in the form of the naive model: names in place of ids, decimals for text."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from .model import Body, Figures


def figures(
    *,
    sales: Sequence[Body],
    summaries: Sequence[Body],
    lots: Mapping[str, Sequence[Body]],
    stock: Mapping[str, str],
) -> Figures:
    """The figures of a business; lots by product, in the order of taking."""
    names = {sale["sale_id"]: _name(sale) for sale in sales}
    lot_names = {
        lot["lot_id"]: f"{product} lot {place} in order" if lot["return_sale_id"] else lot["lot_id"]
        for product, of_product in lots.items()
        for place, lot in enumerate(of_product)
    }
    return {
        "sales": {_name(sale): _sale(sale, names, lot_names) for sale in sales},
        "lots": {
            product: [_lot(lot, names, lot_names) for lot in of_product]
            for product, of_product in lots.items()
        },
        "stock": {product: Decimal(on_hand) for product, on_hand in stock.items()},
        "summaries": {each["sync_id"]: _summary(each) for each in summaries},
    }


def _name(sale: Body) -> str:
    """The name that the model gives a sale."""
    if sale["source"] == "manual":
        return str(sale["sale_id"])
    return f"{sale['kind']} {sale['external_id']}"


def _sale(sale: Body, names: Mapping[str, str], lots: Mapping[str, str]) -> Figures:
    return {
        "status": sale["status"],
        "version": sale["version"],
        "date": sale["sale_date"],
        "customer": sale["customer_external_id"],
        "revenue": Decimal(sale["revenue"]),
        "cost": Decimal(sale["cost"]),
        "margin": Decimal(sale["margin"]),
        "percent": _decimal(sale["margin_percent"]),
        "short": sale["short"],
        "flags": sorted(sale["flags"]),
        "errors": [error["code"] for error in sale["errors"]],
        "lines": [_line(line, names, lots) for line in sale["lines"]],
    }


def _line(line: Body, names: Mapping[str, str], lots: Mapping[str, str]) -> Figures:
    goods: dict[Any, Decimal] = defaultdict(Decimal)
    for part in line["allocations"]:
        goods[lots[part["lot_id"]], Decimal(part["unit_cost"])] += Decimal(part["quantity"])
    back: dict[Any, Decimal] = defaultdict(Decimal)
    for part in line["returned"]:
        source, lot = part.get("source_sale_id"), part.get("lot_id")
        key = (
            (names[source], part["source_line_id"]) if source else None,
            lots[lot] if lot else None,
            Decimal(part["unit_cost"]),
        )
        back[key] += Decimal(part["quantity"])
    return {
        "line": line["line_number"],
        "product": line["product_id"],
        "quantity": _decimal(line["quantity"]),
        "revenue": Decimal(line["revenue"]),
        "cost": Decimal(line["cost"]),
        "skipped": line["skipped_reason"],
        "flags": sorted(line["flags"]),
        "lots": dict(goods),
        "short": _shortage(line["shortage"]),
        "returned": dict(back),
    }


def _shortage(shortage: Body | None) -> tuple[Decimal, Decimal, Decimal] | None:
    """What is still short, what of it came back, and the average that both carry."""
    if shortage is None:
        return None
    still, returned = Decimal(shortage["open"]), Decimal(shortage.get("returned") or 0)
    return (still, returned, Decimal(shortage["unit_cost"])) if still or returned else None


def _lot(lot: Body, names: Mapping[str, str], lots: Mapping[str, str]) -> Figures:
    made_by = lot["return_sale_id"]
    return {
        "lot": lots[lot["lot_id"]],
        "date": lot["received_on"],
        "cost": Decimal(lot["unit_cost"]),
        "remaining": Decimal(lot["quantity_remaining"]),
        "status": lot["status"],
        "return": names[made_by] if made_by else None,
    }


def _summary(summary: Body) -> Figures:
    counts = {name: summary[name] for name in ("created", "updated", "voided", "skipped")}
    return {**counts, "errors": len(summary["errors"])}


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
