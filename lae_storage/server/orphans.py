"""Chunk objects that no manifest names, left by a node that died while writing.

Only those are deleted that are older than a day by S3's own date, and that the slot's
manifest, read after the listing, does not name.  That is safe even beside a second
node: a chunk is named by the manifest written right after it or never, since no
request lives as long as a day (S3 refuses a signature of more than 15 minutes' age);
and a manifest that once ceased to name it never comes back, since its ETag does not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import groupby

from twisted.logger import Logger

from lae_storage.server import keys
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.slot_object import DamagedSlot
from lae_storage.server.slots import Slots

_log = Logger()
#: Seconds; see above.
AGE = 24 * 60 * 60

_Chunk = tuple[bytes, str]


async def sweep_orphans(bucket: OpenBucket, slots: Slots) -> int:
    """Walk all chunks, a page at a time; how many were deleted.

    Raises what S3 refuses; what was not reached then is found by the next sweep.
    """
    oldest_kept = bucket.fence.reactor.seconds() - AGE
    swept = 0
    async for storage_index, names in _old_by_slot(bucket, oldest_kept):
        bucket.fence.check()
        try:
            swept += await slots.collect(storage_index, names)
        except DamagedSlot:
            _log.error("a slot is damaged; its chunks are left: {si}", si=storage_index)
    if swept:
        _log.info("{swept} chunks that no slot names are deleted", swept=swept)
    return swept


async def _old_by_slot(
    bucket: OpenBucket, before: float
) -> AsyncIterator[tuple[bytes, set[str]]]:
    """Each slot's old chunks; a listing is in the order of keys, so by slots."""
    slot, names = b"", set[str]()
    async for page in _pages(bucket, before):
        for storage_index, chunks in groupby(page, key=lambda chunk: chunk[0]):
            if storage_index != slot:
                if names:
                    yield slot, names
                slot, names = storage_index, set()
            names.update(name for _, name in chunks)
    if names:
        yield slot, names


async def _pages(bucket: OpenBucket, before: float) -> AsyncIterator[list[_Chunk]]:
    after: str | None = None
    while True:
        page = await bucket.store.list_page(keys.CHUNKS, after)
        old = []
        for line in page.objects:
            try:
                if line.modified < before:
                    old.append(keys.read_chunk(line.key))
            except keys.ForeignKey:
                continue  # said when the index was read
        yield old
        after = page.after
        if after is None:
            return
