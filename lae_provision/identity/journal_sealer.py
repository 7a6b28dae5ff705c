"""Seals what the journal keeps of requests that hold secrets."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lae_protocol.secret import Secret
from lae_provision.errors import Refused

KEY_BYTES = 32
NONCE_BYTES = 12
NAME_BYTES = 8
_VERSION = b"\x01"


class JournalSealer:
    """AES-256-GCM under the newest of a list of keys; opens with any of them.

    Each key is 32 bytes in base64.  A sealed value is version, name of the key,
    nonce, ciphertext; the row's *context* is bound in.
    """

    def __init__(self, keys: tuple[Secret, ...]) -> None:
        if not keys:
            raise ValueError("a journal needs at least one sealing key")
        raw = [_key_bytes(key) for key in keys]
        self._current = name_of_key(raw[0])
        self._ciphers = {name_of_key(key): AESGCM(key) for key in raw}

    @property
    def names(self) -> frozenset[bytes]:
        """What sealed values say of the keys that this one opens with."""
        return frozenset(self._ciphers)

    def seal(self, plain: bytes, context: str) -> bytes:
        """Encrypt under the newest key; not deterministic."""
        nonce = os.urandom(NONCE_BYTES)
        head = _VERSION + self._current
        cipher = self._ciphers[self._current]
        return head + nonce + cipher.encrypt(nonce, plain, head + context.encode())

    def unseal(self, sealed: bytes, context: str) -> bytes:
        """Decrypt; raises :class:`~lae_provision.errors.Refused`."""
        head, rest = sealed[: 1 + NAME_BYTES], sealed[1 + NAME_BYTES :]
        cipher = self._ciphers.get(head[1:])
        if head[:1] != _VERSION or cipher is None:
            raise Refused("journal-seal", "sealed under a key that is not configured")
        nonce, ciphertext = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, ciphertext, head + context.encode())
        except (InvalidTag, ValueError):
            raise Refused("journal-seal", "damaged, or of another row") from None

    def is_newest(self, sealed: bytes) -> bool:
        """Whether it says that the newest key sealed it."""
        return sealed[: 1 + NAME_BYTES] == _VERSION + self._current


def _key_bytes(key: Secret) -> bytes:
    try:
        raw = base64.b64decode(key.reveal(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ValueError("a journal sealing key must be 32 bytes in base64")
    return raw


def name_of_key(key: bytes) -> bytes:
    """What a sealed value says of the key that sealed it."""
    return hashlib.sha256(b"s4 journal key name\0" + key).digest()[:NAME_BYTES]
