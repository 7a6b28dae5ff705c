"""Data keys under a KMS key."""

from __future__ import annotations

import base64

from attrs import define
from twisted.internet.defer import Deferred
from zope.interface import implementer

from lae_protocol.secret import Secret
from lae_provision.aws.channel import Channel
from lae_provision.doors import IDataKeys

Context = tuple[tuple[str, str], ...]
TARGET = "TrentService."


@implementer(IDataKeys)
@define(frozen=True)
class KmsDataKeys:
    """See :class:`~lae_provision.doors.IDataKeys`; the context is KMS' encryption
    context, which CloudTrail shows: no secrets and no personal data in it.
    """

    channel: Channel
    key_id: str

    def generate(self, context: Context) -> Deferred[tuple[Secret, bytes, str]]:
        """A key of 256 bits; the id answered is the key's ARN."""
        return Deferred.fromCoroutine(self._generate(context))

    def unwrap(self, wrapped: bytes, key_id: str, context: Context) -> Deferred[Secret]:
        """The key again."""
        return Deferred.fromCoroutine(self._unwrap(wrapped, key_id, context))

    async def _generate(self, context: Context) -> tuple[Secret, bytes, str]:
        answer = await self.channel.json(
            "kms",
            TARGET + "GenerateDataKey",
            {
                "KeyId": self.key_id,
                "KeySpec": "AES_256",
                "EncryptionContext": dict(context),
            },
        )
        wrapped = base64.b64decode(answer["CiphertextBlob"])
        return Secret(answer["Plaintext"]), wrapped, answer["KeyId"]

    async def _unwrap(self, wrapped: bytes, key_id: str, context: Context) -> Secret:
        answer = await self.channel.json(
            "kms",
            TARGET + "Decrypt",
            {
                "KeyId": key_id,
                "CiphertextBlob": base64.b64encode(wrapped).decode("ascii"),
                "EncryptionContext": dict(context),
            },
        )
        return Secret(answer["Plaintext"])
