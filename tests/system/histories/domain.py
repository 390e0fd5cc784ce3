"""The domains of inventory and the sales-processor in memory, without the services around them."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from contracts.channels import TransactionCaptured
from contracts.inventory import SaleCosted
from contracts.registry import read
from contracts.sales import RecordManualSale
from inventory.domain.ledger import Product, Refusal
from inventory.testing import Domain
from inventory.usecases.announcing import costed_line
from sales_processor.domain import manual
from sales_processor.domain.costing import cost
from sales_processor.domain.intake import Decision, accept, decide, note, wait
from sales_processor.domain.matching import Fault, LinkedProduct, match
from sales_processor.domain.money import margin_percent
from sales_processor.domain.sale import Content, Sale, State, demands, taken_back
from sales_processor.usecases.intake import _header
from sales_processor.usecases.messages import line_message

from .figures import figures
from .model import Body, Figures
from .stories import DOCUMENTS

BUSINESS = "b"


class Domains(Domain):
    """Both domains, joined as the use cases join them, each message done before the next."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger.products.clear()
        self.books.stocks.clear()
        self._brought: dict[str, set[str]] = {}
        self._ended: set[str] = set()
        self._settings: Body = {}
        self._settings_of = ""
        self._sales: dict[str, Sale] = {}
        self._contents: dict[str, Content] = {}
        self._waiting: dict[str, tuple[TransactionCaptured, Fault]] = {}

    def tell(self, message: Body) -> None:
        """Let a message have all its effects."""
        match message["type"]:
            case "put-product" | "link-item" | "unlink-item":
                self._heal(self._change_product(message))
            case "transaction-captured":
                self._take(_document(message))
                name = f"{message['kind']} {message['external_id']}"
                self._brought.setdefault(message["sync_id"], set()).add(name)
            case "channel-changed" | "transactions-published":
                self._follow_channel(message)
            case "record-manual-sale":
                self._record(RecordManualSale(**message))
            case "void-manual-sale":
                self._void(message["sale_id"])
            case "retry-failed-sales":
                self._try_again(self._waiting)
            case "adjust-lot":
                self._adjust(message)
            case _:
                self.apply(message)

    def _follow_channel(self, message: Body) -> None:
        if message["type"] == "transactions-published":
            if message["sync_id"] not in self._ended:
                self._ended.add(message["sync_id"])
                brought = self._brought.get(message["sync_id"], set())
                self._try_again(self._waiting.keys() - brought)
        elif message["channel_type"] == "accounting" and message["changed_at"] >= self._settings_of:
            self._settings, self._settings_of = message["settings"], message["changed_at"]

    def _void(self, name: str) -> None:
        sale = self._sales.get(name)
        if sale is not None and sale.state is not State.VOIDED:
            self._take_back(sale, manual.VOIDED_VERSION, "voided")

    def _adjust(self, message: Body) -> None:
        self.ledger.adjust_lot(
            BUSINESS,
            message["lot_id"],
            adjustment_id=message["adjustment_id"],
            quantity=Decimal(message["quantity"]),
            reason=message["reason"],
        )
        self.settle(*self.books.stocks)

    def _change_product(self, message: Body) -> list[Product]:
        product_id = message.get("product_id")
        if message["type"] == "put-product":
            purchase_cost = message.get("purchase_cost")
            put = self.ledger.put_product(
                (BUSINESS, str(product_id)),
                name=message["name"],
                sku=None,
                product_type=message["product_type"],
                purchase_cost=None if purchase_cost is None else Decimal(purchase_cost),
            )
            return [] if put is None else [put]
        key = (BUSINESS, message["connection_id"], message["item_external_id"])
        if message["type"] == "link-item":
            changed = self.ledger.link_item(key, str(product_id))
        else:
            changed = self.ledger.unlink_item(key, product_id)
        return [] if isinstance(changed, Refusal) else changed

    def _heal(self, products: list[Product]) -> None:
        if self._settings.get("heal_on_link", True):
            linked = {item for product in products for _, item in product.links}
            self._try_again(
                name
                for name, (_, fault) in self._waiting.items()
                if any(item.external_id in linked for item in fault.missing)
            )

    def _try_again(self, names: Iterable[str]) -> None:
        def place(name: str) -> tuple[Any, ...]:
            document = self._waiting[name][0]
            external_id = document.external_id
            return document.transaction_date, len(external_id), external_id

        for name in sorted(names, key=place):
            self._try(self._sales[name], self._waiting[name][0])

    def _take(self, document: TransactionCaptured) -> None:
        name = f"{document.kind} {document.external_id}"
        sale = self._sales.get(name) or Sale(
            *(BUSINESS, name, document.channel_id, "synced", document.kind, document.external_id)
        )
        version = document.version
        decision = decide(
            sale,
            version=version,
            void=document.status != "active",
            content_hash=document.content_hash,
        )
        match decision:
            case Decision.APPLY:
                self._try(sale, document)
            case Decision.VOID:
                self._take_back(sale, version, document.status)
            case Decision.VOID_OF_UNKNOWN:
                self._sales[name] = sale._replace(state=State.TOMBSTONE, seen_version=version)
            case Decision.IRRELEVANT_CHANGE:
                self._sales[name] = note(sale, version)
                self._waiting.pop(name, None)

    def _try(self, sale: Sale, document: TransactionCaptured) -> None:
        links = {
            key: LinkedProduct(product_id, product.name, product.product_type)
            for key, product_id in self.ledger.links.items()
            for product in [self.ledger.products[BUSINESS, product_id]]
        }
        document = document.model_copy(update={"business_id": BUSINESS})
        content = match(document, links, self._settings.get("returns", "original-lots"))
        if isinstance(content, Fault):
            self._sales[sale.sale_id] = wait(sale, document.version)
            self._waiting[sale.sale_id] = (document, content)
        else:
            self._accept(sale, content, document.content_hash)

    def _take_back(self, sale: Sale, version: int, reason: str) -> None:
        known = self._contents.get(sale.sale_id) or _header(self._waiting[sale.sale_id][0])
        content = taken_back(known, version=version, sync_id=None, reason=reason)
        self._accept(sale, content, None)

    def _accept(self, sale: Sale, content: Content, content_hash: str | None) -> None:
        self._waiting.pop(sale.sale_id, None)
        accepted = accept(sale, content, content_hash=content_hash, sync_id=None)
        if accepted.holds_goods:
            self.apply(
                {
                    "type": "consume-lots",
                    "sale_id": sale.sale_id,
                    "revision": accepted.revision,
                    "sale_date": content.sale_date.isoformat(),
                    "customer_external_id": content.customer_external_id,
                    "returns": content.returns,
                    "lines": [
                        demand._asdict()
                        for demand in demands(() if content.void_reason else content.lines)
                    ],
                }
            )
        self._contents[sale.sale_id] = content
        self._sales[sale.sale_id] = accepted._replace(
            draft=None,
            costed_revision=accepted.revision,
            status="voided" if content.void_reason else "active",
            version=content.version,
        )

    def _record(self, command: RecordManualSale) -> None:
        name = str(command.sale_id)
        command = command.model_copy(update={"business_id": BUSINESS})
        products = {
            key: LinkedProduct(key[1], product.name, product.product_type)
            for key, product in self.ledger.products.items()
        }
        if name not in self._sales and manual.check(command, products) is None:
            sale = Sale(BUSINESS, name, "by-hand", "manual", "manual", None)
            content = manual.content_of(command, products)
            self._accept(sale, content, manual.hash_of(command))

    def told(self) -> Figures:
        """What the domains hold, in the form of the model."""
        lots: dict[str, list[Body]] = {product_id: [] for product_id in self.books.stocks}
        for lot in sorted(
            self.books.lots.values(), key=lambda lot: (lot.received_on, lot.sequence)
        ):
            left = "active" if lot.quantity_remaining else "exhausted"
            lots[lot.product_id].append(
                {
                    "lot_id": lot.lot_id,
                    "received_on": lot.received_on.isoformat(),
                    "unit_cost": lot.unit_cost,
                    "quantity_remaining": lot.quantity_remaining,
                    "status": "voided" if lot.voided else left,
                    "return_sale_id": lot.return_sale_id,
                }
            )
        exists = [s for s in self._sales.values() if s.state is not State.TOMBSTONE]
        return figures(
            sales=[self._told_sale(sale) for sale in exists],
            summaries=(),
            lots=lots,
            stock={name: str(stock.on_hand) for name, stock in self.books.stocks.items()},
        )

    def _told_sale(self, sale: Sale) -> Body:
        waiting = self._waiting.get(sale.sale_id)
        content = self._contents.get(sale.sale_id)
        if content is None and waiting is not None:
            content = _header(waiting[0])
        if content is None:
            raise ValueError(f"{sale.sale_id} neither waits nor has a content")
        costed = cost(content, self._answer(sale) if sale.holds_goods else None)
        lines = [line_message(line).model_dump(mode="json") for line in costed.lines]
        return {
            **sale._asdict(),
            "sale_date": content.sale_date.isoformat(),
            "customer_external_id": content.customer_external_id,
            "revenue": content.revenue,
            "cost": costed.cost,
            "margin": content.revenue - costed.cost,
            "margin_percent": margin_percent(content.revenue, costed.cost),
            "short": "short" in costed.flags,
            "flags": [*costed.flags, *(["update-waiting"] if sale.update_waiting else [])],
            "errors": [] if waiting is None else [{"code": waiting[1].code}],
            "lines": lines,
        }

    def _answer(self, sale: Sale) -> SaleCosted:
        held = self.books.sales[sale.sale_id]
        return SaleCosted(
            business_id=BUSINESS,
            sale_id=sale.sale_id,
            revision=held.revision,
            lines=[costed_line(self.books.lots, line) for line in held.lines],
            cost=held.cost,
        )


def _document(message: Body) -> TransactionCaptured:
    document = read(DOCUMENTS, json.dumps(message).encode())
    if not isinstance(document, TransactionCaptured):
        raise TypeError(f"{message} is no document")
    return document
