"""Check a bucket against the layout, and delete what no share needs."""

from __future__ import annotations

import hashlib
import json

from attrs import define, field

from lae_storage.offline.inventory import Inventory, lines, take_inventory
from lae_storage.s3.interface import IObjectStore, Listed, NotThere
from lae_storage.server import beginning, keys, lease, slot_object
from lae_storage.server.garbage import ORPHAN_AGE
from lae_storage.server.lease import read_first_lease
from lae_storage.server.multipart import part_size
from lae_storage.server.slot import Slot
from lae_storage.server.slot_object import DamagedSlot

PIECE = 8 * 1024 * 1024  # bytes of a share read with one request


@define
class Findings:
    """What a check found.  *problems* has a line for each defect: what is wrong, the
    key, and what to do.
    """

    immutable_shares: int = 0
    slots: int = 0
    tombstones: int = 0
    mutable_shares: int = 0
    chunks: int = 0
    orphans: int = 0
    leases: int = 0
    advisories: int = 0
    stored: int = 0
    problems: list[str] = field(factory=list)


async def check(store: IObjectStore, *, data: bool) -> Findings:
    """List the bucket and read what describes its shares; with *data*, the shares too.

    A node may write at the same time.  The check may then report a share that the node
    was changing; the next check does not.
    """
    inventory = await take_inventory(store)
    found = Findings(advisories=inventory.advisories, stored=inventory.stored)
    found.problems += [
        f"not an object of the layout, delete it if it is not yours: {key}"
        for key in inventory.foreign
    ]
    await _check_format(store, found)
    for name, line in inventory.immutable.items():
        await _check_immutable(store, name, line, inventory, found, data=data)
    for storage_index in inventory.leases:
        await _check_leases(store, storage_index, inventory, found)
    for storage_index in inventory.slots.keys() | inventory.chunks.keys():
        await _check_slot(store, storage_index, inventory, found, data=data)
    return found


async def _check_format(store: IObjectStore, found: Findings) -> None:
    try:
        document = json.loads((await store.get(keys.FORMAT_KEY)).data)
    except NotThere:
        found.problems.append(
            f"no {keys.FORMAT_KEY}: no node has opened this bucket; check its name"
        )
        return
    if document.get("format") != keys.FORMAT:
        found.problems.append(
            f"another format ({document.get('format')}, not {keys.FORMAT}): "
            "use the release that wrote the bucket"
        )


async def _check_immutable(
    store: IObjectStore,
    name: keys.ShareName,
    line: Listed,
    inventory: Inventory,
    found: Findings,
    *,
    data: bool,
) -> None:
    found.immutable_shares += 1
    if name.storage_index not in inventory.leases:
        head = await store.head(line.key)
        try:
            found.leases += 0 if head is None else len(read_first_lease(head.metadata))
        except (ValueError, TypeError):
            found.problems.append(f"the share's lease cannot be read: {line.key}")
    if data and not await _matches_etag(store, line):
        found.problems.append(
            f"not the bytes that were stored, restore an older version: {line.key}"
        )
    if (
        data
        and line.size > beginning.WHOLE
        and not await _beginning_matches(store, line)
    ):
        found.problems.append(
            f"the metadata has another beginning than the share: {line.key}"
        )


async def _beginning_matches(store: IObjectStore, line: Listed) -> bool:
    """Return whether the beginning in the metadata is the share's own."""
    got = await store.get(line.key, 0, beginning.SIZE)
    metadata = got.head.metadata
    if beginning.BEGINNING not in metadata:
        return True
    return beginning.read_beginning(metadata) == got.data


async def _matches_etag(store: IObjectStore, line: Listed) -> bool:
    """Return whether the bytes have the MD5 hash that the ETag is made from."""
    digest, _, parts = line.etag.strip('"').partition("-")
    size = part_size(line.size) if parts else max(line.size, 1)
    hashes = []
    for start in range(0, max(line.size, 1), size):
        one = hashlib.md5(usedforsecurity=False)
        for at in range(start, min(start + size, line.size), PIECE):
            stop = min(at + PIECE, start + size, line.size)
            one.update((await store.get(line.key, at, stop - at)).data)
        hashes.append(one)
    if not parts:
        return hashes[0].hexdigest() == digest
    whole = b"".join(one.digest() for one in hashes)
    return hashlib.md5(whole, usedforsecurity=False).hexdigest() == digest


async def _check_leases(
    store: IObjectStore, storage_index: bytes, inventory: Inventory, found: Findings
) -> None:
    key = keys.leases_key(storage_index)
    try:
        by_share = lease.decode((await store.get(key)).data)
    except (NotThere, ValueError, KeyError, TypeError):
        found.problems.append(
            f"the leases cannot be read, restore an older version: {key}"
        )
        return
    found.leases += sum(len(held) for held in by_share.values())
    for number in by_share:
        if keys.ShareName(storage_index, number) not in inventory.immutable:
            found.problems.append(
                f"leases of share {number}, which is not there: {key}"
            )


async def read_slot(store: IObjectStore, storage_index: bytes) -> Slot:
    """Return the slot as it is now; without an object, a slot without shares.

    Raises DamagedSlot.
    """
    try:
        got = await store.get(keys.slot_key(storage_index))
    except NotThere:
        return Slot()
    return slot_object.decode(got.data)[0]


async def _check_slot(
    store: IObjectStore,
    storage_index: bytes,
    inventory: Inventory,
    found: Findings,
    *,
    data: bool,
) -> None:
    key = keys.slot_key(storage_index)
    try:
        slot = await read_slot(store, storage_index)
    except DamagedSlot:
        found.problems.append(f"the slot is damaged, restore an older version: {key}")
        return
    if storage_index in inventory.slots:
        found.slots += bool(slot.shares)
        found.tombstones += not slot.shares
    found.mutable_shares += len(slot.shares)
    found.leases += sum(len(share.leases) for share in slot.shares.values())
    here = inventory.chunks.get(storage_index, {})
    found.chunks += len(here)
    found.orphans += len(here.keys() - slot.chunks())
    for share in slot.shares.values():
        for block in share.blocks:
            if block.chunk is None:
                continue
            line = here.get(block.chunk)
            if line is None or line.size != block.stored:
                found.problems.append(
                    f"chunk {block.chunk} of {key} is missing or has the wrong size"
                )
            elif data and not await _matches_name(store, line):
                found.problems.append(
                    "not the bytes that were stored, restore an older version: "
                    f"{line.key}"
                )


async def _matches_name(store: IObjectStore, line: Listed) -> bool:
    digest = hashlib.sha256((await store.get(line.key)).data).hexdigest()
    return line.key.endswith(f"-{digest[:32]}")


@define
class Repaired:
    """How many chunks and uploads a repair deleted."""

    orphans: int = 0
    uploads: int = 0


async def repair(store: IObjectStore, now: float) -> Repaired:
    """Delete chunks that no slot names, and unfinished uploads, older than a day.

    Safe while a node runs: see :mod:`lae_storage.server.garbage`.
    """
    done = Repaired()
    old: dict[bytes, set[str]] = {}
    async for line in lines(store, keys.CHUNKS):
        if line.modified < now - ORPHAN_AGE:
            try:
                storage_index, name = keys.read_chunk(line.key)
            except keys.ForeignKey:
                continue
            old.setdefault(storage_index, set()).add(name)
    for storage_index, names in old.items():
        try:
            named = (await read_slot(store, storage_index)).chunks()
        except DamagedSlot:
            continue
        for name in names - named:
            await store.delete(keys.chunk_key(storage_index, name))
            done.orphans += 1
    for upload in await store.list_uploads(keys.IMMUTABLE):
        if upload.begun < now - ORPHAN_AGE:
            await store.abort_upload(upload.key, upload.upload_id)
            done.uploads += 1
    return done
