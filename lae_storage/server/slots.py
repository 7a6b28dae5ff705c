"""Mutable slots in the bucket: test-and-set on one object each.

A slot's object is written on the condition of the ETag that was read, while this
process holds the lock of the storage index.  So neither a second node nor a late
request of a dead one can undo an acknowledged write.  What is held in memory is what S3
acknowledged; it is forgotten when a write fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from lae_protocol.process.keyed_lock import KeyedLock
from lae_storage.s3.interface import Bytes, ConditionFailed, NotThere, StoreError
from lae_storage.server import keys, slot_object
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.cache import MemoryCache
from lae_storage.server.concurrency import run_parallel
from lae_storage.server.lease import Leases
from lae_storage.server.slot import (
    NOTHING,
    Block,
    Operation,
    Outcome,
    Read,
    Share,
    Slot,
    carry_out,
    chunks_of_operation,
    chunks_of_reads,
    read_all,
    with_leases,
)

T = TypeVar("T")
#: What an operation answers, and the slot to write (None: nothing to write).
_Decision = Awaitable[tuple[T, Slot | None]]
_log = Logger()
#: A slot whose shares have at most so much together is one object.
LARGEST_INLINE = 1024 * 1024  # bytes
#: Slots kept in memory.
SLOTS_CACHE = 16 * 1024 * 1024  # bytes
#: Chunks kept in memory.
CHUNKS_CACHE = 8 * 1024 * 1024  # bytes
#: Chunks sent or fetched at once for one operation.
CHUNKS_AT_ONCE = 4
#: Times that a second writer may come between reading and writing.
MOST_RACES = 4


@define(frozen=True)
class Held:
    """A slot as S3 has it; *size* is its object's, *etag* None where there is none."""

    slot: Slot
    etag: str | None
    size: int


def _memory_size(held: Held) -> int:
    return held.size + 1024


@define
class Slots:
    """All slots of a bucket; *growing* is how many bytes are being added to them."""

    bucket: OpenBucket
    nodeid: bytes
    growing: int = 0
    _lock: KeyedLock = field(factory=KeyedLock)
    _held: MemoryCache[Held] = field(
        factory=lambda: MemoryCache(SLOTS_CACHE, _memory_size)
    )
    _chunks: MemoryCache[bytes] = field(factory=lambda: MemoryCache(CHUNKS_CACHE, len))

    # -- reading ---------------------------------------------------------------

    async def current(self, storage_index: bytes) -> Slot:
        """The slot as it is now; without a request where there is no slot."""
        held = self._find_in_memory(storage_index)
        if held is None:
            held = await self._lock.run(
                storage_index, lambda: self._load(storage_index)
            )
        return held.slot

    def _find_in_memory(self, storage_index: bytes) -> Held | None:
        """What is known without asking S3; None where S3 must be asked."""
        if not self.bucket.fence.settled:
            # Another node may still be acknowledging writes.
            return None
        held = self._held.get(storage_index)
        if held is None and not self.bucket.index.has_slot(storage_index):
            return Held(NOTHING, None, 0)
        return held

    def forget(self) -> None:
        """Read again what another node may have changed."""
        self._held.clear()

    def in_memory(self, storage_index: bytes) -> Slot:
        """The slot as far as it is in memory."""
        held = self._held.get(storage_index)
        return NOTHING if held is None else held.slot

    async def read(
        self, storage_index: bytes, numbers: Iterable[int], reads: Iterable[Read]
    ) -> dict[int, list[bytes]]:
        """The ranges of those of these shares that are there, or of all shares."""
        asked, ranges = set(numbers), list(reads)
        for attempt in range(MOST_RACES):
            slot = await self.current(storage_index)
            found = [n for n in slot.shares if not asked or n in asked]
            try:
                loaded = await self._fetch(
                    storage_index, chunks_of_reads(slot, found, ranges)
                )
            except NotThere:
                # A write came between: its slot names other chunks.
                if attempt == MOST_RACES - 1:
                    raise
                continue
            return read_all(slot, found, ranges, loaded)
        raise AssertionError("unreachable")

    async def _load(self, storage_index: bytes) -> Held:
        held = self._find_in_memory(storage_index)
        if held is None:
            held = await self._reload(storage_index)
        return held

    async def _reload(self, storage_index: bytes) -> Held:
        """Read the object, whatever the index says."""
        settled = self.bucket.fence.settled
        try:
            got = await self.bucket.store.get(keys.slot_key(storage_index))
        except NotThere:
            held = Held(NOTHING, None, 0)
        else:
            slot, epoch = slot_object.decode(got.data)
            self.bucket.fence.note_epoch(epoch)
            held = Held(slot, got.head.etag, got.head.size)
        self._remember(storage_index, held, settled)
        return held

    def _remember(self, storage_index: bytes, held: Held, settled: bool) -> None:  # noqa: FBT001
        """Remember the slot, unless another node may have written it meanwhile."""
        if settled == self.bucket.fence.settled:
            self._held.add(storage_index, held)
        size = None
        if held.slot.shares:
            size = held.size + held.slot.chunk_bytes()
        self.bucket.index.set_slot(storage_index, size)

    # -- changing --------------------------------------------------------------

    async def operate(
        self,
        storage_index: bytes,
        operation: Operation,
        check_growth: Callable[[int, int], None],
    ) -> Outcome:
        """Test, read and write as one; S3 has the result when this is done.

        *check_growth* is called with how much larger the slot becomes, and how large;
        it raises NoSpace.
        """
        growth = 0

        async def decide(slot: Slot) -> tuple[Outcome, Slot | None]:
            nonlocal growth
            loaded = await self._fetch(
                storage_index, chunks_of_operation(slot, operation)
            )
            outcome = carry_out(slot, operation, loaded, self.nodeid)
            self.growing -= growth
            growth = 0
            if outcome.after is not None:
                size = outcome.after.size()
                more = max(0, size - slot.size())
                check_growth(more, size)
                growth = more
                self.growing += growth
            return outcome, outcome.after

        try:
            return await self._change(storage_index, decide)
        finally:
            self.growing -= growth

    async def change_leases(
        self,
        storage_index: bytes,
        change: Callable[[Mapping[int, Leases]], Mapping[int, Leases]],
    ) -> None:
        """Change the leases of the slot's shares."""

        async def decide(slot: Slot) -> tuple[None, Slot | None]:
            leases = {n: share.leases for n, share in slot.shares.items()}
            return None, with_leases(slot, change(leases))

        await self._change(storage_index, decide)

    async def delete_ended(
        self, storage_index: bytes, ended: Callable[[Leases], bool]
    ) -> int:
        """Delete the shares whose leases have *ended*; how many."""

        async def decide(slot: Slot) -> tuple[int, Slot | None]:
            left = {n: s for n, s in slot.shares.items() if not ended(s.leases)}
            if len(left) == len(slot.shares):
                return 0, None
            after = evolve(slot, generation=slot.generation + 1, shares=left)
            return len(slot.shares) - len(left), after

        return await self._change(storage_index, decide)

    async def _change(
        self, storage_index: bytes, decide: Callable[[Slot], _Decision[T]]
    ) -> T:
        return await self._lock.run(
            storage_index, lambda: self._change_locked(storage_index, decide)
        )

    async def _change_locked(
        self, storage_index: bytes, decide: Callable[[Slot], _Decision[T]]
    ) -> T:
        held = self._find_in_memory(storage_index)
        for _ in range(MOST_RACES):
            if held is None:
                held = await self._reload(storage_index)
            try:
                answer, after = await decide(held.slot)
                if after is None:
                    return answer
                await self._write(storage_index, held, after)
            except (ConditionFailed, NotThere):
                # Another node wrote (and swept), or a tombstone is there: decide
                # again, on what is there now.
                self._held.drop(storage_index)
                held = None
                continue
            except BaseException:
                # The write may have happened: the next operation reads the object.
                self._held.drop(storage_index)
                raise
            return answer
        raise ConditionFailed("PreconditionFailed", "other writers keep coming between")

    async def _write(self, storage_index: bytes, before: Held, after: Slot) -> None:
        stored = await self._send_chunks(storage_index, after)
        fresh = stored.chunks() - before.slot.chunks()
        settled = self.bucket.fence.settled
        body = slot_object.encode(stored, self.bucket.author())
        try:
            written = await self.bucket.writer.put(
                keys.slot_key(storage_index), Bytes(body), before.etag
            )
        except ConditionFailed:
            await self._delete_chunks(storage_index, fresh)
            raise
        self._remember(storage_index, Held(stored, written.etag, len(body)), settled)
        dropped = before.slot.chunks() - stored.chunks()
        blocks = (b for s in before.slot.shares.values() for b in s.blocks)
        older = sum(b.stored for b in blocks if b.chunk in dropped)
        self.bucket.meter.replaced += before.size + older
        self._delete_later(storage_index, dropped)

    # -- chunks ----------------------------------------------------------------

    async def _fetch(self, storage_index: bytes, names: set[str]) -> dict[str, bytes]:
        wanted = sorted(names)
        jobs = [partial(self._get_chunk, storage_index, name) for name in wanted]
        return dict(zip(wanted, await run_parallel(jobs, CHUNKS_AT_ONCE), strict=True))

    async def _get_chunk(self, storage_index: bytes, name: str) -> bytes:
        data = self._chunks.get(name)
        if data is None:
            got = await self.bucket.store.get(keys.chunk_key(storage_index, name))
            data = got.data
            self._chunks.add(name, data)
        return data

    async def _send_chunks(self, storage_index: bytes, slot: Slot) -> Slot:
        """The slot as it is to be stored: large ones with all blocks as chunks."""
        shares = slot.shares.values()
        if not slot.chunks() and sum(_memory_of(s) for s in shares) <= LARGEST_INLINE:
            return slot
        sending = []
        stored = {}
        for number, share in slot.shares.items():
            blocks = []
            for block in share.blocks:
                named = block
                if block.data is not None and block.size > 0:
                    data = block.data[: block.size]
                    digest = hashlib.sha256(data).hexdigest()[:32]
                    name = f"{self.bucket.token()}-{digest}"
                    named = Block(block.size, None, name, block.size)
                    sending.append(partial(self._send, storage_index, named, data))
                blocks.append(named)
            stored[number] = evolve(share, blocks=tuple(blocks))
        await run_parallel(sending, CHUNKS_AT_ONCE)
        return evolve(slot, shares=stored)

    async def _send(self, storage_index: bytes, block: Block, data: bytes) -> None:
        assert block.chunk is not None
        self._chunks.add(block.chunk, data)
        # No condition: the name is this write's own and says what the chunk holds.
        key = keys.chunk_key(storage_index, block.chunk)
        await self.bucket.store.put(key, Bytes(data), {})

    async def delete_orphans(self, storage_index: bytes, names: set[str]) -> int:
        """Delete those of the chunks *names* that the slot's object, read now, does not
        name; how many.
        """
        held = await self._lock.run(storage_index, lambda: self._reload(storage_index))
        orphans = names - held.slot.chunks()
        await self._delete_chunks(storage_index, orphans)
        return len(orphans)

    def _delete_later(self, storage_index: bytes, names: set[str]) -> None:
        """Delete chunks after the acknowledgement."""
        if names:
            Deferred.fromCoroutine(self._delete_chunks(storage_index, names))

    async def _delete_chunks(self, storage_index: bytes, names: set[str]) -> None:
        """Delete chunks that no manifest names; those that fail wait for the sweep."""
        for name in names:
            self._chunks.drop(name)
            try:
                await self.bucket.store.delete(keys.chunk_key(storage_index, name))
            except StoreError as e:
                _log.warn("a chunk is left for the sweep: {error}", error=e.code)


def _memory_of(share: Share) -> int:
    return sum(block.size for block in share.blocks)
