"""Random stories of a business, told as the messages to publish.

A story is a list of choices; each becomes a message in view of what the story has said so far, so
that documents meet, versions grow or come late, and messages are repeated. A story shrinks to few
and simple choices.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from hypothesis import strategies as st

from .model import Body

COMMANDS = "inventory.commands.v1"
CHANNELS = "channels.events.v1"
DOCUMENTS = "channels.transactions.v1"
SALES = "sales.commands.v1"
STEPS_MAX = 18

PRODUCTS = {
    "desk": ("finished-good", "7"),
    "chair": ("finished-good", None),
    "glue": ("raw-material", None),
    "fee": ("service", None),
}
LINKS = {"desk-item": "desk", "chair-item": "chair", "glue-item": "glue", "fee-item": "fee"}
KINDS = {
    "s1": "invoice",
    "m1": "credit-memo",
    "s2": "sales-receipt",
    "m2": "refund-receipt",
    "s3": "invoice",
}
INSTANT = "2026-03-01T10:00:00+00:00"


@dataclass(frozen=True)
class Message:
    """A message to publish."""

    topic: str
    key: str
    body: Body

    def __str__(self) -> str:
        return f"{self.topic} {self.key} {json.dumps(self.body, ensure_ascii=False)}"


@dataclass
class Telling:
    """A story while it is told: what was said, and the newest version of each document."""

    business: str
    messages: list[Message] = field(default_factory=list)
    newest: dict[str, Body] = field(default_factory=dict)
    lots: list[str] = field(default_factory=list)
    run: int = 1
    place: int = 0

    @property
    def channel(self) -> str:
        """The accounting channel."""
        return f"{self.business}-books"

    @property
    def sync_id(self) -> str:
        """The sync under way."""
        return f"{self.business}-sync-{self.run}"

    def say(self, topic: str, kind: str, /, **content: Any) -> None:  # noqa: ANN401  (any fields)
        """Say a message."""
        key = content["channel_id"] if topic in {CHANNELS, DOCUMENTS} else self.business
        body = {"type": kind, "business_id": self.business, **content}
        self.messages.append(Message(topic, key, body))

    def say_channel(self, moment: int, **settings: Any) -> None:  # noqa: ANN401  (any settings)
        """Say what the accounting channel is like since a moment."""
        self.say(
            CHANNELS,
            "channel-changed",
            channel_id=self.channel,
            channel_type="accounting",
            status="active",
            connection_id="books",
            settings=settings,
            changed_at=f"2026-03-01T10:{moment:02d}:00+00:00",
        )

    def say_document(self, body: Body) -> None:
        """Say a version of a document in the sync under way."""
        known = self.newest.get(body["external_id"])
        if known is None or body["version"] > known["version"]:
            self.newest[body["external_id"]] = body
        named = {"channel_id": self.channel, "connection_id": "books", "sync_id": self.sync_id}
        said = {"sequence": self.place, "kind": KINDS[body["external_id"]], **body}
        self.say(DOCUMENTS, "transaction-captured", **named, **said)
        self.place += 1

    def end_sync(self) -> None:
        """Say that the sync under way has published everything."""
        self.say(
            CHANNELS,
            "transactions-published",
            channel_id=self.channel,
            sync_id=self.sync_id,
            started_at=INSTANT,
            published=self.place,
        )
        self.run, self.place = self.run + 1, 0


Choice = Callable[[Telling], None]
"""What a story says next."""
Story = list[Choice]


def told(story: Story, business: str) -> list[Message]:
    """The messages of a story, with what each story begins and ends with; none for no story."""
    telling = Telling(business)
    if not story:
        return []
    telling.say_channel(0)
    telling.say(
        CHANNELS,
        "channel-changed",
        channel_id=f"{business}-manual",
        channel_type="manual",
        status="active",
        settings={},
        changed_at=INSTANT,
    )
    for product, (kind, cost) in PRODUCTS.items():
        _put(telling, product, kind, cost)
    for item, product in LINKS.items():
        _link(telling, item, product)
    for choose in story:
        choose(telling)
    telling.end_sync()
    return telling.messages


def stories(steps_min: int = 0) -> st.SearchStrategy[Story]:
    """Random stories of so many steps at least."""
    return st.lists(
        st.one_of(
            _lots(),
            _lots(),
            *(_documents() for _ in range(5)),
            _lot_changes(),
            _lot_changes(),
            _endings(),
            _endings(),
            _unseen(),
            _repeats(),
            _repeats(),
            _manual_sales(),
            _products(),
            _syncs(),
        ),
        min_size=steps_min,
        max_size=STEPS_MAX,
    )


def simpler(story: Story) -> list[Story]:
    """Simpler stories, the shortest first: steps left out, then lines of documents."""
    found: list[Story] = []
    size = len(story) // 2
    while size:
        found += [[*story[:n], *story[n + size :]] for n in range(0, len(story), size)]
        size //= 2
    for n, choice in enumerate(story):
        if isinstance(choice, Document):
            found += [[*story[:n], less, *story[n + 1 :]] for less in choice.simpler()]
    return found


def _put(telling: Telling, product: str, kind: str, cost: str | None) -> None:
    telling.say(
        COMMANDS,
        "put-product",
        product_id=product,
        name=product.title(),
        product_type=kind,
        **({} if cost is None else {"purchase_cost": cost}),
    )


def _link(telling: Telling, item: str, product: str | None) -> None:
    where = {"connection_id": "books", "item_external_id": item}
    if product is None:
        telling.say(COMMANDS, "unlink-item", **where)
    else:
        telling.say(COMMANDS, "link-item", **where, product_id=product)


_DAYS = st.integers(1, 9).map(lambda day: f"2026-03-0{day}")
_QUANTITIES = st.sampled_from(["1", "2", "3", "5", "8", "0.5"])
_COSTS = st.sampled_from(["2", "10", "0.125", "3.333333", "0.625", "0"])
_GOODS = st.sampled_from(["desk", "desk", "desk", "chair"])
_AMOUNTS = st.sampled_from(["100.00", "10.15", "33.33", "0", "-20.00"])


def _lots() -> st.SearchStrategy[Choice]:
    def build(product: str, quantity: str, cost: str, day: str) -> Choice:
        def choose(telling: Telling) -> None:
            telling.lots.append(f"lot-{len(telling.lots) + 1}")
            telling.say(
                COMMANDS,
                "receive-lot",
                product_id=product,
                lot_id=telling.lots[-1],
                quantity=quantity,
                unit_cost=cost,
                received_on=day,
            )

        return choose

    products = st.sampled_from(["desk", "desk", "desk", "chair", "chair", "glue", "fee"])
    return st.builds(build, products, _QUANTITIES, _COSTS, _DAYS)


def _lot_changes() -> st.SearchStrategy[Choice]:
    def build(index: int, kind: str, content: Body) -> Choice:
        def choose(telling: Telling) -> None:
            if telling.lots:
                lot = telling.lots[index % len(telling.lots)]
                more = {**content}
                if kind == "adjust-lot":
                    more["adjustment_id"] = f"adjustment-{len(telling.messages)}"
                telling.say(COMMANDS, kind, lot_id=lot, **more)

        return choose

    def recost(product: str, day: str) -> Choice:
        return lambda telling: telling.say(
            COMMANDS, "recost-product", product_id=product, from_date=day
        )

    adjusted = st.sampled_from(["-1", "-3", "4"]).map(lambda q: {"quantity": q, "reason": "other"})
    places = st.integers(0, 4)
    return st.one_of(
        st.builds(build, places, st.just("adjust-lot"), adjusted),
        st.builds(build, places, st.just("adjust-lot"), adjusted),
        st.builds(
            build, places, st.just("change-lot-cost"), _COSTS.map(lambda c: {"unit_cost": c})
        ),
        st.builds(build, places, st.just("void-lot"), st.just({})),
        st.builds(recost, _GOODS, _DAYS),
    )


_Line = tuple[str | None, str | None, str, str]
"""Item (or why there is none), quantity, amount, discount."""


@dataclass(frozen=True)
class Document:
    """A version of a document, `step` versions after the newest so far."""

    external_id: str
    step: int
    day: str
    customer: str | None
    rate: str | None
    lines: list[_Line]

    def __call__(self, telling: Telling) -> None:
        """Say it."""
        known = telling.newest.get(self.external_id)
        version = max(0, 1 if known is None else known["version"] + self.step)
        telling.say_document({**self._content(), "version": version})

    def simpler(self) -> list["Document"]:
        """The same with a line less."""
        if len(self.lines) == 1:
            return []
        less = [[*self.lines[:n], *self.lines[n + 1 :]] for n in range(len(self.lines))]
        return [replace(self, lines=lines) for lines in less]

    def _content(self) -> Body:
        named = self.customer
        content = {
            "external_id": self.external_id,
            "status": "active",
            "number": f"N-{self.external_id}",
            "customer": {} if named is None else {"external_id": named, "name": named},
            "transaction_date": self.day,
            "currency": "USD" if self.rate is None else "EUR",
            "home_currency": "USD",
            "source_created_at": INSTANT,
            "source_updated_at": INSTANT,
            "lines": [_line(number, *line) for number, line in enumerate(self.lines, 1)],
            **({"exchange_rate": self.rate} if self.rate else {}),
        }
        said = json.dumps(content, sort_keys=True)
        return {**content, "content_hash": sha256(said.encode()).hexdigest()}


def _documents() -> st.SearchStrategy[Choice]:
    """A newer version of a document, or now and then one that comes late, or the same again."""
    often = ["desk-item"] * 6 + ["chair-item"] * 2
    rarely = ["new-item", "glue-item", "fee-item", "unknown-fee", "shipping", None]
    items = st.sampled_from([*often, *rarely])
    quantities = st.one_of(_QUANTITIES, _QUANTITIES, _QUANTITIES, st.sampled_from([None, "-1"]))
    discounts = st.sampled_from(["0", "0", "0", "0.01", "3.33"])
    return st.builds(
        Document,
        st.sampled_from(list(KINDS)),
        st.sampled_from([1, 1, 1, 1, 3, -1, -1, 0]),
        _DAYS,
        st.sampled_from(["ada", "ada", "ada", "bob", None]),
        st.sampled_from([*(None,) * 6, "1.1", "0.333333", ""]),
        st.lists(st.tuples(items, quantities, _AMOUNTS, discounts), min_size=1, max_size=3),
    )


def _line(number: int, item: str | None, quantity: str | None, amount: str, discount: str) -> Body:
    line: Body = {"line_number": number, "amount": amount, "discount": discount}
    if quantity is not None:
        line["quantity"] = quantity
    if item == "shipping":
        line["skip"] = item
    elif item is not None:
        kind = "service" if item.endswith("fee") else "inventory"
        line["item"] = {"external_id": item, "name": item, "kind": kind}
    return line


def _endings() -> st.SearchStrategy[Choice]:
    """A document is voided, deleted, or changed in nothing that matters."""

    def build(index: int, status: str, step: int) -> Choice:
        def choose(telling: Telling) -> None:
            if telling.newest:
                known = list(telling.newest.values())[index % len(telling.newest)]
                version = known["version"] + step
                telling.say_document({**known, "status": status, "version": version})

        return choose

    return st.builds(
        build,
        st.integers(0, len(KINDS) - 1),
        st.sampled_from(["voided", "deleted", "active"]),
        st.sampled_from([1, 1, 2]),
    )


def _unseen() -> st.SearchStrategy[Choice]:
    """A void of a document that perhaps was never seen."""

    def build(external_id: str, version: int) -> Choice:
        return lambda telling: telling.say_document(
            {
                "external_id": external_id,
                "status": "voided",
                "version": version,
                "customer": {},
                "transaction_date": "2026-03-01",
                "currency": "USD",
                "home_currency": "USD",
                "source_created_at": INSTANT,
                "source_updated_at": INSTANT,
                "lines": [],
                "content_hash": "void",
            }
        )

    return st.builds(build, st.sampled_from(list(KINDS)), st.integers(0, 4))


def _repeats() -> st.SearchStrategy[Choice]:
    """A message comes once more, at once or late."""

    def build(back: int) -> Choice:
        def choose(telling: Telling) -> None:
            telling.messages.append(telling.messages[-1 - back % len(telling.messages)])

        return choose

    return st.builds(build, st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 8, 12]))


def _manual_sales() -> st.SearchStrategy[Choice]:
    """A sale is recorded by hand (under an id that may be taken), or voided."""

    def record(number: int, day: str, lines: list[tuple[str, str, str]]) -> Choice:
        return lambda telling: telling.say(
            SALES,
            "record-manual-sale",
            sale_id=f"by-hand-{number}",
            sale_date=day,
            lines=[
                {"product_id": product, "quantity": quantity, "unit_price": price}
                for product, quantity, price in lines
            ],
        )

    def void(number: int) -> Choice:
        return lambda telling: telling.say(SALES, "void-manual-sale", sale_id=f"by-hand-{number}")

    numbers = st.integers(1, 2)
    prices = st.sampled_from(["9.99", "0", "0.333333"])
    lines = st.lists(
        st.tuples(st.sampled_from(["desk", "desk", "chair", "glue"]), _QUANTITIES, prices),
        min_size=1,
        max_size=2,
    )
    return st.one_of(st.builds(record, numbers, _DAYS, lines), st.builds(void, numbers))


def _products() -> st.SearchStrategy[Choice]:
    """A product changes its type or purchase cost, an item is linked, unlinked or moved."""

    def put(product: str, kind: str, cost: str | None) -> Choice:
        return lambda telling: _put(telling, product, kind, cost)

    def link(item: str, product: str | None) -> Choice:
        return lambda telling: _link(telling, item, product)

    items = st.sampled_from(["new-item", "new-item", "desk-item", "chair-item"])
    targets = st.sampled_from(["desk", "chair", "chair", "glue", None])
    linked = st.builds(link, items, targets)
    kinds = st.sampled_from(["finished-good", "finished-good", "component"])
    costs = st.sampled_from(["7", None, "4.5"])
    return st.one_of(linked, linked, st.builds(put, _GOODS, kinds, costs))


def _syncs() -> st.SearchStrategy[Choice]:
    """A sync ends, waiting sales are tried again, or the channel is set up anew."""

    def set_up(moment: int, returns: str, heal: bool) -> Choice:  # noqa: FBT001
        return lambda telling: telling.say_channel(moment, returns=returns, heal_on_link=heal)

    modes = st.sampled_from(["original-lots", "return-lot", "no-restock"])
    return st.one_of(
        st.just(Telling.end_sync),
        st.just(lambda telling: telling.say(SALES, "retry-failed-sales")),
        st.builds(set_up, st.integers(1, 9), modes, st.booleans()),
    )
