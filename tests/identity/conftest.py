"""Data keys in memory, for what seals."""

from __future__ import annotations

import base64
import os

import pytest
from attrs import define, field
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lae_protocol.secret import Secret
from lae_provision.doors import Context, IDataKeys, IdentityRequest, IVault, Sealed
from lae_provision.errors import AlreadyThere, Refused


@define
class MemoryDataKeys(IDataKeys):
    """Wraps data keys with one key that lives as long as the object."""

    key_id: str = "memory-1"
    _master: bytes = field(factory=lambda: os.urandom(32), repr=False)

    async def generate(self, context: Context) -> tuple[Secret, bytes, str]:
        key, nonce = os.urandom(32), os.urandom(12)
        wrapped = nonce + AESGCM(self._master).encrypt(
            nonce, key, repr(context).encode()
        )
        return Secret(base64.b64encode(key).decode()), wrapped, self.key_id

    async def unwrap(self, wrapped: bytes, key_id: str, context: Context) -> Secret:
        try:
            key = AESGCM(self._master).decrypt(
                wrapped[:12], wrapped[12:], repr(context).encode()
            )
        except InvalidTag:
            raise Refused("data-key", "not wrapped by this key") from None
        return Secret(base64.b64encode(key).decode())


@define
class MemoryVault(IVault):
    """A vault that forgets at the end of the test."""

    kept: dict[str, Sealed] = field(factory=dict)

    async def put(self, document: Sealed) -> None:
        if self.kept.setdefault(document.key, document) != document:
            raise AlreadyThere("vault", "other bytes are there")

    async def get(self, key: str) -> Sealed | None:
        return self.kept.get(key)


@pytest.fixture(scope="class")
def doubles(request: pytest.FixtureRequest) -> None:
    """Give a test class ``MemoryDataKeys`` and ``MemoryVault``."""
    request.cls.data_keys, request.cls.vault = MemoryDataKeys, MemoryVault


@pytest.fixture(scope="class")
def a_request(request: pytest.FixtureRequest) -> None:
    """Give a test class ``a_request``: what an identity is made for."""
    request.cls.a_request = IdentityRequest(
        signup_id="su" + "a" * 20,
        generation=1,
        grid_label="g" + "b" * 15,
        nickname="S4 bbbb",
        host="gbbbbbbbbbbbbbbb.grids.example",
        introducer_port=3456,
        storage_port=3457,
        listen=None,
    )
