"""The domains in memory do what the naive model does, after each message of random stories."""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from secrets import randbelow
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from inventory.domain import sale as inventory_sale
from inventory.domain.stock import Lot
from sales_processor.domain.intake import Decision, decide

from . import domain
from .differences import differences
from .model import Books
from .stories import Story, simpler, stories, told

STORIES = 200
STEPS_MIN = 8
SHORT = 3
ROUNDS_MAX = 4
Plant = Callable[[pytest.MonkeyPatch], None]


def first_difference(story: Story) -> str | None:
    """The story up to where the domains go another way than the model, and how."""
    books, domains = Books(), domain.Domains()
    said = []
    for message in told(story, "acme"):
        books.apply(message.body)
        domains.tell(message.body)
        said.append(str(message))
        differing = differences({**books.told(), "summaries": {}}, domains.told())
        if differing:
            return "\n".join([*said, *differing])
    return None


def found(seed_of_stories: int) -> tuple[Story, str] | None:
    """The shortest story, with what differs, that one of the random stories leads to."""
    first: list[Story] = []

    @seed(seed_of_stories)
    @settings(
        max_examples=STORIES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(stories(STEPS_MIN))
    def tell(story: Story) -> None:
        if not first and first_difference(story) is not None:
            first.append(story)

    tell()
    if not first:
        return None
    story = first[0]
    while shorter := [each for each in simpler(story) if first_difference(each) is not None][:1]:
        story = shorter[0]
    return story, str(first_difference(story))


def test_the_domains_do_what_the_naive_model_does() -> None:
    difference = found(randbelow(1_000_000))
    assert difference is None, difference[1]


def _last_in_first_out(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(
        Lot, "place", property(lambda lot: (-lot.received_on.toordinal(), lot.sequence, lot.lot_id))
    )


def _a_version_too_old(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(
        domain,
        "decide",
        lambda sale, **said: decide(sale._replace(seen_version=sale.seen_version - 1), **said),
    )


def _repeats_are_applied(plant: pytest.MonkeyPatch) -> None:
    def anew(sale: Any, **said: Any) -> Decision:  # noqa: ANN401  (as `decide` takes them)
        decision = decide(sale, **said)
        return Decision.APPLY if decision is Decision.UNCHANGED else decision

    plant.setattr(domain, "decide", anew)


def _half_even(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(
        inventory_sale,
        "rounded",
        lambda amount, places: amount.quantize(
            Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN
        ),
    )


@pytest.mark.parametrize(
    "plant", [_last_in_first_out, _a_version_too_old, _repeats_are_applied, _half_even]
)
def test_a_planted_fault_is_found_and_told_in_a_short_story(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)

    difference = next(filter(None, map(found, range(1, ROUNDS_MAX + 1))), None)

    assert difference is not None
    assert len(difference[0]) <= SHORT
