import socket
from pathlib import Path

from local_stack import ports


def test_ports_are_the_same_again_while_they_are_free(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = ports.remembered_ports(file, ["a", "b"])
    assert ports.remembered_ports(file, ["b", "a"]) == first
    assert first["a"] != first["b"]


def test_a_port_that_somebody_took_is_replaced_and_the_new_one_remembered(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = ports.remembered_ports(file, ["a", "b"])
    with socket.create_server((ports.HOST, first["a"])):
        second = ports.remembered_ports(file, ["a", "b"])
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]
    assert ports.remembered_ports(file, ["a", "b"]) == second


def test_a_port_is_taken_while_a_server_listens_on_it() -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)
