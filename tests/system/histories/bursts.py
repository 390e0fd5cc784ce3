"""Which messages may be under way at once: those for which the model says that order is no matter.

Within a partition messages keep their order; across topics they do not. Messages that are published
without waiting may reach the services in any interleaving of their topics, and of several versions
of a document in one batch only the newest asks for goods. The model tries all of it: where anything
differs, the story waits.
"""

import pickle
from collections.abc import Iterator
from itertools import product
from typing import Any

from .model import Books
from .stories import Message

MERGES_MAX = 12
OVERTAKEN_MAX = 2
DOCUMENTS = frozenset({"transaction-captured", "record-manual-sale", "void-manual-sale"})
LOTS = frozenset({"receive-lot", "adjust-lot", "change-lot-cost", "void-lot", "recost-product"})
PRODUCTS = frozenset({"put-product", "link-item", "unlink-item", "channel-changed"})


def bursts(messages: list[Message]) -> list[list[Message]]:
    """The messages in groups, each to be published when what came before it is done."""
    books, before = Books(), Books()
    found: list[list[Message]] = []
    for message in messages:
        if found and _at_once(before, [*found[-1], message]):
            found[-1].append(message)
        else:
            before = _copy(books)
            found.append([message])
        books.apply(message.body)
    return found


def _at_once(before: Books, messages: list[Message]) -> bool:
    """Whether all orders in which these may be applied end alike."""
    kinds = {message.body["type"] for message in messages}
    if not kinds <= DOCUMENTS | LOTS:
        somebody_waits = any(sale.waiting for sale in before.sales.values())
        return kinds <= PRODUCTS and not somebody_waits
    topics: dict[str, list[Message]] = {}
    for message in messages:
        topics.setdefault(message.topic, []).append(message)
    overtaken = _overtaken(before, messages)
    merges = list(_merges(list(topics.values())))
    if len(merges) > MERGES_MAX or len(overtaken) > OVERTAKEN_MAX:
        return False
    if len(merges) == 1 and not overtaken:
        return True
    ends = [
        _end(before, merge, {n for n, moot in zip(overtaken, choice, strict=True) if moot})
        for merge in merges
        for choice in product((False, True), repeat=len(overtaken))
    ]
    return all(end == ends[0] for end in ends)


def _merges(queues: list[list[Message]]) -> Iterator[list[Message]]:
    """The orders that keep the order of each queue; at most a few more than are looked at."""
    queues = [queue for queue in queues if queue]
    if not queues:
        yield []
    left = MERGES_MAX + 1
    for number, queue in enumerate(queues):
        rest = [*queues[:number], queue[1:], *queues[number + 1 :]]
        for merge in _merges(rest):
            yield [queue[0], *merge]
            left -= 1
            if not left:
                return


def _overtaken(before: Books, messages: list[Message]) -> list[int]:
    """Messages, by identity, whose question to inventory a later one takes the place of."""
    books = _copy(before)
    asking: dict[str, int] = {}
    found = []
    for message in messages:
        asks = books.asks
        books.apply(message.body)
        if message.body["type"] in DOCUMENTS and books.asks > asks:
            name = message.body.get("external_id") or message.body["sale_id"]
            if name in asking:
                found.append(asking[name])
            asking[name] = id(message)
    return found


def _end(before: Books, messages: list[Message], moot: set[int]) -> Any:  # noqa: ANN401
    """Where an order of messages ends, what decides later orders included."""
    books = _copy(before)
    for message in messages:
        books.overtaken = id(message) in moot
        books.apply(message.body)
    return books.state()


def _copy(books: Books) -> Books:
    copied: Books = pickle.loads(pickle.dumps(books))  # noqa: S301  (our own, just written)
    return copied
