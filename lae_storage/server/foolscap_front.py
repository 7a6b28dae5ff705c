"""The Foolscap front: what upstream's clients of old call."""

from __future__ import annotations

from typing import Any

from allmydata.interfaces import RIBucketReader, RIBucketWriter
from allmydata.storage.server import FoolscapStorageServer
from foolscap.api import Referenceable
from twisted.internet.defer import Deferred
from zope.interface import implementer

from lae_storage.server.immutable import BucketReader, BucketWriter

#: The largest answer to one read; a client reads segments, never more at once.
LONGEST_READ = 64 * 1024 * 1024


@implementer(RIBucketWriter)
class FoolscapWriter(Referenceable):
    """A share's upload, by reference."""

    def __init__(self, writer: BucketWriter) -> None:
        self._writer = writer

    def doRemoteCall(
        self, methodname: str, args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        """Do it, and let go of its bytes: Foolscap has them until a call is answered,
        and then in a cycle that Python has yet to find.
        """
        doing = super().doRemoteCall(methodname, args, kwargs)
        args.clear()
        kwargs.clear()
        return doing

    def remote_write(self, offset: int, data: bytes) -> Deferred[None]:
        """Take some bytes; the answer waits while S3 is far behind."""
        self._writer.accept(offset, data)
        return Deferred.fromCoroutine(self._writer.wait_to_answer())

    def remote_close(self) -> Deferred[None]:
        """Store the share; in S3 when this answers."""
        return Deferred.fromCoroutine(self._writer.close())

    def remote_abort(self) -> None:
        """Throw it away."""
        self._writer.abort()


@implementer(RIBucketReader)
class FoolscapReader(Referenceable):
    """A share, by reference."""

    def __init__(self, reader: BucketReader) -> None:
        self._reader = reader

    def remote_read(self, offset: int, length: int) -> Deferred[bytes]:
        """A range of it."""
        if length > LONGEST_READ and self._reader.length - offset > LONGEST_READ:
            raise ValueError("a range too long to be answered at once")
        return self._reader.read(offset, length)

    def remote_advise_corrupt_share(self, reason: bytes) -> Deferred[None]:
        """Keep a client's word that it is corrupt."""
        return self._reader.advise_corrupt_share(reason)


class FoolscapFront(FoolscapStorageServer):
    """Upstream's front, where answers are to be waited for or have readers of ours."""

    def remote_allocate_buckets(  # noqa: PLR0917  (the protocol's signature)
        self,
        storage_index: bytes,
        renew_secret: bytes,
        cancel_secret: bytes,
        sharenums: set[int],
        allocated_size: int,
        canary: Any,
        owner_num: int = 0,
    ) -> Deferred[tuple[set[int], dict[int, FoolscapWriter]]]:
        """Open writers; they end with the client's connection."""

        def watch(
            answer: tuple[set[int], dict[int, BucketWriter]],
        ) -> tuple[set[int], dict[int, FoolscapWriter]]:
            here, writers = answer
            for writer in writers.values():
                marker = canary.notifyOnDisconnect(writer.disconnected)
                self._bucket_writer_disconnect_markers[writer] = (canary, marker)
            return here, {n: FoolscapWriter(w) for n, w in writers.items()}

        allocating: Deferred[Any] = self._server.allocate_buckets(
            storage_index,
            renew_secret,
            cancel_secret,
            sharenums,
            allocated_size,
            owner_num=owner_num,
            renew_leases=True,
        )
        return allocating.addCallback(watch)

    def remote_get_buckets(self, storage_index: bytes) -> dict[int, FoolscapReader]:
        """Readers of all shares."""
        return {
            number: FoolscapReader(reader)
            for number, reader in self._server.get_buckets(storage_index).items()
        }
