"""Stories told to the running services, many side by side, and compared with the naive model."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from .bursts import bursts
from .differences import differences
from .model import Body, Books
from .running import Services, connect
from .stories import Message, Story, simpler, stories, told

RUNS = 200
SIDE_BY_SIDE = 20
"""How many stories one example tells at once, each of a business of its own."""
STEPS_MIN = 8


@dataclass(frozen=True)
class Told:
    """A story as it was told, and what differs at its end."""

    story: Story
    bursts: list[list[Message]]
    differing: list[str]
    broken: list[Body]
    dead: list[str]

    @property
    def failed(self) -> bool:
        """Whether the services went another way, broke an invariant, or set a message apart."""
        return bool(self.differing or self.broken or self.dead)

    def __str__(self) -> str:
        said = "\n(wait until all is applied)\n".join(
            "\n".join(str(message) for message in burst) for burst in self.bursts
        )
        broken = [f"verify: {check}" for check in self.broken]
        dead = [f"dead letter: {reason}" for reason in self.dead]
        return "\n".join(["the story:", said, "what differs:", *self.differing, *broken, *dead])


def prove(
    addresses: Mapping[str, str],
    *,
    seed_of_runs: int,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Tell `RUNS` random stories, the same ones for the same seed; returns how many were told.

    Raises:
        AssertionError: a story ended otherwise than in the model; the text is the shortest such
            story that leaving out steps and lines leads to, as the messages to publish.
    """
    counted = 0

    @seed(seed_of_runs)
    @settings(
        max_examples=RUNS // SIDE_BY_SIDE,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(stories(STEPS_MIN), min_size=SIDE_BY_SIDE, max_size=SIDE_BY_SIDE))
    def tell_some(some: list[Story]) -> None:
        nonlocal counted
        runner.run(_tell(services, some, seed_of_runs))
        counted += len(some)
        progress(counted)

    with asyncio.Runner() as runner:
        services = runner.run(connect(addresses))
        try:
            tell_some()
        finally:
            runner.run(services.close())
    return counted


async def _tell(services: Services, some: Sequence[Story], seed_of_runs: int) -> None:
    """Tell stories side by side; the first that fails is made as short as it can be."""
    failed = _first_failed(await _told(services, some))
    if failed is None:
        return
    shortest = failed
    while (shorter := _first_failed(await _told(services, simpler(shortest.story)))) is not None:
        shortest = shorter
    again = f'repeat it with: make soak ARGS="--seed {seed_of_runs} --runs {RUNS}"'
    raise AssertionError(f"{shortest}\n{again}")


def _first_failed(results: Sequence[Told]) -> Told | None:
    return next((result for result in results if result.failed), None)


async def _told(services: Services, some: Sequence[Story]) -> list[Told]:
    """Tell stories side by side."""
    businesses = [f"history-{uuid4().hex[:12]}" for _ in some]
    in_bursts = [
        bursts(told(story, business)) for story, business in zip(some, businesses, strict=True)
    ]
    await services.tell(in_bursts)
    dead = await services.dead()
    results = []
    for story, business, each in zip(some, businesses, in_bursts, strict=True):
        books = Books()
        for message in (message for burst in each for message in burst):
            books.apply(message.body)
        differing = differences(books.told(), await services.told(business))
        of_business = [reason for key, reason in dead if key.startswith(business)]
        broken = await services.broken(business)
        results.append(Told(story, each, differing, broken, of_business))
    return results
