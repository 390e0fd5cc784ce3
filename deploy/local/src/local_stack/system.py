"""The whole system in one data folder: up, down, and where everything is.

Two calls never work on one folder at once; a call that fails leaves nothing running that it
started; state outlives `down`.
"""

from collections.abc import Callable
from pathlib import Path

from local_stack.errors import StackError
from local_stack.progress import Progress, silent
from local_stack.starting import QuickBooks, Start, stop_in_order, variable
from local_stack.state import State, only_one, prepare


def up(
    data_dir: Path,
    *,
    apply_topics: Callable[[str], None],
    quickbooks: QuickBooks | None = None,
    on_progress: Progress = silent,
) -> State:
    """Start what is not running yet of the system in `data_dir`, and wait until all is ready.

    `apply_topics` gets the brokers' address and creates the topics there.

    Raises:
        StackError: something cannot be started; whatever this call started was stopped again.
    """
    data_dir = data_dir.resolve()
    prepare(data_dir)
    with only_one(data_dir):
        state = State.read(data_dir)
        if not state.running():
            state.forget()
        try:
            Start(data_dir, state, on_progress).run(apply_topics, quickbooks)
        finally:
            if not state.running():
                state.forget()
        return state


def down(data_dir: Path, on_progress: Progress = silent) -> bool:
    """Stop what `up` started in `data_dir`; false if nothing was there to stop.

    Waits for an `up` or `down` that is at work there.
    """
    data_dir = data_dir.resolve()
    if not data_dir.exists():
        return False
    with only_one(data_dir, wait=True):
        state = State.read(data_dir)
        known = bool(state.processes)
        stop_in_order(state.running(), on_progress)
        state.forget()
        return known


def environment(data_dir: Path) -> dict[str, str]:
    """The addresses and pids of the running system, under the names that other programs rely on.

    Raises:
        StackError: nothing runs there.
    """
    state = State.read(data_dir.resolve())
    running = state.running()
    if not running:
        raise StackError(
            f"No system is running in {data_dir}. Start it with `salesync up --data {data_dir}`."
        )
    return state.addresses | {f"{variable(p.name)}_PID": str(p.pid) for p in running}
