"""Data keys under a KMS key."""

from __future__ import annotations

import base64

from attrs import define

from lae_protocol.secret import Secret
from lae_provision.aws.channel import Channel
from lae_provision.doors import Context, IDataKeys

TARGET = "TrentService."


@define(frozen=True)
class KmsDataKeys(IDataKeys):
    """See :class:`~lae_provision.doors.IDataKeys`; the context is KMS' encryption
    context, which CloudTrail shows: no secrets and no personal data in it.
    """

    channel: Channel
    key_id: str

    async def generate(self, context: Context) -> tuple[Secret, bytes, str]:
        """Make a 256-bit key; the returned id is the KMS key's ARN."""
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

    async def unwrap(self, wrapped: bytes, key_id: str, context: Context) -> Secret:
        """Unwrap a key."""
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
