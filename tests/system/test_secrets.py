"""No token and no secret is anywhere in clear, though one is planted and much goes wrong near it.

Searched: every topic and dead letter with headers, every answer, every log, a dump of each
database, what the command line prints, and the bytes of the data folder. The sandbox's own files
are left out, for it plays the accounting system.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaProducer

from channel_connector.vault import Owner, Vault
from chassis.testing import until
from contracts.topics import SERVICES, dead_letter_topic, load
from local_stack import postgres
from salesync.client import Client
from salesync.kafka import records

CONNECTION = "planted-connection"
CLIENT_SECRET = "sandbox-secret"
COMMANDS = "channels.commands.v1"
READS = ("/metrics", "/asyncapi.json", "/openapi.json", "/verify", "/health/ready")
pytestmark = pytest.mark.timeout(240)

BUG = """
create function planted_bug() returns trigger language plpgsql as
$$ begin raise exception 'a planted bug, next to %', new; end $$;
create trigger planted_bug before insert or update on channels
for each row when (new.business_id = '{business}') execute function planted_bug()
"""
NO_BUG = "drop trigger planted_bug on channels; drop function planted_bug()"


@dataclass
class Place:
    """A business whose company was connected with a planted token, and all that was said of it."""

    client: Client
    folder: Path
    addresses: Mapping[str, str]
    business: str = field(default_factory=lambda: f"planted-{uuid4().hex[:8]}")
    realm: str = field(default_factory=lambda: str(uuid4().int)[:16])
    planted: str = field(default_factory=lambda: f"RT1-planted-{uuid4().hex}")
    said: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"/businesses/{self.business}/connections"

    def say(self, *arguments: str) -> None:
        """Keep what a command prints, whether it works or not."""
        done = subprocess.run(
            [sys.executable, "-m", "salesync", *arguments, "--data", str(self.folder)],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert "Traceback" not in done.stderr
        self.said += [done.stdout, done.stderr]

    async def control(self, method: str, path: str, form: Mapping[str, Any]) -> Any:  # noqa: ANN401
        return await self.client.send("QUICKBOOKS_SANDBOX", method, f"/control{path}", form)

    async def vault(self) -> dict[str, str]:
        """The tokens that the connector keeps just now."""
        keys = (self.folder / "token-keys").read_text("utf-8").strip()
        session = await asyncpg.connect(self.addresses["CHANNEL_CONNECTOR_DATABASE_URL"])
        try:
            row = await session.fetchrow(
                "select * from connection_tokens where business_id = $1", self.business
            )
        finally:
            await session.close()
        owner, vault = Owner(self.business, CONNECTION, self.realm), Vault(keys)
        assert row is not None
        return {
            purpose: vault.open(row[f"{purpose}_token"], row["key_id"], owner, purpose)
            for purpose in ("refresh", "access")
        }


async def test_a_planted_token_is_nowhere(
    client: Client, folder: Path, addresses: Mapping[str, str]
) -> None:
    place = Place(client, folder, addresses)
    await connect(place)
    await refuse(place)
    secrets = await sync(place)
    await fail(place)
    letters = await leave_dead_letters(place)
    secrets |= await give_up(place)
    assert len(secrets) >= 5
    await read(place)
    text = "\n".join([*place.said, *letters, *await topics(place)])
    assert "a planted bug" in text
    assert "Oak Chair" in text
    dumped = "\n".join(dumps(addresses))
    assert f"{place.business}\t{CONNECTION}\tquickbooks-online" in dumped
    for secret in {*secrets, CLIENT_SECRET}:
        assert secret not in text
        assert secret not in dumped
        assert secret.encode().hex() not in dumped
    assert secrets_in_files(folder, secrets) == []


def secrets_in_files(folder: Path, secrets: set[str]) -> list[str]:
    """Files of the system with a token in them, and logs with the app's secret."""
    searched = [
        file
        for file in folder.rglob("*")
        if file.is_file() and "quickbooks" not in file.relative_to(folder).as_posix()
    ]
    logs = {file.name for file in searched if file.suffix == ".log"}
    assert {"channel-connector.log", "sales-processor.log", "inventory.log", "kafka.log"} <= logs
    found = []
    for file in searched:
        content = file.read_bytes()
        forbidden = {*secrets, CLIENT_SECRET} if file.name in logs else secrets
        found += [f"{file}: {s[:12]}" for s in forbidden if s.encode() in content]
    return found


async def connect(place: Place) -> None:
    """Connect a company by the command line, several times wrongly."""
    company = {"realm": place.realm, "name": "Planted", "refresh_token": place.planted}
    await place.control("POST", "/companies", company | {"stocked": True})
    add = ("connection", "add", "--business", place.business, "--refresh-token", place.planted)
    place.say(*add, "--realm", "not-digits")
    place.say(*add, "--realm", place.realm, "--connection-id", CONNECTION, "--json")
    place.say(*add, "--realm", place.realm, "--connection-id", "another")
    place.say(*add, "--realm", "42")
    place.say("connection", "list", "--json")
    await place.client.publish(
        {"type": "enable-sales-tracking", "business_id": place.business},
        {
            "type": "connect-channel",
            "business_id": place.business,
            "connection_id": CONNECTION,
            "channel_type": "accounting",
            "initial_sync_date": "2026-01-01",
            "channel_id": place.business,
        },
    )
    await place.client.wait_for(
        lambda e: e["type"] == "channel-changed" and e["channel_id"] == place.business,
        what="the channel is connected",
    )


async def refuse(place: Place) -> None:
    """Ask over HTTP in ways that are refused, each with the token in it."""
    url = place.addresses["CHANNEL_CONNECTOR_URL"] + place.path
    good = {"realm_id": place.realm, "refresh_token": place.planted}
    async with httpx.AsyncClient(trust_env=False) as http:
        for body in (
            json.dumps(good | {"more": place.planted}),
            json.dumps(good | {"refresh_token": [place.planted]}),
            json.dumps(good | {"connection_id": "x" * 300}),
            json.dumps(good | {"realm_id": "42"}),
            json.dumps(place.planted),
            f'{{"refresh_token": "{place.planted}"',
        ):
            answer = await http.post(
                url, content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.is_client_error, answer.text
            place.said.append(answer.text)
        callback = {"code": "code-of-nobody", "state": "x", "realmId": place.realm}
        address = place.addresses["CHANNEL_CONNECTOR_URL"] + "/callback"
        place.said.append((await http.get(address, params=callback)).text)


async def sync(place: Place) -> set[str]:
    """Sync a sale; all tokens that were in use, those of a second refresh too."""
    line = {"item": "Oak Chair", "qty": 2, "price": 90}
    sale = {"txn_date": "2026-03-02", "lines": [line]}
    await place.control("POST", f"/companies/{place.realm}/invoices", sale)
    place.said.append(str(await place.client.sync(place.business, place.business)))
    first = await place.vault()
    await place.control("POST", f"/companies/{place.realm}/tokens/expire", {})
    place.said.append(str(await place.client.sync(place.business, place.business)))
    return {place.planted, *first.values(), *(await place.vault()).values()}


async def fail(place: Place) -> None:
    """Fail two syncs by answers that repeat what was sent: the access token, the refresh token."""
    fault = {"effect": "fault", "code": "120", "status": 403, "times": 1}
    vault = await place.vault()
    echo = {"message": f"No to {vault['access']}", "match": {"realm": place.realm}}
    await place.control("POST", "/faults", fault | echo)
    refused = await place.client.sync(place.business, place.business)
    assert refused["detail"].startswith("QuickBooks said 120: No to [access token]")
    await place.control("POST", f"/companies/{place.realm}/tokens/expire", {})
    echo = {"message": f"No to {vault['refresh']}", "match": {"operation": "token"}}
    await place.control("POST", "/faults", fault | echo)
    failed = await place.client.sync(place.business, place.business)
    assert (failed["type"], failed["reason"]) == ("sync-failed", "upstream-error")
    place.said += [str(refused), str(failed)]


async def leave_dead_letters(place: Place) -> list[str]:
    """Let three commands fail: one that is no JSON, one of a wrong type, one that meets a bug."""
    configure = {
        "type": "configure-channel",
        "business_id": place.business,
        "channel_id": place.business,
        "settings": {"webhooks": True},
    }
    session = await asyncpg.connect(place.addresses["CHANNEL_CONNECTOR_DATABASE_URL"])
    producer = AIOKafkaProducer(bootstrap_servers=place.addresses["KAFKA_BOOTSTRAP_SERVERS"])
    await producer.start()
    try:
        await session.execute(BUG.format(business=place.business))
        for body in (b"{", json.dumps(configure | {"settings": 5}).encode()):
            await producer.send_and_wait(COMMANDS, body, key=place.business.encode())
        await place.client.publish(configure)
        found: list[str] = await until(
            lambda: three_letters(place), what="three dead letters", seconds=60
        )
    finally:
        await session.execute(NO_BUG)
        await session.close()
        await producer.stop()
    assert any("Traceback" in letter for letter in found)
    place.say("dlq", "list")
    return found


async def three_letters(place: Place) -> list[str]:
    """The business's dead letters, once there are three."""
    topic = dead_letter_topic(COMMANDS, "channel-connector")
    found = [text for key, text in await texts(place, [topic]) if key == place.business]
    return found if len(found) == 3 else []


async def texts(place: Place, names: list[str]) -> list[tuple[str, str]]:
    """Key and whole content of every record of some topics."""
    found = []
    async for record in records(place.addresses["KAFKA_BOOTSTRAP_SERVERS"], names):
        headers = " ".join(f"{name}: {_text(value)}" for name, value in record.headers)
        found.append((_text(record.key), f"{headers}\n{_text(record.value)}"))
    return found


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


async def topics(place: Place) -> list[str]:
    """Every record of every topic, dead letters too."""
    names = [topic.name for topic in load()]
    names += [dead_letter_topic(name, service) for name in names for service in SERVICES]
    return [text for _, text in await texts(place, names)]


async def give_up(place: Place) -> set[str]:
    """Lose the consent, connect again with another token, and remove the connection."""
    await place.control("POST", f"/companies/{place.realm}/tokens/revoke", {})
    failure = await place.client.sync(place.business, place.business)
    assert failure["reason"] == "needs-reconnect"
    place.said.append(str(failure))
    tokens = await place.control("POST", f"/companies/{place.realm}/tokens", {})
    place.say(
        *("connection", "add", "--business", place.business, "--realm", place.realm),
        *("--refresh-token", tokens["refresh_token"]),
    )
    place.said.append(str(await place.client.sync(place.business, place.business)))
    secrets = {tokens["refresh_token"], *(await place.vault()).values()}
    place.say("connection", "remove", "--business", place.business, "--connection-id", CONNECTION)
    return secrets


async def read(place: Place) -> None:
    """Read whatever the services show."""
    async with httpx.AsyncClient(trust_env=False) as http:
        for service in SERVICES:
            url = place.addresses[f"{service.upper().replace('-', '_')}_URL"]
            place.said += [(await http.get(url + path)).text for path in READS]
        url = place.addresses["CHANNEL_CONNECTOR_URL"]
        place.said.append((await http.get(f"{url}/channels/{place.business}/syncs")).text)
    for command in (("verify",), ("topics", "list"), ("env",)):
        place.say(*command)


def dumps(addresses: Mapping[str, str]) -> list[str]:
    """Each service's database as its administrator would back it up."""
    return [
        subprocess.run(
            [postgres._program("pg_dump"), "--dbname", addresses[name]],
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        ).stdout
        for name in sorted(addresses)
        if name.endswith("_DATABASE_URL")
    ]
