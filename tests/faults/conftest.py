"""The running system."""

from salesync.testing import addresses, client, folder

__all__ = ["addresses", "client", "folder"]
