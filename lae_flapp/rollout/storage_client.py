"""A client of a customer's storage, as far as a rollout needs one.

It writes, reads and deletes 64 bytes in a slot of its own, over Foolscap, at the
address that the customer's furl leads to.  What a client that died has left there, the
next one finds and deletes.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from lae_flapp.cell_settings import CellSettings
from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.journal import hosts, identities, signups
from lae_flapp.journal.hosts import HostRow
from lae_flapp.journal.identities import Identity
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.host_messages import NodeIdentity
from lae_protocol.ids import SignupId
from lae_protocol.process.deadline import with_deadline
from lae_protocol.process.passing import passing_certificate
from lae_protocol.process.tub import make_tub

#: All of it, from the journal to the last answer.
LONGEST = 20.0  # s
SHARE = 0
LENGTH = 64  # bytes


class ClientFailed(Exception):
    """The storage did not do what a client asked; the text names the step."""


@define(frozen=True)
class _Where:
    identity: Identity
    host: HostRow
    cell: str


@define(frozen=True)
class StorageClient:
    """Tries customers' storage; *make_tub* makes the Tub of one try."""

    clock: IReactorTime
    journal: Journal
    furls: CustomerFurls
    cells: Mapping[str, CellSettings]
    make_tub: Callable[[], Any] = lambda: make_tub(pem=passing_certificate())

    async def fails(self, signup_id: SignupId) -> str | None:
        """Say what a client could not do at this customer's storage; None: nothing."""
        trying = Deferred.fromCoroutine(self._try_at(signup_id))
        try:
            await with_deadline(self.clock, LONGEST, "a client", trying)
        except ClientFailed as e:
            return f"a client could not do this: {e}"
        except Exception as e:  # noqa: BLE001  (Foolscap and sockets raise many kinds)
            return f"a client failed: {type(e).__name__}"
        return None

    async def _try_at(self, signup_id: SignupId) -> None:
        where = await self.journal.read(_find, signup_id)
        identity = await self.furls.open(where.identity)
        tub = self.make_tub()
        tub.startService()
        try:
            furl = storage_furl(identity, self._address(where))
            await use_slot(await tub.getReference(furl), identity)
        finally:
            await tub.stopService()

    def _address(self, where: _Where) -> str | None:
        """Where its name leads; None where all hosts have one name."""
        cell = self.cells[where.cell]
        return None if cell.host_name is not None else where.host.address


def _find(tx: ReadTx, signup_id: SignupId) -> _Where:
    identity, host = identities.latest(tx, signup_id), hosts.live(tx, signup_id)
    if identity is None or host is None:
        raise ClientFailed("find the customer's host")
    return _Where(identity, host, signups.get(tx, signup_id).cell.name)


def storage_furl(identity: NodeIdentity, address: str | None) -> str:
    """The storage server's furl, with this address in the place of its name."""
    tub = identity.storage
    hint = tub.location
    if address is not None:
        hint = f"tcp:{address}:{hint.rpartition(':')[2]}"
    return f"pb://{tub.tub_id}@{hint}/{tub.swissnum.reveal()}"


async def use_slot(server: Any, identity: NodeIdentity) -> None:
    """Write a slot, read it, and delete it; raises :class:`ClientFailed`."""
    slot = _slot_of(server, identity)
    left, data = await slot.read(), secrets.token_bytes(LENGTH)
    await slot.write(left, data, "write")
    if await slot.read() != data:
        raise ClientFailed("read what was written")
    await slot.write(data, b"", "delete")


def _slot_of(server: Any, identity: NodeIdentity) -> _Slot:
    seed = f"s4 rollout\0{identity.lease_secret.reveal()}".encode()
    derived = BytesIO(hashlib.shake_256(seed).digest(16 + 3 * 32)).read
    return _Slot(server, derived(16), (derived(32), derived(32), derived(32)))


@define(frozen=True)
class _Slot:
    server: Any
    storage_index: bytes
    secrets: tuple[bytes, bytes, bytes]

    async def read(self) -> bytes:
        found = await self.server.callRemote(
            "slot_readv", self.storage_index, [], [(0, LENGTH)]
        )
        return b"".join(found.get(SHARE, []))

    async def write(self, old: bytes, new: bytes, step: str) -> None:
        """Replace *old* by *new*; empty is no share."""
        # A test vector that reads one byte of a missing share reads nothing.
        tests = [(0, len(old) or 1, b"eq", old)]
        writes = [(0, new)] if new else []
        vectors = {SHARE: (tests, writes, len(new))}
        done, _ = await self.server.callRemote(
            "slot_testv_and_readv_and_writev",
            self.storage_index,
            self.secrets,
            vectors,
            [],
        )
        if not done:
            raise ClientFailed(step)
