"""A key that signs images and never leaves KMS."""

from __future__ import annotations

import base64
from typing import Any

from attrs import define
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from lae_provision.aws.channel import Channel, none_on
from lae_provision.errors import Refused
from lae_provision.hosts.programs import check_signing_key

TARGET = "TrentService."
SPEC, USAGE, ALGORITHM = "ECC_NIST_P256", "SIGN_VERIFY", "ECDSA_SHA_256"
_MISSING = frozenset({"NotFoundException"})


@define(frozen=True)
class KmsSigningKey:
    """One key, by its ARN, id or alias.  Each call is safe to repeat."""

    channel: Channel
    key_id: str

    async def public_key(self) -> str:
        """The public half (PEM); raises :class:`Refused` for a key of another kind."""
        told = await self._ask("GetPublicKey", KeyId=self.key_id)
        wrong = Refused(
            "WrongKey",
            f"{self.key_id} signs no images: that takes an {SPEC} key for {USAGE}",
        )
        if told.get("KeyUsage") != USAGE:
            raise wrong
        try:
            key = load_der_public_key(base64.b64decode(told["PublicKey"]))
            form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            pem = key.public_bytes(*form).decode("ascii")
            check_signing_key(pem)
        except ValueError:
            raise wrong from None
        return pem

    async def sign(self, text: bytes) -> bytes:
        """The signature (DER) of *text*, of at most 4,096 bytes; KMS hashes it."""
        told = await self._ask(
            "Sign",
            KeyId=self.key_id,
            Message=base64.b64encode(text).decode("ascii"),
            MessageType="RAW",
            SigningAlgorithm=ALGORITHM,
        )
        return base64.b64decode(told["Signature"])

    async def make(self, deployment: str) -> bool:
        """Make the key under this alias, if there is none; whether it was made.

        A crash between the two calls leaves a key without a name, which signs nothing
        and costs a dollar a month: the account's list of keys shows it.
        """
        if not self.key_id.startswith("alias/"):
            raise Refused("NoAlias", "a new key needs a name: alias/NAME")
        found = await none_on(_MISSING, self._ask("DescribeKey", KeyId=self.key_id))
        if found is not None:
            return False
        made = await self._ask(
            "CreateKey",
            KeySpec=SPEC,
            KeyUsage=USAGE,
            Description=f"S4 {deployment}: signs images",
            Tags=[{"TagKey": "s4:deployment", "TagValue": deployment}],
        )
        await self._ask(
            "CreateAlias",
            AliasName=self.key_id,
            TargetKeyId=made["KeyMetadata"]["KeyId"],
        )
        return True

    async def _ask(self, action: str, **fields: Any) -> dict[str, Any]:
        return await self.channel.json("kms", TARGET + action, fields)
