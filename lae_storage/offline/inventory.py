"""List a whole bucket and sort its objects by kind."""

from __future__ import annotations

from collections.abc import AsyncIterator

from attrs import define, field

from lae_storage.s3.interface import IObjectStore, Listed
from lae_storage.server import keys

#: Keys that stand once in each bucket.
_OWN = frozenset({keys.FORMAT_KEY, keys.EPOCH_KEY})


@define
class Inventory:
    """Every object of a bucket, by kind.  *chunks* are by slot and name, *foreign* are
    keys that the layout does not know, *stored* is the sum of bytes.
    """

    immutable: dict[keys.ShareName, Listed] = field(factory=dict)
    slots: dict[bytes, Listed] = field(factory=dict)
    chunks: dict[bytes, dict[str, Listed]] = field(factory=dict)
    leases: dict[bytes, Listed] = field(factory=dict)
    advisories: int = 0
    meters: int = 0
    foreign: list[str] = field(factory=list)
    stored: int = 0

    def take(self, line: Listed) -> None:
        """Add one object."""
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
    """Yield all objects, in the order of their keys."""
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
