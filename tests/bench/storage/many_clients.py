"""Many clients of one storage node at once, over GBS, with upstream's own protocol code:

    python tests/bench/storage/many_clients.py NURL CLIENTS ROUNDS

Each has connections of its own.  In each round it stores a share of 1,000,000 bytes as
upstream's client does (one message, and the end of it), reads it back and compares, and
changes and reads a mutable share.  Prints one line of JSON: seconds, bytes, how long
each operation took, and errors.  Needs nothing but tahoe-lafs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from allmydata.storage.http_client import (
    ReadVector,
    StorageClientFactory,
    StorageClientImmutables,
    StorageClientMutables,
    TestVector,
    TestWriteVectors,
    WriteVector,
)
from hyperlink import DecodedURL
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

SIZE, TAIL = 1_000_000, 600
SMALL = 4000


class Client:
    """One of them."""

    def __init__(self, factory: StorageClientFactory, nurl: DecodedURL) -> None:
        self._factory, self._nurl = factory, nurl
        self.took: list[float] = []
        self.moved = 0

    async def run(self, rounds: int) -> None:
        """All rounds."""
        client = await self._factory.create_storage_client(self._nurl, reactor)
        immutables = StorageClientImmutables(client)
        mutables = StorageClientMutables(client)
        slot, enabler, content = os.urandom(16), os.urandom(32), b""
        for _ in range(rounds):
            await self._timed(self._immutable(immutables))
            changing = self._mutable(mutables, slot, enabler, content)
            content = await self._timed(changing)

    async def _timed(self, work: Any) -> Any:
        began = time.monotonic()
        answer = await work
        self.took.append(time.monotonic() - began)
        return answer

    async def _immutable(self, api: Any) -> None:
        index, secret, data = os.urandom(16), os.urandom(32), os.urandom(SIZE + TAIL)
        await api.create(index, {0}, len(data), secret, secret, secret)
        await api.write_share_chunk(index, 0, secret, 0, data[:SIZE])
        done = await api.write_share_chunk(index, 0, secret, SIZE, data[SIZE:])
        if not done.finished:
            raise AssertionError("the share is whole, and not stored")
        if await api.read_share_chunk(index, 0, 0, len(data)) != data:
            raise AssertionError("a share is not what was stored")
        self.moved += 2 * len(data)

    async def _mutable(
        self, api: Any, slot: bytes, enabler: bytes, before: bytes
    ) -> bytes:
        data, secret = os.urandom(SMALL), b"s" * 32
        vectors = TestWriteVectors(
            [TestVector(offset=0, size=len(before), specimen=before)],
            [WriteVector(offset=0, data=data)],
        )
        read = [ReadVector(offset=0, size=SMALL)]
        answer = await api.read_test_write_chunks(
            slot, enabler, secret, secret, {0: vectors}, read
        )
        if not answer.success:
            raise AssertionError("a change was refused")
        if await api.read_share_chunk(slot, 0, 0, SMALL) != data:
            raise AssertionError("a slot is not what was written")
        self.moved += 2 * SMALL
        return data


def main(nurl: str, clients: str, rounds: str) -> None:
    """Run them all."""
    factory = StorageClientFactory({"tcp": "tcp"}, None)
    many = [Client(factory, DecodedURL.from_text(nurl)) for _ in range(int(clients))]
    errors: list[str] = []
    began = time.monotonic()

    def one(client: Client) -> Any:
        running = Deferred.fromCoroutine(client.run(int(rounds)))
        return running.addErrback(lambda f: errors.append(f.getErrorMessage()))

    def finished(_: object) -> None:
        took = [t for client in many for t in client.took]
        moved = sum(client.moved for client in many)
        seconds = time.monotonic() - began
        result = {"seconds": seconds, "bytes": moved, "took": took, "errors": errors}
        sys.stdout.write(json.dumps(result) + "\n")
        reactor.stop()

    reactor.callWhenRunning(
        lambda: gatherResults([one(c) for c in many]).addBoth(finished)
    )
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
