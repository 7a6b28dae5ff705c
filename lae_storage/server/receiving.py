"""Immutable shares on their way in: from a new upload to what is known of it after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import define
from twisted.internet.interfaces import IReactorTime

from lae_storage.server import keys
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.bucket_writer import BucketWriter
from lae_storage.server.keys import ShareName
from lae_storage.server.lease import Lease
from lae_storage.server.leases import ImmutableLeases
from lae_storage.server.reading import Reader
from lae_storage.server.spool import Spool
from lae_storage.server.upload import Upload


@define(frozen=True, eq=False)
class Receiving:
    """Makes writers.  *folder* is for their bytes; *ended* is told of each writer that
    is over, with how many bytes were stored; *done* of each write and close.
    """

    bucket: OpenBucket
    folder: Path
    leases: ImmutableLeases
    reader: Reader
    clock: IReactorTime
    ended: Callable[[BucketWriter, int], None]
    done: Callable[[str, float], None]

    def open(self, name: ShareName, size: int, lease: Lease) -> BucketWriter:
        """A writer of a new share of *size* bytes, which is to have this lease."""
        spool = Spool(size, self.folder)
        key = keys.immutable_key(name.storage_index, name.share_number)
        upload = Upload(self.bucket, key, spool, lease.to_metadata())

        def closed(writer: BucketWriter, stored: int | None) -> None:
            if stored is not None:
                self._stored(name, spool, lease)
            self.ended(writer, stored or 0)

        return BucketWriter(name, spool, upload, self.clock, closed, self.done)

    def _stored(self, name: ShareName, spool: Spool, lease: Lease) -> None:
        storage_index, number = name.storage_index, name.share_number
        self.bucket.index.add_immutable(storage_index, number, spool.length)
        self.leases.add_first(storage_index, number, lease)
        key = keys.immutable_key(storage_index, number)
        # There may have been another under its name, which is gone.
        self.reader.forget(key)
        whole = spool.whole()
        if whole is None:
            self.reader.disk.add(key, spool.file(), spool.length)
        else:
            self.reader.keep(key, whole)
