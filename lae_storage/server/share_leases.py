"""The leases of immutable shares, in the bucket beside them.

A share's first lease is in its object's own metadata, so that storing a small file is
one request.  Later ones are in one lease object per storage index, which then has all
leases of the shares it names; it is written on the condition of the ETag that was
read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, evolve, field

from lae_storage.s3.interface import Bytes, ConditionFailed, NotThere
from lae_storage.server import keys, leases
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.cache import MemoryCache
from lae_storage.server.concurrency import KeyedLock
from lae_storage.server.leases import Lease, Leases

#: The metadata's name of a share's first lease.
FIRST = "s4-lease"
#: Bytes of leases kept in memory, and what one takes there.
KEPT, ONE = 4 * 1024 * 1024, 400
#: Times that a second writer may come between reading and writing.
RACES = 4

ByShare = Mapping[int, Leases]


@define(frozen=True)
class Known:
    """The leases of all shares of a storage index, and the lease object's ETag; *gone*
    are shares that are being deleted: see :mod:`lae_storage.server.expiry`.
    """

    by_share: ByShare
    etag: str | None
    gone: frozenset[int] = frozenset()


def _weight(known: Known) -> int:
    return ONE * (1 + sum(len(held) for held in known.by_share.values()))


@define
class ShareLeases:
    """All leases of the immutable shares of a bucket."""

    bucket: OpenBucket
    _lock: KeyedLock = field(factory=KeyedLock)
    _known: MemoryCache[Known] = field(factory=lambda: MemoryCache(KEPT, _weight))

    def first(self, storage_index: bytes, number: int, lease: Lease) -> None:
        """A share was stored with this lease in its metadata."""
        known = self._known.get(storage_index)
        if known is None:
            if len(self.bucket.index.immutable(storage_index)) > 1:
                return
            if self.bucket.index.has_leases(storage_index):
                return
            known = Known({}, None)
        by_share = {**known.by_share, number: (lease,)}
        self._known.add(storage_index, evolve(known, by_share=by_share))

    def in_memory(self, storage_index: bytes) -> ByShare:
        """What is known without asking."""
        known = self._known.get(storage_index)
        return {} if known is None else known.by_share

    def forget(self) -> None:
        """Read again what another node may have changed."""
        self._known.clear()

    async def of(self, storage_index: bytes) -> ByShare:
        """The leases of every share of the storage index."""
        known = await self._lock.run(
            storage_index, lambda: self._current(storage_index)
        )
        return known.by_share

    async def change(
        self, storage_index: bytes, change: Callable[[ByShare], ByShare]
    ) -> None:
        """Replace the leases; in S3 when this is done."""
        await self._rewrite(
            storage_index, lambda known: evolve(known, by_share=change(known.by_share))
        )

    async def gone(self, storage_index: bytes) -> frozenset[int]:
        """The shares that are being deleted, and may not be stored yet."""
        if not self.bucket.index.has_leases(storage_index):
            return frozenset()
        known = await self._lock.run(
            storage_index, lambda: self._current(storage_index)
        )
        return known.gone

    async def condemn(
        self, storage_index: bytes, over: Callable[[Leases], bool]
    ) -> frozenset[int]:
        """Say that the shares whose leases are *over* are gone; all that are."""

        def change(known: Known) -> Known:
            gone = {n for n, held in known.by_share.items() if over(held)}
            left = {n: h for n, h in known.by_share.items() if n not in gone}
            return evolve(known, by_share=left, gone=known.gone | gone)

        condemned = await self._rewrite(storage_index, change)
        for number in condemned.gone:
            self.bucket.index.remove_immutable(storage_index, number)
        return condemned.gone

    async def bury(self, storage_index: bytes, gone: frozenset[int]) -> None:
        """These shares are deleted for certain: they may be stored anew."""
        await self._rewrite(
            storage_index, lambda known: evolve(known, gone=known.gone - gone)
        )

    async def _rewrite(
        self, storage_index: bytes, change: Callable[[Known], Known]
    ) -> Known:
        return await self._lock.run(
            storage_index, lambda: self._change_in_turn(storage_index, change)
        )

    async def _change_in_turn(
        self, storage_index: bytes, change: Callable[[Known], Known]
    ) -> Known:
        for _ in range(RACES):
            known = await self._current(storage_index)
            changed = change(known)
            if changed == known:
                return known
            token = self.bucket.token()
            body = Bytes(leases.encode(changed.by_share, token, changed.gone))
            try:
                written = await self.bucket.writer.put(
                    keys.leases_key(storage_index), body, known.etag
                )
            except ConditionFailed:
                self._known.drop(storage_index)
                self.bucket.index.add_leases(storage_index)
                continue
            except BaseException:
                self._known.drop(storage_index)
                self.bucket.index.add_leases(storage_index)
                raise
            self.bucket.index.add_leases(storage_index)
            changed = evolve(changed, etag=written.etag)
            self._known.add(storage_index, changed)
            return changed
        raise ConditionFailed("PreconditionFailed", "other writers keep coming between")

    async def _current(self, storage_index: bytes) -> Known:
        known = self._known.get(storage_index)
        if known is None:
            known = await self._load(storage_index)
            self._known.add(storage_index, known)
        return known

    async def _load(self, storage_index: bytes) -> Known:
        by_share: dict[int, Leases] = {}
        etag, gone = None, frozenset[int]()
        if self.bucket.index.has_leases(storage_index):
            try:
                got = await self.bucket.store.get(keys.leases_key(storage_index))
            except NotThere:
                pass  # a write that was not acknowledged did not happen
            else:
                by_share, etag = leases.decode(got.data), got.head.etag
                gone = leases.gone_of(got.data)
        for number in gone:
            self.bucket.index.remove_immutable(storage_index, number)
        for number in self.bucket.index.immutable(storage_index):
            if number not in by_share:
                by_share[number] = await self._first_of(storage_index, number)
        return Known(by_share, etag, gone)

    async def _first_of(self, storage_index: bytes, number: int) -> Leases:
        head = await self.bucket.store.head(keys.immutable_key(storage_index, number))
        text = head.metadata.get(FIRST) if head is not None else None
        return () if text is None else (Lease.of_metadata(text),)
