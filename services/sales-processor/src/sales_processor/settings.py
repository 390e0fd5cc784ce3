"""The settings of the sales-processor: those that every service has."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """What the sales-processor is told by its environment."""
