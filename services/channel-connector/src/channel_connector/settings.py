"""What the connector is told by its environment; secrets show in no text and no error."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from channel_connector.vault import Vault
from chassis.settings import ServiceSettings

CALLBACK_PATH = "/callback"
_ANY_ADDRESS = {"0.0.0.0", "::", ""}  # noqa: S104  (compared with, not bound to)

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
    quickbooks_redirect_uri: Annotated[
        _HttpUrl | None,
        Field(
            description="where Intuit sends people back to, exactly as registered with your app: "
            "http(s)://host/callback"
        ),
    ] = None
    quickbooks_webhook_verifier_token: Annotated[
        SecretStr | None,
        Field(description="the verifier token of your app's webhooks; without it none is taken"),
    ] = None
    token_keys: Annotated[
        SecretStr,
        Field(
            description="keys that encrypt tokens, newest first, as id:base64 of 32 bytes, "
            "comma-separated"
        ),
    ]

    @field_validator(
        "quickbooks_api_url",
        "quickbooks_oauth_url",
        "quickbooks_redirect_uri",
        "quickbooks_webhook_verifier_token",
        mode="before",
    )
    @classmethod
    def _empty_is_absent(cls, value: object) -> object:
        return value or None

    @field_validator("token_keys")
    @classmethod
    def _keys_can_be_read(cls, value: SecretStr) -> SecretStr:
        Vault(value.get_secret_value())
        return value

    @property
    def redirect_uri(self) -> str:
        """Where the consent page sends people back to; by default this process, as they see it."""
        if self.quickbooks_redirect_uri:
            return self.quickbooks_redirect_uri
        host = "localhost" if self.http_host in _ANY_ADDRESS else self.http_host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.http_port}{CALLBACK_PATH}"
