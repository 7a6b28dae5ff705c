"""The Foolscap front: what clients of the older protocol call."""

from __future__ import annotations

from functools import partial
from typing import Any

from allmydata.interfaces import RIBucketReader, RIBucketWriter
from allmydata.storage.server import FoolscapStorageServer
from foolscap.api import Referenceable
from foolscap.banana import int2b128
from foolscap.tokens import STRING
from twisted.internet.defer import Deferred
from zope.interface import implementer

from lae_storage.server.fence import Fence
from lae_storage.server.immutable import BucketReader, BucketWriter

#: The largest answer to one read; a client reads segments, never more at once.
LONGEST_READ = 64 * 1024 * 1024  # bytes
#: Words for which both ends may have a short form are shorter.
LONGEST_WORD = 1024  # bytes
#: If more were enciphered at once, Twisted would copy all of it twice.
ENCIPHERED_AT_ONCE = 64 * 1024  # bytes


@implementer(RIBucketWriter)
class FoolscapWriter(Referenceable):
    """A share's upload, by reference."""

    def __init__(self, writer: BucketWriter) -> None:
        self._writer = writer

    def doRemoteCall(
        self, methodname: str, args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        """Do the call, and drop its bytes.

        Foolscap holds them until the call is answered, and then in a reference cycle
        that Python has yet to collect.
        """
        doing = super().doRemoteCall(methodname, args, kwargs)
        args.clear()
        kwargs.clear()
        return doing

    def remote_write(self, offset: int, data: bytes) -> Deferred[None]:
        """Accept some bytes; the answer waits while S3 is far behind."""
        self._writer.accept(offset, data)
        return Deferred.fromCoroutine(self._writer.wait_to_answer())

    def remote_close(self) -> Deferred[None]:
        """Store the share; in S3 when this answers."""
        return Deferred.fromCoroutine(self._writer.close())

    def remote_abort(self) -> None:
        """Throw the upload away."""
        self._writer.abort()


@implementer(RIBucketReader)
class FoolscapReader(Referenceable):
    """A share, by reference."""

    def __init__(self, reader: BucketReader, fence: Fence) -> None:
        self._reader, self._fence = reader, fence

    def remote_read(self, offset: int, length: int) -> Deferred[bytes]:
        """The bytes of a range."""
        if length > LONGEST_READ and self._reader.length - offset > LONGEST_READ:
            raise ValueError("a range too long to be answered at once")
        if self._fence.is_open():
            return self._reader.read(offset, length)
        return Deferred.fromCoroutine(self._read_later(offset, length))

    async def _read_later(self, offset: int, length: int) -> bytes:
        await self._fence.wait()
        return await self._reader.read(offset, length)

    def remote_advise_corrupt_share(self, reason: bytes) -> Deferred[None]:
        """Keep a client's report that the share is corrupt."""
        return self._reader.advise_corrupt_share(reason)


class FoolscapFront(FoolscapStorageServer):
    """Upstream's front, whose answers wait for S3 and have our readers and writers."""

    def doRemoteCall(
        self, methodname: str, args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        """Do the call; while S3 is away it waits, but for what needs no bucket."""
        do = partial(super().doRemoteCall, methodname, args, kwargs)
        if methodname == "get_version" or self._server.fence.is_open():
            return do()
        waiting = Deferred.fromCoroutine(self._server.fence.wait())
        return waiting.addCallback(lambda _: do())

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
        """Open writers, which end with the client's connection."""

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
            number: FoolscapReader(reader, self._server.fence)
            for number, reader in self._server.get_buckets(storage_index).items()
        }


def send_long_strings_plainly(tub: Any) -> None:
    """Have a Tub's connections send a long string as it is.

    Foolscap first looks each string up in its vocabulary, and so hashes every byte of
    a share: a tenth of what a download costs the node.  Call this before the Tub has
    connections.
    """

    class PlainBroker(tub.brokerClass):
        """The Tub's broker, which does not look up what is too long for a word."""

        def sendToken(self, obj: Any) -> None:
            """Send one token; see :class:`foolscap.banana.Banana`."""
            if isinstance(obj, bytes) and len(obj) > LONGEST_WORD:
                write = self.transport.write
                int2b128(len(obj), write)
                write(STRING)
                for at in range(0, len(obj), ENCIPHERED_AT_ONCE):
                    write(obj[at : at + ENCIPHERED_AT_ONCE])
            else:
                super().sendToken(obj)

    tub.brokerClass = PlainBroker
