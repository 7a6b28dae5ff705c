"""The index of what is in the bucket, in memory: read at start, updated by each write.

Reading asks the index and never lists the bucket.  Rows are packed, so that a share
takes about 200 bytes of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from struct import Struct

from attrs import define, field
from twisted.logger import Logger

from lae_storage.s3.interface import IObjectStore, Listed
from lae_storage.server import keys
from lae_storage.server.concurrency import run_parallel
from lae_storage.server.slot import LONGEST_TOMBSTONE

_ROW = Struct(">QQ")
_log = Logger()


@define
class Index:
    """Shares by storage index, and how many bytes they add in the bucket."""

    _immutable: dict[bytes, bytes] = field(factory=dict)
    _slots: dict[bytes, int] = field(factory=dict)
    _leases: dict[bytes, int] = field(factory=dict)
    stored: int = 0
    #: What all lease objects take.
    lease_bytes: int = 0
    shares: int = 0
    #: How often an immutable share was added.
    additions: int = 0
    advisories: int = 0

    # -- immutable shares ------------------------------------------------------

    def immutable(self, storage_index: bytes) -> dict[int, int]:
        """The numbers of the shares, and the lengths of their data."""
        packed = self._immutable.get(storage_index, b"")
        return dict(_ROW.iter_unpack(packed))

    def add_immutable(self, storage_index: bytes, number: int, length: int) -> None:
        """Add a share that is in the bucket; one that is known already stays."""
        packed = self._immutable.get(storage_index, b"")
        if any(n == number for n, _ in _ROW.iter_unpack(packed)):
            return
        self._immutable[storage_index] = packed + _ROW.pack(number, length)
        self.stored += length
        self.shares += 1
        self.additions += 1

    def remove_immutable(self, storage_index: bytes, number: int) -> None:
        """Remove a share that is gone, if it is known."""
        held = self.immutable(storage_index)
        length = held.pop(number, None)
        if length is None:
            return
        self.stored -= length
        self.shares -= 1
        if held:
            packed = b"".join(_ROW.pack(n, size) for n, size in held.items())
            self._immutable[storage_index] = packed
        else:
            del self._immutable[storage_index]

    # -- mutable slots ---------------------------------------------------------

    def has_slot(self, storage_index: bytes) -> bool:
        """Whether there is a slot with shares."""
        return storage_index in self._slots

    def set_slot(self, storage_index: bytes, size: int | None) -> None:
        """Set a slot's bytes in the bucket; None when its last share is gone."""
        self.stored -= self._slots.pop(storage_index, 0)
        if size is not None:
            self._slots[storage_index] = size
            self.stored += size

    def grow_slot(self, storage_index: bytes, size: int) -> None:
        """Add a chunk's bytes to its slot's."""
        if storage_index in self._slots:
            self._slots[storage_index] += size
            self.stored += size

    # -- leases ----------------------------------------------------------------

    def has_leases(self, storage_index: bytes) -> bool:
        """Whether there is a lease object beside the immutable shares."""
        return storage_index in self._leases

    def add_leases(self, storage_index: bytes, size: int) -> None:
        """Note that a lease object of this size is in the bucket."""
        self.lease_bytes += size - self._leases.get(storage_index, 0)
        self._leases[storage_index] = size

    def lease_size(self, storage_index: bytes) -> int:
        """What the lease object takes; 0 where there is none."""
        return self._leases.get(storage_index, 0)

    def leased_or_immutable(self) -> set[bytes]:
        """The storage indexes that have immutable shares or a lease object."""
        return self._leases.keys() | self._immutable.keys()

    # -- all -------------------------------------------------------------------

    def __bool__(self) -> bool:
        return bool(self._immutable or self._slots)

    def buckets(self) -> int:
        """How many storage indexes have shares."""
        return len(self._immutable) + len(self._slots)

    def slots(self) -> Iterator[bytes]:
        """The storage indexes of all slots."""
        return iter(self._slots)


def _add_immutable(index: Index, line: Listed) -> None:
    name = keys.read_immutable(line.key)
    index.add_immutable(name.storage_index, name.share_number, line.size)


def _add_slot(index: Index, line: Listed) -> None:
    # A tombstone is shorter than any slot, so that a listing tells them apart.
    if line.size > LONGEST_TOMBSTONE:
        index.set_slot(keys.read_slot(line.key), line.size)


def _add_leases(index: Index, line: Listed) -> None:
    index.add_leases(keys.read_leases(line.key), line.size)


def _add_chunk(index: Index, line: Listed) -> None:
    index.grow_slot(keys.read_chunk(line.key)[0], line.size)


def _add_advisory(index: Index, _: Listed) -> None:
    index.advisories += 1


Add = Callable[[Index, Listed], None]


async def _add_listed(store: IObjectStore, index: Index, prefix: str, add: Add) -> None:
    after: str | None = None
    while True:
        page = await store.list_page(prefix, after)
        for line in page.objects:
            try:
                add(index, line)
            except keys.ForeignKey:
                _log.warn("an object that is not of our layout: {key}", key=line.key)
        after = page.after
        if after is None:
            return


async def read_again(store: IObjectStore, index: Index) -> None:
    """Add what is in the bucket and not yet in the index.

    The chunks of a slot that is new in the index are counted when the slot is read.
    """

    def add_slot_if_new(index: Index, line: Listed) -> None:
        if not index.has_slot(keys.read_slot(line.key)):
            _add_slot(index, line)

    for prefix, add in (
        (keys.IMMUTABLE, _add_immutable),
        (keys.MUTABLE, add_slot_if_new),
        (keys.LEASES, _add_leases),
    ):
        await _add_listed(store, index, prefix, add)


async def read_index(store: IObjectStore) -> Index:
    """List the bucket in pages, slots before their chunks."""
    index = Index()
    kinds: list[tuple[str, Add]] = [
        (keys.IMMUTABLE, _add_immutable),
        (keys.MUTABLE, _add_slot),
        (keys.LEASES, _add_leases),
        (keys.ADVISORIES, _add_advisory),
    ]
    jobs = [partial(_add_listed, store, index, prefix, add) for prefix, add in kinds]
    await run_parallel(jobs, len(jobs))
    await _add_listed(store, index, keys.CHUNKS, _add_chunk)
    return index
