"""Leases in the bucket: of immutable shares beside them, of mutable ones in the slot.

An immutable share's first lease is in its object's own metadata, so that storing a
small file is one request.  Later leases are in one lease object per storage index,
which then has all leases of the shares that it names; it is written on the condition
of the ETag that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import define, evolve, field

from lae_protocol.process.keyed_lock import KeyedLock
from lae_storage.s3.interface import Bytes, ConditionFailed, NotThere
from lae_storage.server import keys, lease
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.cache import MemoryCache
from lae_storage.server.lease import (
    Lease,
    Leases,
    add_or_renew,
    read_first_lease,
    renew,
)
from lae_storage.server.slots import Slots

#: Leases kept in memory.
CACHE_SIZE = 4 * 1024 * 1024  # bytes
#: What one lease takes there.
LEASE_SIZE = 400  # bytes
#: Times that a second writer may come between reading and writing.
MOST_RACES = 4

ByShare = Mapping[int, Leases]


@define(frozen=True)
class LeaseObject:
    """The leases of all immutable shares of a storage index, and the object's ETag.

    *gone* are shares that are being deleted: see :mod:`lae_storage.server.expiry`.
    """

    by_share: ByShare
    etag: str | None
    gone: frozenset[int] = frozenset()

    def size(self) -> int:
        """The bytes that this takes in memory."""
        return LEASE_SIZE * (1 + sum(len(held) for held in self.by_share.values()))


@define
class ImmutableLeases:
    """All leases of the immutable shares of a bucket."""

    bucket: OpenBucket
    _lock: KeyedLock = field(factory=KeyedLock)
    _known: MemoryCache[LeaseObject] = field(
        factory=lambda: MemoryCache(CACHE_SIZE, LeaseObject.size)
    )

    def add_first(self, storage_index: bytes, number: int, first: Lease) -> None:
        """Take note of a share that was stored with this lease in its metadata."""
        known = self._known.get(storage_index)
        if known is None:
            if len(self.bucket.index.immutable(storage_index)) > 1:
                return
            if self.bucket.index.has_leases(storage_index):
                return
            known = LeaseObject({}, None)
        by_share = {**known.by_share, number: (first,)}
        self._known.add(storage_index, evolve(known, by_share=by_share))

    def in_memory(self, storage_index: bytes) -> ByShare:
        """The leases that are known without asking S3."""
        known = self._known.get(storage_index)
        return {} if known is None else known.by_share

    def forget(self) -> None:
        """Read again what another node may have changed."""
        self._known.clear()

    async def of(self, storage_index: bytes) -> ByShare:
        """The leases of every share of the storage index."""
        return (await self._read(storage_index)).by_share

    async def change(
        self, storage_index: bytes, change: Callable[[ByShare], ByShare]
    ) -> None:
        """Replace the leases; in S3 when this is done."""
        await self._change(
            storage_index, lambda known: evolve(known, by_share=change(known.by_share))
        )

    # -- shares that are being deleted -----------------------------------------

    async def gone(self, storage_index: bytes) -> frozenset[int]:
        """The shares that are being deleted, and may not be stored yet."""
        if not self.bucket.index.has_leases(storage_index):
            return frozenset()
        return (await self._read(storage_index)).gone

    async def mark_gone(
        self, storage_index: bytes, ended: Callable[[Leases], bool]
    ) -> frozenset[int]:
        """Mark the shares whose leases have *ended* as gone; all that are marked."""

        def mark(known: LeaseObject) -> LeaseObject:
            gone = {n for n, held in known.by_share.items() if ended(held)}
            left = {n: h for n, h in known.by_share.items() if n not in gone}
            return evolve(known, by_share=left, gone=known.gone | gone)

        marked = await self._change(storage_index, mark)
        for number in marked.gone:
            self.bucket.index.remove_immutable(storage_index, number)
        return marked.gone

    async def unmark_gone(self, storage_index: bytes, gone: frozenset[int]) -> None:
        """Allow that these shares, which are deleted for certain, are stored anew."""
        await self._change(
            storage_index, lambda known: evolve(known, gone=known.gone - gone)
        )

    # -- reading and writing lease objects -------------------------------------

    async def _change(
        self, storage_index: bytes, change: Callable[[LeaseObject], LeaseObject]
    ) -> LeaseObject:
        return await self._lock.run(
            storage_index, lambda: self._change_locked(storage_index, change)
        )

    async def _change_locked(
        self, storage_index: bytes, change: Callable[[LeaseObject], LeaseObject]
    ) -> LeaseObject:
        for _ in range(MOST_RACES):
            known = await self._read_locked(storage_index)
            changed = change(known)
            if changed == known:
                return known
            try:
                return await self._write(storage_index, known, changed)
            except ConditionFailed:
                continue
        raise ConditionFailed("PreconditionFailed", "other writers keep coming between")

    async def _write(
        self, storage_index: bytes, known: LeaseObject, changed: LeaseObject
    ) -> LeaseObject:
        token = self.bucket.token()
        body = Bytes(lease.encode(changed.by_share, token, changed.gone))
        index = self.bucket.index
        before = index.lease_size(storage_index)
        try:
            written = await self.bucket.writer.put(
                keys.leases_key(storage_index), body, known.etag
            )
        except BaseException:
            self._known.drop(storage_index)
            raise
        finally:
            index.add_leases(storage_index, body.size())
            self.bucket.meter.replaced += before
        changed = evolve(changed, etag=written.etag)
        if self._known.get(storage_index) is known:
            self._known.add(storage_index, changed)
        else:
            # Another share was stored meanwhile, whose lease is in its own metadata.
            self._known.drop(storage_index)
        return changed

    async def _read(self, storage_index: bytes) -> LeaseObject:
        return await self._lock.run(
            storage_index, lambda: self._read_locked(storage_index)
        )

    async def _read_locked(self, storage_index: bytes) -> LeaseObject:
        known = self._known.get(storage_index)
        if known is None:
            known = await self._load(storage_index)
            self._known.add(storage_index, known)
        return known

    async def _load(self, storage_index: bytes) -> LeaseObject:
        by_share: dict[int, Leases] = {}
        etag, gone = None, frozenset[int]()
        if self.bucket.index.has_leases(storage_index):
            try:
                got = await self.bucket.store.get(keys.leases_key(storage_index))
            except NotThere:
                pass  # a write that was not acknowledged did not happen
            else:
                by_share, etag = lease.decode(got.data), got.head.etag
                gone = lease.decode_gone(got.data)
        for number in gone:
            self.bucket.index.remove_immutable(storage_index, number)
        for number in self.bucket.index.immutable(storage_index):
            if number not in by_share:
                key = keys.immutable_key(storage_index, number)
                head = await self.bucket.store.head(key)
                by_share[number] = (
                    () if head is None else read_first_lease(head.metadata)
                )
        return LeaseObject(by_share, etag, gone)


@define(eq=False)
class AllLeases:
    """Leases of both kinds of shares, as clients ask for them: by storage index."""

    immutable: ImmutableLeases
    slots: Slots
    nodeid: bytes

    async def add(self, storage_index: bytes, new: Lease) -> None:
        """Add the lease, or renew the one with its secret, on all shares."""
        await self.add_to_immutable(storage_index, new)
        if self.slots.bucket.index.has_slot(storage_index):
            await self.slots.change_leases(storage_index, lambda held: _add(held, new))

    async def add_to_immutable(self, storage_index: bytes, new: Lease) -> None:
        """Add or renew the lease on immutable shares alone."""
        if self.immutable.bucket.index.immutable(storage_index):
            await self.immutable.change(storage_index, lambda held: _add(held, new))

    async def renew(self, storage_index: bytes, new: Lease) -> None:
        """Renew the lease with the secret of *new*.

        Raises IndexError where a share has no such lease; the shares that have one are
        renewed all the same, as upstream does.
        """
        without: list[int] = []

        def renew_all(by_share: ByShare) -> ByShare:
            found = {n: renew(h, new.renew, new.expires) for n, h in by_share.items()}
            without[:] = [n for n, held in found.items() if held is None]
            return {n: held or by_share[n] for n, held in found.items()}

        if self.immutable.bucket.index.immutable(storage_index):
            await self.immutable.change(storage_index, renew_all)
        if self.slots.bucket.index.has_slot(storage_index):
            await self.slots.change_leases(storage_index, renew_all)
        if without:
            raise IndexError("unable to renew non-existent lease")

    def of_first_immutable(self, storage_index: bytes) -> Iterator[Any]:
        """Those of the first immutable share, as far as they are in memory."""
        by_share = self.immutable.in_memory(storage_index)
        return self._to_upstream(next(iter(by_share.values()), ()))

    def of_first_mutable(self, storage_index: bytes) -> Iterator[Any]:
        """Those of the slot's first share, as far as they are in memory."""
        shares = self.slots.in_memory(storage_index).shares.values()
        return self._to_upstream(next((share.leases for share in shares), ()))

    def _to_upstream(self, leases: Leases) -> Iterator[Any]:
        return (one.to_upstream(self.nodeid) for one in leases)

    async def of(self, storage_index: bytes) -> ByShare:
        """Those of every share, read from the bucket where need be."""
        if self.slots.bucket.index.has_slot(storage_index):
            slot = await self.slots.current(storage_index)
            return {n: share.leases for n, share in slot.shares.items()}
        return await self.immutable.of(storage_index)


def _add(held: ByShare, new: Lease) -> ByShare:
    return {n: add_or_renew(leases, new) for n, leases in held.items()}
