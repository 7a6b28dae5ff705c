"""Where a backup lies: a bucket, or a folder that the bucket was copied to.

Reading changes nothing.  What is written is a drill's outcome alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from attrs import define, field

from lae_flapp.backup.backup_bucket import IBackupBucket, S3BackupBucket
from lae_flapp.backup.layout import Life, life_of_key, lives_prefix
from lae_flapp.disaster.reasons import BucketAway
from lae_protocol.aws.sigv4 import Credentials
from lae_provision.aws.channel import Channel
from lae_provision.errors import ProvisionError

T = TypeVar("T")


@define(frozen=True)
class Replica:
    """How Litestream is told where one journal lies; *environment* has the keys."""

    said: Mapping[str, object]
    environment: Mapping[str, str] = field(factory=dict, repr=False)


class IShelf(Protocol):
    """The backups of one deployment."""

    deployment: str

    async def lives(self) -> tuple[Life, ...]:
        """Every life that has left something, oldest first."""

    async def read(self, key: str) -> bytes | None:
        """Read an object; None where there is none."""

    async def write(self, key: str, body: bytes) -> None:
        """Write an object that nobody wrote before."""

    def replica(self, path: str) -> Replica:
        """Say how Litestream reads the journal at *path*."""


@define(frozen=True)
class FolderShelf(IShelf):
    """A copy of the bucket in a folder."""

    folder: Path
    deployment: str

    async def lives(self) -> tuple[Life, ...]:
        """See :meth:`IShelf.lives`."""
        prefix = lives_prefix(self.deployment)
        found = sorted((self.folder / prefix).glob("*"))
        names = (life_of_key(self.deployment, prefix + path.name) for path in found)
        return tuple(life for life in names if life is not None)

    async def read(self, key: str) -> bytes | None:
        """See :meth:`IShelf.read`."""
        path = self.folder / key
        return path.read_bytes() if path.is_file() else None

    async def write(self, key: str, body: bytes) -> None:
        """See :meth:`IShelf.write`."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def replica(self, path: str) -> Replica:
        """See :meth:`IShelf.replica`."""
        return Replica({"type": "file", "path": str(self.folder / path)})


@define(frozen=True)
class BucketShelf(IShelf):
    """The backup bucket itself; raises :class:`BucketAway` where it cannot be read."""

    channel: Channel
    keys: Credentials | None = field(repr=False)
    bucket: str
    deployment: str

    async def lives(self) -> tuple[Life, ...]:
        """See :meth:`IShelf.lives`."""
        names = await self._asked(self._door.names(lives_prefix(self.deployment)))
        lives = (life_of_key(self.deployment, name) for name in names)
        return tuple(sorted(life for life in lives if life is not None))

    async def read(self, key: str) -> bytes | None:
        """See :meth:`IShelf.read`."""
        return await self._asked(self._door.read(key))

    async def write(self, key: str, body: bytes) -> None:
        """See :meth:`IShelf.write`."""
        await self._asked(self._door.write(key, body))

    def replica(self, path: str) -> Replica:
        """See :meth:`IShelf.replica`."""
        endpoints = self.channel.endpoints
        said: dict[str, object] = {
            "type": "s3",
            "bucket": self.bucket,
            "path": path,
            "region": endpoints.region,
        }
        if endpoints.s3_endpoint is not None:
            said |= {"endpoint": endpoints.s3_endpoint, "force-path-style": True}
        if self.keys is None:
            # Litestream asks for the machine's own role itself.
            return Replica(said)
        keys = {
            "AWS_ACCESS_KEY_ID": self.keys.access_key,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_key.reveal(),
        }
        if self.keys.token is not None:
            keys["AWS_SESSION_TOKEN"] = self.keys.token.reveal()
        return Replica(said, keys)

    @property
    def _door(self) -> IBackupBucket:
        return S3BackupBucket(self.channel, self.bucket)

    async def _asked(self, asked: Awaitable[T]) -> T:
        try:
            return await asked
        except ProvisionError as e:
            raise BucketAway(f"the backup bucket {self.bucket}: {e}") from None
