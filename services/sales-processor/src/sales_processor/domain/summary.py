"""The five counts of a run, which always add up to what it received. Rules SY5 and I7."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Counts:
    """How many transactions of a run ended how; `skipped` has only reasons that occurred."""

    received: int
    created: int = 0
    updated: int = 0
    voided: int = 0
    errors: int = 0
    skipped: dict[str, int] = field(default_factory=dict)


class CountsDifferError(ValueError):
    """The counts of a run do not add up to what it received."""


def summarize(
    outcomes: Iterable[tuple[str, str | None, int]],
    *,
    unchanged: int,
    connector_errors: int,
    received: int,
) -> Counts:
    """The counts of a run from the outcomes of its transactions.

    `unchanged` and `connector_errors` are transactions that the connector read and did not publish;
    `received` counts those that came, and failed sales that were tried again.

    Raises:
        CountsDifferError: they do not add up, which no correct program can cause.
    """
    totals = {"created": 0, "updated": 0, "voided": 0, "error": connector_errors}
    skipped = {"unchanged": unchanged}
    for outcome, reason, count in outcomes:
        if outcome == "skipped":
            skipped[str(reason)] = skipped.get(str(reason), 0) + count
        else:
            totals[outcome] += count
    counts = Counts(
        received=received + unchanged + connector_errors,
        created=totals["created"],
        updated=totals["updated"],
        voided=totals["voided"],
        errors=totals["error"],
        skipped={reason: count for reason, count in sorted(skipped.items()) if count},
    )
    accounted = counts.created + counts.updated + counts.voided + counts.errors
    if accounted + sum(counts.skipped.values()) != counts.received:
        raise CountsDifferError(f"{counts} do not add up to {counts.received}")
    return counts
