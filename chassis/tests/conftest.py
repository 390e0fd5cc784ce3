"""The servers of the suite."""

from chassis.testing import databases, stack

__all__ = ["databases", "stack"]
