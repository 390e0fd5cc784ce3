"""Kafka and Postgres from containers, for test runs on machines that have Docker."""

import secrets
from collections.abc import Iterator
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
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(port, _on_loopback(port))
    for name, value in _kafka_environment(address, port).items():
        container = container.with_env(name, value)
    with _started(container) as started:
        kafka.wait_until_ready(_server("Kafka", started), address)
        yield address


@contextmanager
def postgres_container() -> Iterator[str]:
    """A server in a container; yields its URL."""
    password, port = secrets.token_hex(16), ports.free_port(set())
    container = (
        DockerContainer(POSTGRES_IMAGE)
        .with_bind_ports(POSTGRES_PORT, _on_loopback(port))
        .with_env("POSTGRES_PASSWORD", password)
        .with_command("postgres -c max_connections=200 -c fsync=off")
    )
    with _started(container) as started:
        url = (
            f"postgresql://{postgres.USER}:{password}@{ports.HOST}:{port}/postgres?sslmode=disable"
        )
        postgres.wait_until_ready(_server("Postgres", started), url)
        yield url


def _on_loopback(port: int) -> Any:  # noqa: ANN401  (Docker takes the pair, its typing does not)
    return (ports.HOST, port)


@contextmanager
def _started(container: DockerContainer) -> Iterator[DockerContainer]:
    try:
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
