"""Messages on their way out: the same fact has the same id, and nothing is too large to be read."""

import pytest

from chassis.errors import PoisonError
from chassis.messages import outgoing
from contracts.base import Message
from contracts.sales import VoidManualSale


class Note(Message):
    """A message of any size."""

    type: str = "note"
    text: str


def test_the_same_fact_has_the_same_id() -> None:
    fact = VoidManualSale(business_id="acme", sale_id="s")
    first = outgoing("t", "acme", fact, source="/toy", identity="s/1")
    again = outgoing("t", "acme", fact, source="/toy", identity="s/1")
    other = outgoing("t", "acme", fact, source="/toy", identity="s/2")
    assert first.id == again.id
    assert first.id != other.id


def test_what_no_consumer_would_read_is_refused() -> None:
    with pytest.raises(PoisonError, match="`note` of 1048"):
        outgoing("t", "k", Note(text="x" * 1_048_576), source="/toy", identity="1")
