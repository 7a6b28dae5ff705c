"""Data keys under wrapping keys in files, for deployments without KMS."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lae_protocol.secret import Secret
from lae_provision.doors import Context, IDataKeys
from lae_provision.errors import Refused

KEY_BYTES = 32
NONCE_BYTES = 12


def key_name(key: bytes) -> str:
    """The id of a wrapping key: ``file:`` and a part of its hash."""
    return "file:" + hashlib.sha256(b"s4 wrapping key\0" + key).hexdigest()[:16]


class FileDataKeys(IDataKeys):
    """See :class:`~lae_provision.doors.IDataKeys`.

    AES-256-GCM under the first of a list of keys (32 bytes in base64 each), opened
    with any of them; the context is authenticated.  One random nonce for each data
    key: good for 2**32 of them.
    """

    def __init__(self, keys: tuple[Secret, ...]) -> None:
        if not keys:
            raise ValueError("at least one wrapping key is needed")
        raw = [_key_bytes(key) for key in keys]
        self._current = key_name(raw[0])
        self._ciphers = {key_name(key): AESGCM(key) for key in raw}

    @property
    def names(self) -> frozenset[str]:
        """The ids of the wrapping keys that this one opens with."""
        return frozenset(self._ciphers)

    async def generate(self, context: Context) -> tuple[Secret, bytes, str]:
        """Make a key, wrapped with the newest wrapping key."""
        key = secrets.token_bytes(KEY_BYTES)
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, key, _bound(context))
        text = base64.b64encode(key).decode("ascii")
        return Secret(text), nonce + sealed, self._current

    async def unwrap(self, wrapped: bytes, key_id: str, context: Context) -> Secret:
        """Unwrap a key; Refused for another context or an unknown wrapping key."""
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise Refused(
                "NotFoundException", f"the wrapping key {key_id} is not configured"
            )
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            key = cipher.decrypt(nonce, sealed, _bound(context))
        except (InvalidTag, ValueError):
            raise Refused(
                "InvalidCiphertext", "the wrapped key is damaged, or of another context"
            ) from None
        return Secret(base64.b64encode(key).decode("ascii"))


def _bound(context: Context) -> bytes:
    """Encode the context; its order does not matter, as in KMS."""
    return json.dumps(sorted(dict(context).items())).encode()


def _key_bytes(key: Secret) -> bytes:
    try:
        raw = base64.b64decode(key.reveal(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ValueError("a wrapping key must be 32 bytes in base64")
    return raw
