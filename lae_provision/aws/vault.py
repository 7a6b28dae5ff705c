"""Sealed documents in the deployment's state bucket."""

from __future__ import annotations

from attrs import define, field

from lae_provision.aws.channel import Channel, none_on
from lae_provision.aws.s3 import BucketClient, checked_key
from lae_provision.doors import IVault, Sealed
from lae_provision.errors import AlreadyThere

TAKEN = frozenset({"PreconditionFailed"})
MISSING = frozenset({"NoSuchKey"})


@define(frozen=True)
class S3Vault(IVault):
    """See :class:`~lae_provision.doors.IVault`; keys with ``?``, ``//`` or a leading
    slash are refused.
    """

    channel: Channel
    bucket: str
    _client: BucketClient = field(init=False)

    @_client.default
    def _make_client(self) -> BucketClient:
        return BucketClient(self.channel)

    async def put(self, document: Sealed) -> None:
        """Write a new document; a document with the same bytes is success."""
        written = await none_on(
            TAKEN,
            self._client.call(
                "PUT",
                self.bucket,
                key=checked_key(document.key),
                body=document.body,
                headers={
                    "content-type": "application/octet-stream",
                    "if-none-match": "*",
                },
            ),
        )
        if written is None and await self.get(document.key) != document:
            raise AlreadyThere(
                "PreconditionFailed", f"{document.key} has other contents"
            )

    async def get(self, key: str) -> Sealed | None:
        """Read a document; None if it does not exist."""
        answer = await none_on(
            MISSING, self._client.call("GET", self.bucket, key=checked_key(key))
        )
        return None if answer is None else Sealed(key, answer.body)
