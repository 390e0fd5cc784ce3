"""What a person can do something about."""


class StackError(Exception):
    """The local system cannot be started, and the message says why and what to do."""
