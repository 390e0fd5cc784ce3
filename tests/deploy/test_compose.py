"""docker-compose.yml and the Dockerfile against what they refer to, without a Docker engine."""

import importlib.util
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from channel_connector.settings import Settings as ConnectorSettings
from chassis.settings import ServiceSettings
from inventory.settings import Settings as InventorySettings
from sales_processor.settings import Settings as SalesSettings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text()
SERVICES: dict[str, Any] = COMPOSE["services"]
SETTINGS: dict[str, type[ServiceSettings]] = {
    "channel_connector": ConnectorSettings,
    "sales_processor": SalesSettings,
    "inventory": InventorySettings,
}
OURS = [name for name, service in SERVICES.items() if service["image"] == "partsemble:local"]
CONFIGURED = [name for name in OURS if SERVICES[name]["command"][0] in SETTINGS]
RUNNING = [name for name in OURS if SERVICES[name]["restart"] == "unless-stopped"]


def test_the_file_fits_the_compose_specification() -> None:
    vendored = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(vendored.read_text("utf-8"))
    jsonschema.validate(COMPOSE, schema)
    broken = {**COMPOSE, "services": {"kafka": {"imaje": "apache/kafka:4.3.0"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_every_part_of_the_system_is_there() -> None:
    assert {"kafka", "postgres", "quickbooks-sandbox"} < set(SERVICES)
    assert {"channel-connector", "sales-processor", "inventory"} < set(SERVICES)
    assert SERVICES["kafka"]["image"] == "apache/kafka:4.3.0"
    assert SERVICES["postgres"]["image"] == "postgres:18"


@pytest.mark.parametrize("name", CONFIGURED)
def test_the_variables_are_those_that_the_settings_know(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = SERVICES[name]
    settings = SETTINGS[service["command"][0]]
    given = {variable: _default(value) for variable, value in service["environment"].items()}
    known = {field.upper() for field in settings.model_fields}
    required = {
        field.upper() for field, info in settings.model_fields.items() if info.is_required()
    }
    assert given.keys() <= known
    assert required <= given.keys()
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    settings()


@pytest.mark.parametrize("name", OURS)
def test_a_command_is_a_module_of_this_repository(name: str) -> None:
    module = SERVICES[name]["command"][0]
    assert importlib.util.find_spec(f"{module}.__main__") is not None
    assert '"python", "-m"' in DOCKERFILE, "commands start with the module's name"


@pytest.mark.parametrize("name", RUNNING)
def test_a_port_that_is_published_or_probed_is_the_one_listened_on(name: str) -> None:
    service = SERVICES[name]
    command = service["command"]
    if "--port" in command:
        listens = command[command.index("--port") + 1]
    else:
        listens = service["environment"]["HTTP_PORT"]
        assert service["environment"]["HTTP_HOST"] == "0.0.0.0"  # noqa: S104  (in its container)
    assert [published.split(":")[2] for published in service["ports"]] == [listens]
    assert f":{listens}/health/ready" in service["healthcheck"]["test"][-1]
    assert f"EXPOSE {listens}\n" in DOCKERFILE


def test_addresses_between_containers_are_ports_that_their_targets_listen_on() -> None:
    listening = {"kafka:19092", "postgres:5432"} | {f"{name}:8080" for name in RUNNING}
    assert "INSIDE://kafka:19092" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    for name in OURS:
        for value in SERVICES[name].get("environment", {}).values():
            for host, port in re.findall(r"([a-z-]+):(\d{4,5})(?!\d)", _default(value)):
                assert f"{host}:{port}" in listening


def test_published_ports_are_different_and_only_for_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len({port.split(":")[1] for port in published}) == len(published) == 6


@pytest.mark.parametrize("name", SERVICES)
def test_each_waits_for_what_it_needs_in_the_right_way(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        once = SERVICES[other].get("restart") == "no"
        expected = "service_completed_successfully" if once else "service_healthy"
        assert how["condition"] == expected
        assert once or "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("name", ["channel-connector", "sales-processor", "inventory"])
def test_a_service_starts_after_its_schema_and_the_topics(name: str) -> None:
    assert {"kafka", "topics", f"{name}-migrate"} <= SERVICES[name]["depends_on"].keys()
    assert SERVICES[f"{name}-migrate"]["environment"] == SERVICES[name]["environment"]


def test_every_volume_is_declared() -> None:
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    }
    assert used == set(COMPOSE["volumes"])


def test_the_dockerfile_copies_what_exists_and_installs_every_package() -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+) \S+$", DOCKERFILE, re.MULTILINE)
    assert copied
    assert all((ROOT / source).exists() for source in copied)
    packages = {
        str(path.parent.relative_to(ROOT))
        for path in [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("*/*/pyproject.toml")]
    }
    assert set(re.findall(r"(?<= )\./(\S+)", DOCKERFILE)) == packages


def test_the_image_does_not_run_as_root() -> None:
    final = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER (?!root)\w+$", final, re.MULTILINE)


def test_the_build_context_holds_what_is_copied() -> None:
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    copied = re.findall(r"^COPY (?!--from)(\S+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {source.split("/")[0] for source in copied} == kept


def _default(value: str) -> str:
    """A value as compose gives it where nothing is set in the environment."""
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", value)
