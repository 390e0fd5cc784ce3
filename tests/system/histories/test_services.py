"""The running services do what the naive model does, on random stories."""

from collections.abc import Mapping
from secrets import randbelow

import pytest

from .proof import RUNS, prove


@pytest.mark.timeout(600)
def test_the_running_services_do_what_the_naive_model_does(addresses: Mapping[str, str]) -> None:
    assert prove(addresses, seed_of_runs=randbelow(1_000_000)) == RUNS
