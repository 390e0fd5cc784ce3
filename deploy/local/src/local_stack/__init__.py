"""Kafka, Postgres and the services on one machine, from wheels and jars, without containers."""

from local_stack.ephemeral import Stack, ephemeral
from local_stack.errors import StackError

__all__ = ["Stack", "StackError", "ephemeral"]
