"""The backup bucket, as the daemon reads and writes it.  Nothing is deleted in it."""

from __future__ import annotations

from typing import Any, Protocol

from attrs import define

from lae_flapp.backup.layout import Life, life_of_key, lives_prefix
from lae_provision.aws.channel import Channel, none_on, parse_xml
from lae_provision.aws.s3 import BucketClient, checked_key

_MISSING = frozenset({"NoSuchKey"})
#: A listing's page; what is newer than this many is on the next one.
_PAGE = "1000"


class IBackupBucket(Protocol):
    """Objects beside what Litestream writes; all of it may be called again.

    Raises :class:`~lae_provision.errors.ProvisionError`.
    """

    async def write(self, key: str, body: bytes) -> None:
        """Write an object, also over an older one, which the bucket keeps."""

    async def read(self, key: str) -> bytes | None:
        """Read an object; None where there is none."""

    async def names(self, prefix: str, after: str = "") -> tuple[str, ...]:
        """List what lies under *prefix*, in order: keys, and folders with a slash at
        their end.  *after* is the key to begin behind.
        """


@define(frozen=True)
class S3BackupBucket(IBackupBucket):
    """See :class:`IBackupBucket`."""

    channel: Channel
    bucket: str

    async def write(self, key: str, body: bytes) -> None:
        """See :class:`IBackupBucket`."""
        await self._client().call(
            "PUT",
            self.bucket,
            key=checked_key(key),
            body=body,
            headers={"content-type": "application/octet-stream"},
        )

    async def read(self, key: str) -> bytes | None:
        """See :class:`IBackupBucket`."""
        asked = self._client().call("GET", self.bucket, key=checked_key(key))
        answer = await none_on(_MISSING, asked)
        return None if answer is None else answer.body

    async def names(self, prefix: str, after: str = "") -> tuple[str, ...]:
        """See :class:`IBackupBucket`."""
        found: list[str] = []
        while True:
            query = [
                ("delimiter", "/"),
                ("list-type", "2"),
                ("max-keys", _PAGE),
                ("prefix", prefix),
            ]
            if after:
                query.append(("start-after", after))
            answer = await self._client().call(
                "GET", self.bucket, subresource=sorted(query)
            )
            page = [name for name in _names(answer.body) if name != prefix]
            found += page
            if not page or not _goes_on(answer.body):
                return tuple(found)
            # Behind all keys of the last folder, too.
            last = page[-1]
            after = last[:-1] + "0" if last.endswith("/") else last

    def _client(self) -> BucketClient:
        return BucketClient(self.channel)


async def newest_epoch(bucket: IBackupBucket, deployment: str, journals: int) -> int:
    """The epoch of the newest life in the bucket; *journals* where it has none that is
    newer than the journal's own.
    """
    prefix = lives_prefix(deployment)
    names = await bucket.names(prefix, after=f"{prefix}{journals:09}")
    lives = [life_of_key(deployment, name) for name in names]
    return max((one.epoch for one in lives if isinstance(one, Life)), default=journals)


def _names(body: bytes) -> list[str]:
    page = parse_xml(body)
    found = [
        str(inner.text)
        for element in page
        if _tag(element) in {"Contents", "CommonPrefixes"}
        for inner in element
        if _tag(inner) in {"Key", "Prefix"} and inner.text
    ]
    return sorted(found)


def _goes_on(body: bytes) -> bool:
    return any(
        _tag(element) == "IsTruncated" and element.text == "true"
        for element in parse_xml(body)
    )


def _tag(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]
