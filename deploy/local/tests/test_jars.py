import hashlib
from pathlib import Path

import pytest
import requests
from jgo.maven import MavenContext

from local_stack import StackError, jars


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Maven repository, and a lock of two small jars."""
    lock = tmp_path / "jars.lock"
    lock.write_text(
        "# a comment\n"
        f"org.example:one:1.0 3 {hashlib.sha256(b'one').hexdigest()}\n"
        f"org.example:two:2.0 3 {hashlib.sha256(b'two').hexdigest()}\n"
    )
    monkeypatch.setattr(jars, "LOCK", lock)
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    return tmp_path / "m2"


def _put(repository: Path, artifact: str, version: str, content: bytes) -> Path:
    path = repository / "org" / "example" / artifact / version / f"{artifact}-{version}.jar"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_lock_names_kafka_and_every_jar_with_size_and_digest() -> None:
    locked = jars.read_lock()
    assert locked[0].coordinate == "org.apache.kafka:kafka_2.13:4.3.0"
    assert len(locked) > 50
    assert all(jar.size_bytes > 0 and len(jar.sha256) == 64 for jar in locked)


def test_jars_that_are_there_are_used_without_the_network(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "request", _no_network)
    one = _put(repository, "one", "1.0", b"one")
    two = _put(repository, "two", "2.0", b"two")
    assert jars.class_path() == f"{one}:{two}"


def test_without_network_the_first_run_says_what_to_do(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "request", _no_network)
    _put(repository, "one", "1.0", b"one")
    with pytest.raises(StackError, match=r"could not be downloaded .* needs the network: connect"):
        jars.class_path()


def test_a_jar_cut_short_by_an_interrupted_download_is_downloaded_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(repository, "one", "1.0", b"one")
    two = _put(repository, "two", "2.0", b"t")
    _serve(monkeypatch, repository, b"two")
    told: list[str] = []
    jars.class_path(told.append)
    assert two.read_bytes() == b"two"
    assert told[0] == "downloading Kafka: 1 jars, 0 MB"


def test_a_jar_other_than_the_locked_one_is_deleted_and_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(repository, "one", "1.0", b"one")
    _serve(monkeypatch, repository, b"TWO")
    with pytest.raises(StackError, match=r"org.example:two:2.0 .* was deleted"):
        jars.class_path()
    assert not (repository / "org/example/two/2.0/two-2.0.jar").exists()


def _no_network(*_args: object, **_kwargs: object) -> None:
    raise requests.ConnectionError


def _serve(monkeypatch: pytest.MonkeyPatch, repository: Path, content: bytes) -> None:
    """Stand in for jgo's download alone: it puts `content` where the second jar belongs."""

    class Component:
        def artifact(self) -> "Component":
            return self

        def at_version(self, _version: str) -> "Component":
            return self

        def resolve(self) -> Path:
            return _put(repository, "two", "2.0", content)

    monkeypatch.setattr(MavenContext, "project", lambda *_: Component())
