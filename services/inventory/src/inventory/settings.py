"""The settings of inventory: those that every service has."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """What inventory is told by its environment."""
