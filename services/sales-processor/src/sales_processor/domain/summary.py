"""The five counts of a run, which always add up to what it received. Rules SY5 and I7."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

FULL_ERRORS_BYTES_MAX = 400_000
ERRORS_BYTES_MAX = 900_000
"""A message of a megabyte is the largest that is read; the rest is room for the counts."""


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


def fit(errors: Sequence[Mapping[str, str]]) -> tuple[list[Mapping[str, str]], int]:
    """The errors as a message has room for them, and how many have no room.

    The first are told in full, further ones without hint and text.
    """
    kept: list[Mapping[str, str]] = []
    size = 0
    for error in errors:
        told = error
        if size >= FULL_ERRORS_BYTES_MAX:
            named = ("kind", "external_id", "number", "code")
            told = {name: error[name] for name in named if name in error}
            told = {**told, "message": "See the summary of this run over HTTP."}
        size += len(json.dumps(told, ensure_ascii=False).encode()) + 1
        if size > ERRORS_BYTES_MAX:
            break
        kept.append(told)
    return kept, len(errors) - len(kept)
