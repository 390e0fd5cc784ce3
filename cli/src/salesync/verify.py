"""`verify`: the invariants that each service keeps, and whether services and topics agree.

The law of this module: it reads and compares, and changes nothing.
"""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import chain
from typing import Annotated, Any

import typer
from rich.console import Console

from salesync import agreement, trail
from salesync.addresses import DEFAULT_FOLDER, DataFolder, address
from salesync.agreement import Check
from salesync.connections import businesses
from salesync.http import CONNECTOR, INVENTORY, PROCESSOR, Service
from salesync.kafka import BROKERS

VERIFY_SECONDS_MAX = 600.0
LOTS_COMPARED = 2_000
VIOLATIONS_SHOWN_MAX = 5

INVARIANTS = {
    "I1": "lots balance",
    "I2": "lots and shortages cover each line",
    "I3": "costs add up, rounded once",
    "I4": "stock on hand is what moved, and what remains less what is short",
    "I5": "voids net to zero; no more comes back than was taken",
    "I6": "one sale for a document; its version never goes down",
    "I7": "the five counts of a run add up",
    "I8": "the oldest open lot was used first",
    "I9": "stock transactions are append-only",
    "I10": "everything was dealt with, with a reason, and has its event",
    "I11": "what is stored follows from what is never changed",
    "I12": "no business reaches into another",
}


def verify(
    business: Annotated[str | None, typer.Option(help="Check this business only.")] = None,
    lots: Annotated[
        int, typer.Option(min=1, help="Lots of a product to look into, where services differ.")
    ] = LOTS_COMPARED,
    data: DataFolder = DEFAULT_FOLDER,
    *,
    topics: Annotated[
        bool, typer.Option("--topics", help="Read all topics too: every sale has its event.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that the books are right: every invariant of every service, and between them.

    Each service checks its own database in one snapshot. Then what sales hold of each product is
    compared with what inventory gave, and what was applied with what the topics hold; --topics
    reads these from the start. The exit code is 1 if anything is wrong.
    """
    with (
        Service(CONNECTOR, data, seconds=VERIFY_SECONDS_MAX) as connector,
        Service(PROCESSOR, data, seconds=VERIFY_SECONDS_MAX) as processor,
        Service(INVENTORY, data, seconds=VERIFY_SECONDS_MAX) as inventory,
    ):
        with ThreadPoolExecutor() as pool:
            reports = list(
                pool.map(
                    lambda service: service.get("verify", business_id=business),
                    (connector, processor, inventory),
                )
            )
        checks = [Check(report["service"], **one) for report in reports for one in report["checks"]]
        checks.append(agreement.goods(processor, inventory, business, lots))
        brokers = address(BROKERS, data)
        checks.append(trail.offsets(brokers, reports))
        if topics:
            names = [business] if business else businesses(connector)
            checks += trail.events(brokers, processor, names, reports)
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2, default=str))
    else:
        _print(checks, topics_read=topics)
    if any(check.violations for check in checks):
        raise typer.Exit(1)


def _print(checks: list[Check], *, topics_read: bool) -> None:
    """One line for each invariant, below it what breaks it."""
    console = Console(highlight=False, soft_wrap=True)
    rules = list(dict.fromkeys(chain(INVARIANTS, (check.invariant for check in checks))))
    width = max(len(_title(rule, checks)) for rule in rules)
    for rule in rules:
        of_rule = [check for check in checks if check.invariant == rule]
        broken = [check for check in of_rule if check.violations]
        mark = "[red]broken[/]" if broken else "[green]ok[/]    " if of_rule else "       "
        where = ", ".join(dict.fromkeys(check.service for check in of_rule)) or "not checked"
        console.print(f"{rule:4} {mark} {_title(rule, checks):{width}}  {where}")
        for check in broken:
            _print_broken(console, check)
    notes = [note for check in checks for note in check.notes]
    if not topics_read:
        notes.append("The topics were not read; --topics does, from their start.")
    for note in notes:
        console.print(note, markup=False)
    broken_rules = {check.invariant for check in checks if check.violations}
    if broken_rules:
        console.print(
            f"[red]{len(broken_rules)} of {len(rules)} invariants and rules are broken.[/]"
        )
    else:
        console.print(f"All {len(rules)} invariants and rules hold ({len(checks)} checks).")


def _title(rule: str, checks: Iterable[Check]) -> str:
    """What a rule says; one that is no invariant says what its first check does."""
    of_rule = (check.description for check in checks if check.invariant == rule)
    return INVARIANTS.get(rule) or next(of_rule, rule)


def _print_broken(console: Console, check: Check) -> None:
    console.print(f"     {check.service}: {check.description}", markup=False)
    for violation in check.violations[:VIOLATIONS_SHOWN_MAX]:
        console.print(f"       {_words(violation)}", markup=False)
    more = len(check.violations) - VIOLATIONS_SHOWN_MAX
    if more > 0 or check.more:
        count = f"{max(more, 0)} more" + (" at least" if check.more else "")
        console.print(f"       and {count}; --json shows the first {len(check.violations)}")


def _words(violation: Any) -> str:  # noqa: ANN401  (a sentence, or a row)
    if isinstance(violation, str):
        return violation
    return " ".join(
        f"{name}={value if isinstance(value, str | int) else json.dumps(value, default=str)}"
        for name, value in violation.items()
        if value is not None
    )
