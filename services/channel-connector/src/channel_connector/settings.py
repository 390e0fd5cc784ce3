"""What the connector is told by its environment; secrets show in no text and no error."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from channel_connector.vault import Vault
from chassis.settings import ServiceSettings

API_URLS = {
    "sandbox": "https://sandbox-quickbooks.api.intuit.com",
    "production": "https://quickbooks.api.intuit.com",
}
OAUTH_URL = "https://oauth.platform.intuit.com"

_HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/\s]+(/\S*)?$")]


class Settings(ServiceSettings):
    """Settings of the connector."""

    quickbooks_environment: Annotated[
        Literal["sandbox", "production"], Field(description="sandbox or production")
    ]
    quickbooks_client_id: Annotated[
        str, Field(min_length=1, description="the client id of your app at Intuit")
    ]
    quickbooks_client_secret: Annotated[
        SecretStr, Field(min_length=1, description="the client secret of your app at Intuit")
    ]
    quickbooks_api_url: Annotated[
        _HttpUrl | None,
        Field(description="only to point elsewhere than Intuit: http(s)://host, without /v3"),
    ] = None
    quickbooks_oauth_url: Annotated[
        _HttpUrl | None,
        Field(description="only to point elsewhere than Intuit: http(s)://host, without /oauth2"),
    ] = None
    token_keys: Annotated[
        SecretStr,
        Field(
            description="keys that encrypt tokens, newest first, as id:base64 of 32 bytes, "
            "comma-separated"
        ),
    ]

    @field_validator("quickbooks_api_url", "quickbooks_oauth_url", mode="before")
    @classmethod
    def _empty_is_absent(cls, value: object) -> object:
        return value or None

    @field_validator("token_keys")
    @classmethod
    def _keys_can_be_read(cls, value: SecretStr) -> SecretStr:
        Vault(value.get_secret_value())
        return value

    @property
    def api_url(self) -> str:
        """Where the accounting API is."""
        return (self.quickbooks_api_url or API_URLS[self.quickbooks_environment]).rstrip("/")

    @property
    def oauth_url(self) -> str:
        """Where tokens are issued."""
        return (self.quickbooks_oauth_url or OAUTH_URL).rstrip("/")
