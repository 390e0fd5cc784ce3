"""Tells stories to services of its own for as long as it is asked to: `make soak`."""

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from secrets import randbelow

from salesync.testing import salesync

from .proof import RUNS, prove


def main() -> None:
    """Tell rounds of stories, each with its own seed, until one fails or enough were told."""
    wanted = _arguments()
    until = time.monotonic() + wanted.minutes * 60
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        _say("Starting a system of our own.")
        salesync("up", "--detach", "--data", folder)
        try:
            addresses = json.loads(salesync("env", "--json", "--data", folder))
            first, rounds = wanted.seed, -(-wanted.runs // RUNS)
            for number, seed in enumerate(range(first, first + rounds), 1):
                if time.monotonic() > until:
                    _say(f"{wanted.minutes:g} minutes are over.")
                    break
                prove(
                    addresses,
                    seed_of_runs=seed,
                    progress=partial(_progress, f"Round {number} of {rounds}, seed {seed}"),
                )
        except AssertionError as failure:
            sys.exit(str(failure))
        finally:
            salesync("down", "--data", folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak ARGS=…", description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000, help="how many stories (2,000)")
    parser.add_argument("--minutes", type=float, default=60, help="start no round later (60)")
    parser.add_argument("--seed", type=int, default=randbelow(1_000_000), help="of the first round")
    return parser.parse_args()


def _progress(of_round: str, told: int) -> None:
    _say(f"{of_round}: {told} of {RUNS} stories end as the model says.")


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
