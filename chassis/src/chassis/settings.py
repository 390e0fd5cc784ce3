"""Settings come from the environment, once; a missing or wrong one stops the start by name."""

import sys
from typing import Annotated, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """What every service is told by its environment."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    kafka_bootstrap_servers: Annotated[
        str, Field(min_length=3, description="brokers, as host:port, comma-separated")
    ]
    database_url: Annotated[
        str,
        Field(
            pattern=r"^postgres(ql)?://",
            description="the service's own database, as postgresql://user:password@host:port/name",
        ),
    ]
    http_host: Annotated[str, Field(description="address that the HTTP server listens on")] = (
        "127.0.0.1"
    )
    http_port: Annotated[
        int, Field(ge=0, le=65_535, description="port of the HTTP server; 0 takes a free one")
    ] = 8080
    log_level: Annotated[
        str,
        Field(pattern=r"^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR"),
    ] = "INFO"
    batch_records_max: Annotated[
        int, Field(ge=1, le=5_000, description="records applied in one transaction, at most")
    ] = 1_000
    dead_letters_in_a_row_max: Annotated[
        int,
        Field(ge=1, description="dead letters without a success between, before consuming stops"),
    ] = 1_000
    retry_seconds_max: Annotated[
        int,
        Field(ge=1, le=240, description="how long a batch is retried before the process ends"),
    ] = 180
    stall_seconds_max: Annotated[
        int,
        Field(ge=10, description="seconds with records waiting and none applied, before it ends"),
    ] = 300


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def read_settings(kind: type[SettingsT]) -> SettingsT:
    """The settings in the environment, or an exit with a line for each that is wrong."""
    try:
        return kind()
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            name = str(detail["loc"][0])
            description = kind.model_fields[name].description or "see the documentation"
            fault = "is not set" if detail["type"] == "missing" else f"is wrong: {detail['msg']}"
            sys.stderr.write(f"{name.upper()} {fault}. Expected: {description}.\n")
        sys.exit(78)
