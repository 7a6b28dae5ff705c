"""Garbage collection: chunks that no slot names, and shares whose leases have ended.

**Orphaned chunks** are left by a node that died while writing.  Only those are deleted
that are older than a day by S3's own date, and that the slot's manifest, read after the
listing, does not name.  That is safe even beside a second node: a chunk is named by the
manifest written right after it or never, since no request lives as long as a day (S3
refuses a signature of more than 15 minutes' age); and a manifest that once ceased to
name it never comes back, since its ETag does not.

**Shares without a lease** are deleted only if a policy is set: a share goes when it had
leases and the last of them ended the policy's days ago.  A mutable slot's share is
deleted as a client would do it, by a conditional write.  An immutable share's object
cannot be deleted on a condition that means something (the same bytes stored again have
the same ETag), and a DELETE may arrive late, so:

1. the lease object, replaced on its condition, marks the share as *gone*: a lease
   that another node adds meanwhile makes one of the two fail and look again; from here
   on no client is told that the share is here, and none may store it;
2. the object is deleted;
3. when no DELETE of ours can arrive any more, the mark is removed, and the share may be
   stored anew.

What a node leaves between these steps the next node takes up, when no request of the
dead one can arrive any more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import groupby

from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lae_storage.server import keys
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.caps import Caps
from lae_storage.server.lease import Leases
from lae_storage.server.leases import ImmutableLeases
from lae_storage.server.limits import Allowance
from lae_storage.server.slot_object import DamagedSlot
from lae_storage.server.slots import Slots

_log = Logger()
DAY = 24 * 60 * 60.0  # s
#: Orphaned chunks are older.
ORPHAN_AGE = DAY
#: No request lives longer: S3 refuses a signature of 15 minutes' age.
REQUEST_LIFETIME = 20 * 60.0  # s

_Chunk = tuple[bytes, str]


async def sweep_orphans(bucket: OpenBucket, slots: Slots) -> int:
    """Walk all chunks, a page at a time; how many were deleted.

    Raises what S3 refuses; what was not reached then is found by the next sweep.
    """
    before = bucket.fence.reactor.seconds() - ORPHAN_AGE
    swept = 0
    async for storage_index, names in _old_chunks_by_slot(bucket, before):
        bucket.fence.check()
        try:
            swept += await slots.delete_orphans(storage_index, names)
        except DamagedSlot:
            _log.error("a slot is damaged; its chunks are left: {si}", si=storage_index)
    if swept:
        _log.info("{swept} chunks that no slot names are deleted", swept=swept)
    return swept


async def _old_chunks_by_slot(
    bucket: OpenBucket, before: float
) -> AsyncIterator[tuple[bytes, set[str]]]:
    """Each slot's old chunks; a listing is in the order of keys, so by slots."""
    slot, names = b"", set[str]()
    async for page in _pages_of_old_chunks(bucket, before):
        for storage_index, chunks in groupby(page, key=lambda chunk: chunk[0]):
            if storage_index != slot:
                if names:
                    yield slot, names
                slot, names = storage_index, set()
            names.update(name for _, name in chunks)
    if names:
        yield slot, names


async def _pages_of_old_chunks(
    bucket: OpenBucket, before: float
) -> AsyncIterator[list[_Chunk]]:
    after: str | None = None
    while True:
        page = await bucket.store.list_page(keys.CHUNKS, after)
        old = []
        for line in page.objects:
            try:
                if line.modified < before:
                    old.append(keys.read_chunk(line.key))
            except keys.ForeignKey:
                continue  # logged when the index was read
        yield old
        after = page.after
        if after is None:
            return


@define(eq=False)
class Expiry:
    """Deletes shares whose leases ended *days* ago; with None no share.

    *clock* is that of the leases; *forget* is called with the key of each share that is
    deleted.
    """

    bucket: OpenBucket
    slots: Slots
    leases: ImmutableLeases
    allowance: Allowance
    caps: Caps
    clock: IReactorTime
    days: int | None
    forget: Callable[[str], None]

    async def collect(self) -> None:
        """Walk all shares once; raises what S3 refuses, for the next day's walk."""
        if self.days is None or self.allowance.suspended or self.caps.is_reached():
            # Where leases are refused, what has none is not unwanted.
            return
        before = self.clock.seconds() - self.days * DAY

        def have_ended(held: Leases) -> bool:
            return bool(held) and all(lease.expires < before for lease in held)

        mutable = 0
        for storage_index in list(self.bucket.index.slots()):
            self.bucket.fence.check()
            mutable += await self.slots.delete_ended(storage_index, have_ended)
        deleted = {}
        for storage_index in self.bucket.index.leased_or_immutable():
            self.bucket.fence.check()
            gone = await self._delete(storage_index, have_ended)
            if gone:
                deleted[storage_index] = gone
        _log.info(
            "collected: {mutable} mutable shares, {immutable} immutable",
            mutable=mutable,
            immutable=sum(len(gone) for gone in deleted.values()),
        )
        if deleted:
            await deferLater(self.bucket.fence.reactor, REQUEST_LIFETIME)
        for storage_index, gone in deleted.items():
            self.bucket.fence.check()
            await self.leases.unmark_gone(storage_index, gone)

    async def _delete(
        self, storage_index: bytes, have_ended: Callable[[Leases], bool]
    ) -> frozenset[int]:
        gone = await self.leases.mark_gone(storage_index, have_ended)
        for number in gone:
            key = keys.immutable_key(storage_index, number)
            self.forget(key)
            self.bucket.fence.check()
            await self.bucket.store.delete(key)
        return gone
