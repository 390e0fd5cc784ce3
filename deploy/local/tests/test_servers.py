import os
import socket
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from local_stack import StackError, kafka, ports, postgres
from local_stack.asynchronous import run_async


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder that only its owner can enter, with characters that trip up naive code."""
    closed = tmp_path / "only mine, é"
    closed.mkdir(mode=0o700)
    return closed


async def test_postgres_keeps_its_data_its_password_and_its_port(folder: Path) -> None:
    first = postgres.start(folder)
    postgres.create_databases(first.server_url, ["books"])
    connection = await asyncpg.connect(first.dsn("books"))
    await connection.execute("CREATE TABLE page AS SELECT 7 AS number")
    await connection.close()
    first.process.stop()
    second = postgres.start(folder)
    try:
        assert second.server_url == first.server_url
        assert second.pid != first.pid
        connection = await asyncpg.connect(second.dsn("books"))
        assert await connection.fetchval("SELECT number FROM page") == 7
        assert await connection.fetchval("SHOW fsync") == "on"
        await connection.close()
    finally:
        second.process.stop()


async def test_kafka_keeps_its_records_also_when_its_port_was_taken(folder: Path) -> None:
    first = kafka.start(folder)
    admin = AIOKafkaAdminClient(bootstrap_servers=first.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=first.bootstrap_servers) as producer:
        await producer.send_and_wait("kept", b"record")
    first.process.stop()
    taken = ports.remembered_ports(folder / "kafka-ports.json", ["kafka", "kafka-controller"])
    with (
        socket.create_server((ports.HOST, taken["kafka"])),
        socket.create_server((ports.HOST, taken["kafka-controller"])),
    ):
        second = kafka.start(folder)
    try:
        assert second.bootstrap_servers != first.bootstrap_servers
        consumer = AIOKafkaConsumer(
            "kept", bootstrap_servers=second.bootstrap_servers, auto_offset_reset="earliest"
        )
        async with consumer:
            assert (await consumer.getone()).value == b"record"
    finally:
        second.process.stop()


def test_a_killed_postgres_starts_again_beside_its_stale_pid_file(folder: Path) -> None:
    first = postgres.start(folder)
    first.process.stop(seconds_max=0)
    pid_file = folder / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines() if pid_file.exists() else ["0"] * 8
    # By now the number may be another process's; here it is this test's.
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    second = postgres.start(folder)
    assert second.process.is_running()
    second.process.stop()


def test_a_folder_in_use_by_another_postgres_is_refused(folder: Path) -> None:
    running = postgres.start(folder)
    try:
        with pytest.raises(StackError, match=rf"Another Postgres \(pid {running.pid}\) uses"):
            postgres.start(folder)
    finally:
        running.process.stop()


def test_a_broken_broker_is_reported_with_the_end_of_its_log(folder: Path) -> None:
    storage = folder / "kafka" / kafka.STORAGE
    storage.mkdir(parents=True)
    (storage / "meta.properties").write_text("version=1\nnode.id=99\ncluster.id=x\n")
    with pytest.raises(StackError, match=r"(?s)kafka ended while it started.*The end of .*node.id"):
        kafka.start(folder)


def test_a_database_server_that_is_not_there_is_named() -> None:
    with pytest.raises(StackError, match=r"Postgres at 127.0.0.1:1 did not .* Check DATABASE_URL"):
        postgres.create_databases("postgresql://u:p@127.0.0.1:1/postgres", ["books"])


async def test_coroutines_run_to_their_end_inside_a_running_loop() -> None:
    async def answer() -> int:
        return 42

    assert run_async(answer()) == 42
