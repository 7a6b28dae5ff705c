"""The self-test: the node writes and reads like a client, over both of its protocols.

Data written over one protocol is read over the other.  The test makes, changes and
empties a mutable slot.  Each grid always uses the same slot, so a later start cleans up
after a host that died during the test.  Clients cannot delete immutable shares, so each
grid keeps two of 64 bytes, one written over each protocol: the first start writes them,
and each later start reads them, on whatever host.  A suspended grid's host only reads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from io import BytesIO
from typing import Any

from allmydata.storage.http_client import StorageClientFactory
from allmydata.storage_client import _HTTPStorageServer, _StorageServer
from attrs import define
from foolscap.api import Referenceable
from twisted.internet.defer import Deferred
from twisted.web.client import HTTPConnectionPool

from lae_protocol.host_messages import NodeIdentity, TubIdentity
from lae_protocol.process.deadline import with_deadline

TEST_TIMEOUT = 60.0  # s
SHARE = 0
LENGTH = 64  # bytes


class SelfTestFailed(Exception):
    """The node did not return what was written; the text names the step."""


@define(frozen=True)
class Protocols:
    """Upstream's two clients of a storage server, connected to this node."""

    foolscap: Any
    gbs: Any


async def prove(
    reactor: Any,
    tub: Any,
    identity: NodeIdentity,
    nurls: set[Any],
    *,
    writes: bool = True,
) -> None:
    """Write and read; *tub* is a running Tub, *nurls* are the GBS addresses.

    Without *writes*, only read what an earlier start has written.

    Raises :class:`SelfTestFailed`, ``DeadlinePassed`` or what upstream's clients
    raise.
    """
    pool = HTTPConnectionPool(reactor)  # type: ignore[no-untyped-call]
    testing = Deferred.fromCoroutine(
        _connect_and_test(reactor, tub, pool, identity, nurls, writes=writes)
    )
    try:
        await with_deadline(reactor, TEST_TIMEOUT, "the self-test", testing)
    finally:
        await pool.closeCachedConnections()  # type: ignore[no-untyped-call]


async def _connect_and_test(
    reactor: Any,
    tub: Any,
    pool: Any,
    identity: NodeIdentity,
    nurls: set[Any],
    *,
    writes: bool,
) -> None:
    host, port = loopback(identity.storage)
    swissnum = identity.storage.swissnum.reveal()
    furl = f"pb://{identity.storage.tub_id}@tcp:{host}:{port}/{swissnum}"
    reference = await tub.getReference(furl)
    nurl = next(iter(nurls)).replace(host=host, port=port)
    factory = StorageClientFactory({"tcp": "tcp"}, None)
    client = await factory.create_storage_client(nurl, reactor, pool)
    protocols = Protocols(
        _StorageServer(lambda: reference), _HTTPStorageServer.from_http_client(client)
    )
    if writes:
        await prove_slot(protocols, identity)
    await prove_shares(protocols, identity, writes=writes)


async def prove_slot(protocols: Protocols, identity: NodeIdentity) -> None:
    """Make, change and empty a mutable slot; read each step over the other protocol."""
    slot = _slot_of(identity)
    left = await slot.read(protocols.foolscap)
    first, second = os.urandom(LENGTH), os.urandom(LENGTH)
    await slot.write(protocols.foolscap, left, first, "a slot is made over Foolscap")
    await slot.expect(protocols.gbs, first, "a slot is read over GBS")
    await slot.write(protocols.gbs, first, second, "a slot is changed over GBS")
    await slot.expect(protocols.foolscap, second, "a slot is read over Foolscap")
    await slot.write(protocols.foolscap, second, b"", "a slot is emptied over Foolscap")
    await slot.expect(protocols.gbs, b"", "an empty slot is read over GBS")


def _slot_of(identity: NodeIdentity) -> _Slot:
    derived = _derived(identity, "slot")
    return _Slot(derived(16), (derived(32), derived(32), derived(32)))


def _derived(identity: NodeIdentity, purpose: str) -> Callable[[int], bytes]:
    """Derive bytes that only this grid's hosts know, the same at each start."""
    seed = f"s4 self-test\0{purpose}\0{identity.lease_secret.reveal()}".encode()
    stream = BytesIO(hashlib.shake_256(seed).digest(256))
    return stream.read


async def prove_shares(
    protocols: Protocols, identity: NodeIdentity, *, writes: bool = True
) -> None:
    """Write an immutable share over each protocol, unless an earlier start did, and
    read it over the other.
    """
    ways = {"Foolscap": protocols.foolscap, "GBS": protocols.gbs}
    for way, server in ways.items():
        (other,) = (s for s in ways.values() if s is not server)
        derived = _derived(identity, way)
        share = _Share(derived(16), derived(LENGTH))
        if writes:
            await share.write(server, f"a share is written over {way}")
        await share.expect(other, f"a share written over {way} is read the other way")


@define(frozen=True)
class _Slot:
    storage_index: bytes
    secrets: tuple[bytes, bytes, bytes]

    async def write(self, server: Any, old: bytes, new: bytes, step: str) -> None:
        """Replace *old* by *new*; empty stands for no share."""
        # A test vector that reads one byte of a missing share reads nothing.
        tests = [(0, len(old) or 1, old)]
        writes = [(0, new)] if new else []
        done, _ = await server.slot_testv_and_readv_and_writev(
            self.storage_index, self.secrets, {SHARE: (tests, writes, len(new))}, []
        )
        _demand(done, step)

    async def read(self, server: Any) -> bytes:
        """Return the share's data, empty if there is no share."""
        found = await server.slot_readv(self.storage_index, [], [(0, LENGTH)])
        return b"".join(found.get(SHARE, []))

    async def expect(self, server: Any, data: bytes, step: str) -> None:
        _demand(await self.read(server) == data, step)


@define(frozen=True)
class _Share:
    storage_index: bytes
    data: bytes

    async def write(self, server: Any, step: str) -> None:
        there, writers = await server.allocate_buckets(
            self.storage_index,
            os.urandom(32),
            os.urandom(32),
            {SHARE},
            len(self.data),
            Referenceable(),
        )
        if SHARE in there:
            return
        _demand(SHARE in writers, step)
        await writers[SHARE].callRemote("write", 0, self.data)
        await writers[SHARE].callRemote("close")

    async def expect(self, server: Any, step: str) -> None:
        readers = await server.get_buckets(self.storage_index)
        _demand(SHARE in readers, step)
        found = await readers[SHARE].callRemote("read", 0, len(self.data))
        _demand(found == self.data, step)


def loopback(tub: TubIdentity) -> tuple[str, int]:
    """Return the address at which this process reaches its own Tub."""
    _, port, *options = tub.port.split(":")
    interfaces = [o.removeprefix("interface=") for o in options]
    return (interfaces[0] if interfaces else "127.0.0.1", int(port))


def _demand(held: object, step: str) -> None:
    if not held:
        raise SelfTestFailed(f"this step failed: {step}")
