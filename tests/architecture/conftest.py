"""The real servers that the statements are prepared on."""

from chassis.testing import databases, stack

__all__ = ["databases", "stack"]
