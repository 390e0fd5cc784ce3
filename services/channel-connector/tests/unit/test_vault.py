"""Tokens at rest, and the settings that bring their keys."""

import base64
import os
from dataclasses import replace

import pytest

from channel_connector.clients.quickbooks.addresses import api_address, oauth_addresses
from channel_connector.settings import Settings
from channel_connector.vault import Owner, UnknownKeyError, Vault
from chassis.settings import read_settings

OWNER = Owner("acme", "connection-1", "913")
OLD = "k1:" + base64.b64encode(b"1" * 32).decode()
NEW = "k2:" + base64.b64encode(b"2" * 32).decode()


def test_a_sealed_token_opens_for_its_owner_alone() -> None:
    vault = Vault(OLD)
    sealed = vault.seal("secret", OWNER, "refresh")
    assert b"secret" not in sealed
    assert vault.open(sealed, "k1", OWNER, "refresh") == "secret"
    for other in (
        replace(OWNER, business_id="other"),
        replace(OWNER, connection_id="other"),
        replace(OWNER, realm_id="other"),
    ):
        with pytest.raises(UnknownKeyError, match="do not open"):
            vault.open(sealed, "k1", other, "refresh")
    with pytest.raises(UnknownKeyError, match="do not open"):
        vault.open(sealed, "k1", OWNER, "access")
    with pytest.raises(UnknownKeyError, match="do not open"):
        vault.open(sealed[:-1] + b"x", "k1", OWNER, "refresh")


def test_the_newest_key_seals_and_old_ones_still_open() -> None:
    sealed = Vault(OLD).seal("secret", OWNER, "refresh")
    vault = Vault(f"{NEW},{OLD}")
    assert vault.newest_key_id == "k2"
    assert vault.open(sealed, "k1", OWNER, "refresh") == "secret"
    with pytest.raises(UnknownKeyError, match="do not open"):
        vault.open(sealed, "k2", OWNER, "refresh")
    with pytest.raises(UnknownKeyError, match="TOKEN_KEYS lacks"):
        Vault(NEW).open(sealed, "k1", OWNER, "refresh")


def test_the_same_token_is_never_sealed_alike() -> None:
    vault = Vault(OLD)
    assert vault.seal("secret", OWNER, "refresh") != vault.seal("secret", OWNER, "refresh")


ENVIRONMENT = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "DATABASE_URL": "postgresql://localhost/x",
    "QUICKBOOKS_ENVIRONMENT": "sandbox",
    "QUICKBOOKS_CLIENT_ID": "id",
    "QUICKBOOKS_CLIENT_SECRET": "the-secret",
    "TOKEN_KEYS": OLD,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*os.environ,):
        if name.startswith("QUICKBOOKS_") or name in ENVIRONMENT:
            monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_an_empty_address_is_none(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("QUICKBOOKS_API_URL", "")
    assert read_settings(Settings).quickbooks_api_url is None


def test_addresses_follow_the_environment() -> None:
    assert api_address("sandbox", None) == "https://sandbox-quickbooks.api.intuit.com"
    assert api_address("production", None) == "https://quickbooks.api.intuit.com"
    assert api_address("production", "http://127.0.0.1:8090/") == "http://127.0.0.1:8090"
    at = oauth_addresses(None, "http://localhost/callback")
    assert at.authorize == "https://appcenter.intuit.com/connect/oauth2"
    assert at.token == "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"
    assert at.revoke == "https://developer.api.intuit.com/v2/oauth2/tokens/revoke"
    at = oauth_addresses("http://127.0.0.1:8090/", "http://localhost/callback")
    assert at.token == "http://127.0.0.1:8090/oauth2/v1/tokens/bearer"
    assert at.redirect == "http://localhost/callback"


def test_secrets_do_not_show(environment: pytest.MonkeyPatch) -> None:
    del environment
    shown = repr(read_settings(Settings))
    assert "the-secret" not in shown
    assert OLD not in shown


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("k1:short", "entry 1 is not id:base64 of 32 bytes"),
        (f"{OLD},k2", "entry 2 is not"),
        (f"{OLD},{OLD}", "entry 2 repeats"),
        ("", "entry 1 is not"),
    ],
)
def test_wrong_keys_stop_the_start_without_being_shown(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], keys: str, said: str
) -> None:
    environment.setenv("TOKEN_KEYS", keys)
    with pytest.raises(SystemExit):
        read_settings(Settings)
    shown = capsys.readouterr().err
    assert shown.startswith("TOKEN_KEYS is wrong")
    assert said in shown
    assert "MTEx" not in shown
