"""Export a bucket's shares to upstream's share files, and import such files."""

from __future__ import annotations

from pathlib import Path

from attrs import define, field

from lae_storage.offline.checking import read_slot
from lae_storage.offline.inventory import Inventory, take_inventory
from lae_storage.offline.upstream_files import (
    Found,
    NotAShare,
    find,
    mark_as_node,
    new_immutable,
    new_mutable,
    new_share_file,
    open_share,
)
from lae_storage.s3.interface import IObjectStore
from lae_storage.server import keys, lease
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.keys import ShareName
from lae_storage.server.lease import Leases, read_first_lease
from lae_storage.server.leases import ImmutableLeases
from lae_storage.server.slot import BLOCK, Operation, Share, Slot
from lae_storage.server.slots import Slots
from lae_storage.server.spool import Spool
from lae_storage.server.upload import Upload

PIECE = 8 * 1024 * 1024  # bytes of a share in memory at once


@define
class Moved:
    """How many shares an export or import wrote; *problems* has a line for each share
    that it left out.
    """

    immutable: int = 0
    mutable: int = 0
    problems: list[str] = field(factory=list)


# -- out of the bucket -----------------------------------------------------------


async def export(store: IObjectStore, folder: Path, nodeid: bytes) -> Moved:
    """Write every share under *folder*, for the node with the TubID *nodeid*.

    A share file that exists stays as it is and is reported as a problem.  A share that
    an earlier export began and did not finish is written again.
    """
    inventory, moved = await take_inventory(store), Moved()
    mark_as_node(folder)
    for name in inventory.immutable:
        try:
            await _export_immutable(store, folder, name, inventory)
        except FileExistsError as e:
            moved.problems.append(_exists(e))
        else:
            moved.immutable += 1
    for storage_index in inventory.slots:
        slot = await read_slot(store, storage_index)
        for number, share in slot.shares.items():
            name = ShareName(storage_index, number)
            try:
                await _export_mutable(store, folder, name, slot, share, nodeid)
            except FileExistsError as e:
                moved.problems.append(_exists(e))
            else:
                moved.mutable += 1
    return moved


def _exists(error: FileExistsError) -> str:
    return f"the file exists and was left as it is: {error.filename or error}"


async def _export_immutable(
    store: IObjectStore, folder: Path, name: ShareName, inventory: Inventory
) -> None:
    line = inventory.immutable[name]
    held = await _leases_of(store, name, inventory)
    with (
        new_share_file(folder, name) as path,
        new_immutable(path, line.size, held) as file,
    ):
        for at in range(0, line.size, PIECE):
            file.write((await store.get(line.key, at, PIECE)).data)


async def _leases_of(
    store: IObjectStore, name: ShareName, inventory: Inventory
) -> Leases:
    if name.storage_index in inventory.leases:
        got = await store.get(keys.leases_key(name.storage_index))
        held = lease.decode(got.data).get(name.share_number)
        if held is not None:
            return held
    head = await store.head(inventory.immutable[name].key)
    return () if head is None else read_first_lease(head.metadata)


async def _export_mutable(  # noqa: PLR0917  (all that a container is made of)
    store: IObjectStore,
    folder: Path,
    name: ShareName,
    slot: Slot,
    share: Share,
    nodeid: bytes,
) -> None:
    with new_share_file(folder, name) as path:
        container = new_mutable(path, nodeid, slot.write_enabler, share.leases)
        for at, block in enumerate(share.blocks):
            if block.data is not None:
                data = block.data[: block.size]
            else:
                assert block.chunk is not None
                key = keys.chunk_key(name.storage_index, block.chunk)
                data = (await store.get(key)).data[: block.size]
            if data:
                container.writev([(at * BLOCK, data)], None)
        if container.get_length() < share.length:
            # Holes at the end read as zeros.
            container.writev([(share.length - 1, b"\0")], None)


# -- into the bucket -------------------------------------------------------------


@define
class Importing:
    """Stores upstream's share files in an open bucket; *folder* buffers large shares.

    Opening the bucket takes a new epoch, which fences a node that still runs.
    """

    bucket: OpenBucket
    folder: Path
    moved: Moved = field(factory=Moved)
    _slots: Slots = field(init=False)
    _leases: ImmutableLeases = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._slots = Slots(self.bucket, b"")
        self._leases = ImmutableLeases(self.bucket)

    async def import_from(self, node: Path) -> Moved:
        """Store every share of the folder *node* that is not in the bucket yet."""
        for path in find(node):
            try:
                found = open_share(path)
            except NotAShare:
                self.moved.problems.append(f"not a share file, or damaged: {path}")
                continue
            if found.write_enabler is None:
                await self._immutable(found)
            else:
                await self._mutable(found, found.write_enabler)
        return self.moved

    async def _immutable(self, found: Found) -> None:
        si, number = found.name.storage_index, found.name.share_number
        if number in self.bucket.index.immutable(si):
            return
        key = keys.immutable_key(si, number)
        spool = Spool(found.length, self.folder)
        first = found.leases[0].to_metadata() if found.leases else {}
        upload = Upload(self.bucket, key, spool, first)
        try:
            for at in range(0, found.length, PIECE):
                spool.write(at, found.read(at, PIECE))
                upload.send_received()
                await upload.wait_for_s3()
            await upload.finish()
        finally:
            spool.close()
        self.bucket.index.add_immutable(si, number, found.length)
        self.moved.immutable += 1
        if len(found.leases) > 1:
            held = found.leases
            await self._leases.change(si, lambda by: {**by, number: held})

    async def _mutable(self, found: Found, write_enabler: bytes) -> None:
        si, number = found.name.storage_index, found.name.share_number
        share = (await self._slots.current(si)).shares.get(number)
        # Leases are written last, so a share without leases is an unfinished import.
        if share is not None and (share.leases or share.length >= found.length):
            return
        for at in range(0, max(found.length, 1), PIECE):
            writes = [(at, found.read(at, PIECE))]
            operation = Operation({number: ([], writes, None)}, (), write_enabler, None)
            await self._slots.operate(si, operation, lambda *_: None)
        held = found.leases
        await self._slots.change_leases(si, lambda by: {**by, number: held})
        self.moved.mutable += 1
