"""What is in a bucket: a walk over all of it, which changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

from attrs import define, field

from lae_storage.s3.interface import IObjectStore, Listed
from lae_storage.server import keys

#: Names of the layout's own objects.
_OWN = frozenset({keys.FORMAT_KEY, keys.EPOCH_KEY})


@define
class Inventory:
    """Every object by its kind.  *chunks* by slot and name."""

    immutable: dict[keys.ShareName, Listed] = field(factory=dict)
    slots: dict[bytes, Listed] = field(factory=dict)
    chunks: dict[bytes, dict[str, Listed]] = field(factory=dict)
    leases: dict[bytes, Listed] = field(factory=dict)
    advisories: int = 0
    meters: int = 0
    foreign: list[str] = field(factory=list)
    stored: int = 0

    def take(self, line: Listed) -> None:
        """Count one object."""
        self.stored += line.size
        try:
            self._sort(line)
        except keys.ForeignKey:
            self.foreign.append(line.key)

    def _sort(self, line: Listed) -> None:
        key = line.key
        if key.startswith(keys.IMMUTABLE):
            self.immutable[keys.read_immutable(key)] = line
        elif key.startswith(keys.MUTABLE):
            self.slots[keys.read_slot(key)] = line
        elif key.startswith(keys.CHUNKS):
            storage_index, name = keys.read_chunk(key)
            self.chunks.setdefault(storage_index, {})[name] = line
        elif key.startswith(keys.LEASES):
            self.leases[keys.read_leases(key)] = line
        elif key.startswith(keys.ADVISORIES):
            self.advisories += 1
        elif key.startswith(keys.METER):
            self.meters += 1
        elif key not in _OWN:
            raise keys.ForeignKey(key)


async def lines(store: IObjectStore, prefix: str = "") -> AsyncIterator[Listed]:
    """All objects, in the order of their keys."""
    after: str | None = None
    while True:
        page = await store.list_page(prefix, after)
        for line in page.objects:
            yield line
        after = page.after
        if after is None:
            return


async def take_inventory(store: IObjectStore) -> Inventory:
    """List the whole bucket."""
    inventory = Inventory()
    async for line in lines(store):
        inventory.take(line)
    return inventory
