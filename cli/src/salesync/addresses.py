"""Where the system is: the environment first, then the local one that `salesync up` started."""

import os
from pathlib import Path
from typing import Annotated

import typer

from local_stack import StackError
from local_stack.system import environment

DataFolder = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Folder of the local system's state.")
]
DEFAULT_FOLDER = Path(".salesync")


def address(name: str, data: Path) -> str:
    """The value of an address such as `KAFKA_BOOTSTRAP_SERVERS` or `INVENTORY_URL`.

    Raises:
        StackError: it is neither in the environment nor known to a system running in `data`.
    """
    given = os.environ.get(name)
    if given:
        return given
    try:
        known = environment(data)
    except StackError:
        raise StackError(
            f"{name} is not set, and no system is running in {data}. Set {name} to use a system"
            f" elsewhere, or start one here with `salesync up --data {data}`."
        ) from None
    if name not in known:
        raise StackError(
            f"{name} is not known: the system in {data} does not run that part. Set {name} in the"
            " environment, or start it with `salesync up`."
        )
    return known[name]
