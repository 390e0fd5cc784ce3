"""Finding the one thing that a person names, by its id or by what stands on the document.

The law of this module: what is ambiguous is refused with every candidate named, never guessed.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from local_stack import StackError
from salesync.connections import businesses
from salesync.http import Service

Found = tuple[str, dict[str, Any]]
"""A business, and what was found in it."""


def find_sale(connector: Service, processor: Service, name: str, business: str | None) -> Found:
    """The sale of this id, or of this document number or id upstream.

    Raises:
        StackError: there is none, or several.
    """
    owners = _owners(connector, business)

    def by_id(owner: str) -> Iterator[dict[str, Any]]:
        sale = processor.find("businesses", owner, "sales", name)
        if sale is not None:
            yield sale

    def by_number(owner: str) -> Iterator[dict[str, Any]]:
        return processor.items("businesses", owner, "sales", number=name)

    return _one("sale", "sale_id", name, owners, (by_id, by_number))


def find_lot(connector: Service, inventory: Service, name: str, business: str | None) -> Found:
    """The lot of this id, with its users, or else of this lot number.

    Raises:
        StackError: there is none, or several.
    """
    owners = _owners(connector, business)

    def by_id(owner: str) -> Iterator[dict[str, Any]]:
        lot = inventory.find("businesses", owner, "lots", name)
        if lot is not None:
            yield lot

    def by_number(owner: str) -> Iterator[dict[str, Any]]:
        for product in inventory.items("businesses", owner, "products"):
            path = ("businesses", owner, "products", product["product_id"], "lots")
            for lot in inventory.items(*path):
                if lot["lot_number"] == name:
                    yield inventory.get("businesses", owner, "lots", lot["lot_id"])

    return _one("lot", "lot_id", name, owners, (by_id, by_number))


def _owners(connector: Service, business: str | None) -> list[str]:
    return businesses(connector) if business is None else [business]


def _one(
    what: str,
    id_field: str,
    name: str,
    owners: Iterable[str],
    ways: Iterable[Callable[[str], Iterator[dict[str, Any]]]],
) -> Found:
    for way in ways:
        found = [(owner, one) for owner in owners for one in way(owner)]
        if len(found) == 1:
            return found[0]
        if found:
            candidates = ", ".join(f"{one[id_field]} of {owner}" for owner, one in found[:10])
            raise StackError(
                f"{len(found)} {what}s go by {name}: {candidates}. Say which by its id, and whose"
                " with --business."
            )
    raise StackError(
        f"There is no {what} {name}. `salesync sales --business B` and GET"
        " /businesses/B/products/P/lots of inventory list what there is."
    )
