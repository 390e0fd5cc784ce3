"""How the starting of servers tells a person what it is doing."""

from collections.abc import Callable

Progress = Callable[[str], None]


def silent(_line: str) -> None:
    """Tell nobody."""
