"""Kafka's jars: exactly those of `kafka-jars.lock`, sizes checked at starts, hashes at downloads.

The lock is Kafka's whole dependency tree as jgo resolves it, so that a first run downloads in
parallel without walking the tree, and no jar that differs from the reviewed one is ever run.
Jars lie in the Maven repository of the user (`~/.m2/repository`, or `M2_REPO`), like any other's.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from local_stack.errors import StackError
from local_stack.progress import Progress, silent

LOCK = Path(__file__).with_name("kafka-jars.lock")
ENDPOINT = (
    "org.apache.kafka:kafka_2.13:4.3.0"
    "+org.apache.kafka:kafka-tools:4.3.0"
    "+org.slf4j:slf4j-simple:1.7.36"
)
DOWNLOADS_AT_ONCE = 8


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    coordinate: str
    size_bytes: int
    sha256: str

    def path(self, repository: Path) -> Path:
        """Where a Maven repository keeps it."""
        group, artifact, version = self.coordinate.split(":")
        folder = repository.joinpath(*group.split("."), artifact, version)
        return folder / f"{artifact}-{version}.jar"


def class_path(on_progress: Progress = silent) -> str:
    """Kafka's class path, after downloading what is not there yet.

    Raises:
        StackError: a jar cannot be downloaded, or is not the one that the lock names.
    """
    from jgo.constants import default_maven_repo  # noqa: PLC0415  (0.2 s, and only Kafka needs it)

    repository = default_maven_repo()
    jars = read_lock()
    if _missing(jars, repository):
        repository.mkdir(parents=True, exist_ok=True)
        with _one_process_at_a_time(repository):
            _download(_missing(jars, repository), repository, on_progress)
    return ":".join(str(jar.path(repository)) for jar in jars)


def read_lock() -> list[Jar]:
    """The jars that make up Kafka, in the order of the class path."""
    lines = (line.split() for line in LOCK.read_text("utf-8").splitlines())
    return [
        Jar(coordinate, int(size), digest)
        for coordinate, size, digest in (line for line in lines if line and line[0] != "#")
    ]


def write_lock() -> None:
    """Resolve Kafka's dependency tree anew and write the lock."""
    import jgo  # noqa: PLC0415  (see class_path)

    lines = ["# Written by `make lock`: coordinate, size in bytes, SHA-256."]
    for artifact in jgo.resolve(ENDPOINT):
        content = artifact.resolve().read_bytes()
        coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
        lines.append(f"{coordinate} {len(content)} {hashlib.sha256(content).hexdigest()}")
    LOCK.write_text("\n".join(lines) + "\n", "utf-8")


def _missing(jars: list[Jar], repository: Path) -> list[Jar]:
    return [jar for jar in jars if not _has_size(jar.path(repository), jar.size_bytes)]


def _has_size(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except FileNotFoundError:
        return False


@contextmanager
def _one_process_at_a_time(repository: Path) -> Iterator[None]:
    with (repository / ".partsemble-download.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(jars: list[Jar], repository: Path, on_progress: Progress) -> None:
    if not jars:
        return
    total = sum(jar.size_bytes for jar in jars)
    on_progress(f"downloading Kafka: {len(jars)} jars, {total / 1e6:.0f} MB")
    done = told = 0
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        futures = {pool.submit(_download_one, jar, repository): jar for jar in jars}
        try:
            for future in as_completed(futures):
                future.result()
                done += futures[future].size_bytes
                if done * 10 // total > told:
                    told = done * 10 // total
                    on_progress(f"downloading Kafka: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
        except (requests.RequestException, RuntimeError) as error:
            pool.shutdown(cancel_futures=True)
            raise StackError(
                "Kafka's jars could not be downloaded from the Maven repository"
                f" ({type(error).__name__}). The first run needs the network: connect, or set"
                " HTTPS_PROXY, and run this again; what has been downloaded is kept."
            ) from error


def _download_one(jar: Jar, repository: Path) -> None:
    from jgo.maven import MavenContext  # noqa: PLC0415  (see class_path)

    path = jar.path(repository)
    path.unlink(missing_ok=True)
    group, artifact, version = jar.coordinate.split(":")
    context = MavenContext(repo_cache=repository)
    context.project(group, artifact).at_version(version).artifact().resolve()
    if hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
        path.unlink()
        raise StackError(
            f"{jar.coordinate} as downloaded is not the jar that {LOCK.name} names, so it was"
            " deleted. Run this again; if it stays so, the network in between changes downloads."
        )
