"""Kafka and Postgres from containers, for test runs on machines that have Docker."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from docker.errors import DockerException
from testcontainers.core.container import DockerContainer

from local_stack import kafka, ports, postgres
from local_stack.errors import StackError
from local_stack.waiting import Server

KAFKA_IMAGE = "apache/kafka:4.3.0"
POSTGRES_IMAGE = "postgres:18"
POSTGRES_PORT = 5432


@contextmanager
def kafka_container() -> Iterator[str]:
    """A broker in a container; yields its bootstrap address.

    A broker tells its clients its own address, so the port on the host is chosen before the start
    and is the same inside and outside.
    """
    port = ports.free_port(set())
    address = f"{ports.HOST}:{port}"
    with _started(KAFKA_IMAGE, (port, port), _kafka_environment(address, port)) as started:
        kafka.wait_until_ready(_server("Kafka", started), address)
        yield address


@contextmanager
def postgres_container() -> Iterator[str]:
    """A server in a container; yields its URL."""
    password, port = secrets.token_hex(16), ports.free_port(set())
    environment = {"POSTGRES_PASSWORD": password}
    command = "postgres -c max_connections=200 -c fsync=off"
    with _started(POSTGRES_IMAGE, (POSTGRES_PORT, port), environment, command) as started:
        url = (
            f"postgresql://{postgres.USER}:{password}@{ports.HOST}:{port}/postgres?sslmode=disable"
        )
        postgres.wait_until_ready(_server("Postgres", started), url)
        yield url


@contextmanager
def _started(
    image: str, port: tuple[int, int], environment: Mapping[str, str], command: str = ""
) -> Iterator[DockerContainer]:
    """A container whose first port is the second one on the loopback address of the host."""
    inside, outside = port
    on_loopback: Any = (ports.HOST, outside)  # Docker takes the pair, its typing does not
    try:
        container = DockerContainer(image).with_bind_ports(inside, on_loopback)
        if command:
            container = container.with_command(command)
        for name, value in environment.items():
            container = container.with_env(name, value)
        container.start()
    except DockerException as error:
        raise StackError(
            "SALESYNC_TEST_STACK=containers needs a running Docker engine, and there is none"
            f" ({error}). Start Docker, or leave the variable out to run on wheels and jars."
        ) from error
    try:
        yield container
    finally:
        container.stop()


def _server(name: str, container: DockerContainer) -> Server:
    return Server(name, partial(_is_running, container), partial(_logs, container))


def _is_running(container: DockerContainer) -> bool:
    wrapped = container.get_wrapped_container()
    wrapped.reload()
    return bool(wrapped.status == "running")


def _logs(container: DockerContainer) -> str:
    out, error = container.get_logs()
    return (out + error).decode("utf-8", errors="replace")[-2_000:]


def _kafka_environment(address: str, port: int) -> dict[str, str]:
    settings = kafka.BROKER_SETTINGS | {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://localhost:9093",
        "advertised.listeners": f"PLAINTEXT://{address}",
        "controller.quorum.voters": "1@localhost:9093",
    }
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()}
