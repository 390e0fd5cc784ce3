"""Encrypts tokens at rest.

The laws of this module: AES-256-GCM with a fresh nonce each time; the key id is stored beside the
ciphertext; business, realm, connection, purpose and key id are bound to it, so that a ciphertext
moved to another row does not open. No error here names a key or a token.
"""

import base64
import binascii
import json
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12


class UnknownKeyError(Exception):
    """A stored token was encrypted with a key that is not in TOKEN_KEYS, or was tampered with."""


@dataclass(frozen=True)
class Owner:
    """Whose token it is: bound to the ciphertext."""

    business_id: str
    connection_id: str
    realm_id: str


class Vault:
    """Seals with the newest key, opens with any it knows."""

    def __init__(self, keys: str) -> None:
        """Read keys as `id:base64,id2:base64`, newest first.

        Raises:
            ValueError: an entry is none, or its key has not 32 bytes; the text names its place.
        """
        self._keys: dict[str, AESGCM] = {}
        for place, entry in enumerate(keys.split(","), start=1):
            name, colon, encoded = entry.strip().partition(":")
            try:
                key = base64.b64decode(
                    encoded,
                    altchars=b"-_" if "_" in encoded or "-" in encoded else None,
                    validate=True,
                )
            except (binascii.Error, ValueError):
                key = b""
            if not name or not colon or len(key) != KEY_BYTES:
                raise ValueError(
                    f"entry {place} is not id:base64 of {KEY_BYTES} bytes (for a new one: "
                    "`echo k1:$(openssl rand -base64 32)`)"
                )
            if name in self._keys:
                raise ValueError(f"entry {place} repeats the id of another entry")
            self._keys[name] = AESGCM(key)
        self.newest_key_id = next(iter(self._keys))

    def seal(self, token: str, owner: Owner, purpose: str) -> bytes:
        """Encrypt a token with the newest key."""
        key_id = self.newest_key_id
        nonce = os.urandom(NONCE_BYTES)
        bound = _bound(owner, purpose, key_id)
        return nonce + self._keys[key_id].encrypt(nonce, token.encode(), bound)

    def open(self, sealed: bytes, key_id: str, owner: Owner, purpose: str) -> str:
        """Decrypt a token.

        Raises:
            UnknownKeyError: the key is not known, or the ciphertext is not this owner's.
        """
        key = self._keys.get(key_id)
        if key is None:
            raise UnknownKeyError(
                f"The tokens of connection {owner.connection_id} were encrypted with the key "
                f"`{key_id}`, which TOKEN_KEYS lacks; add it, or connect again."
            )
        try:
            bound = _bound(owner, purpose, key_id)
            return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound).decode()
        except InvalidTag:
            raise UnknownKeyError(
                f"The tokens of connection {owner.connection_id} do not open with the key "
                f"`{key_id}`; connect again."
            ) from None


def _bound(owner: Owner, purpose: str, key_id: str) -> bytes:
    """The associated data, without a separator that an id could contain."""
    parts = [owner.business_id, owner.realm_id, owner.connection_id, purpose, key_id]
    return json.dumps(parts).encode()
