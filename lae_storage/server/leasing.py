"""Leases of both kinds of shares, as clients ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define

from lae_storage.server.index import Index
from lae_storage.server.leases import Lease, added_or_renewed, renewed, upstreams
from lae_storage.server.share_leases import ByShare, ShareLeases
from lae_storage.server.slots import Slots


@define(eq=False)
class Leasing:
    """Leases of all shares of a storage index at once."""

    index: Index
    slots: Slots
    shares: ShareLeases
    nodeid: bytes

    async def add(self, storage_index: bytes, lease: Lease) -> None:
        """Add it, or renew the one with its secret, on all shares."""
        if self.index.immutable(storage_index):
            await self.add_to_immutable(storage_index, lease)
        if self.index.has_slot(storage_index):
            await self.slots.lease(storage_index, lambda held: _added(held, lease))

    async def add_to_immutable(self, storage_index: bytes, lease: Lease) -> None:
        """The same for immutable shares alone."""
        await self.shares.change(storage_index, lambda held: _added(held, lease))

    async def renew(self, storage_index: bytes, lease: Lease) -> None:
        """Renew the lease with its secret; raises IndexError where a share has none.

        The shares that have it are renewed all the same, as upstream does.
        """
        without: list[int] = []

        def renew(by_share: ByShare) -> ByShare:
            found = {
                n: renewed(h, lease.renew, lease.expires) for n, h in by_share.items()
            }
            without[:] = [n for n, held in found.items() if held is None]
            return {n: held or by_share[n] for n, held in found.items()}

        if self.index.immutable(storage_index):
            await self.shares.change(storage_index, renew)
        if self.index.has_slot(storage_index):
            await self.slots.lease(storage_index, renew)
        if without:
            raise IndexError("unable to renew non-existent lease")

    def of_first_immutable(self, storage_index: bytes) -> Iterator[Any]:
        """Of the first immutable share, as far as they are in memory."""
        by_share = self.shares.in_memory(storage_index)
        return iter(upstreams(next(iter(by_share.values()), ()), self.nodeid))

    def of_first_mutable(self, storage_index: bytes) -> Iterator[Any]:
        """Of the slot's first share, as far as they are in memory."""
        shares = self.slots.in_memory(storage_index).shares.values()
        leases = next((share.leases for share in shares), ())
        return iter(upstreams(leases, self.nodeid))

    async def of(self, storage_index: bytes) -> ByShare:
        """Of every share, read from the bucket where need be."""
        if self.index.has_slot(storage_index):
            slot = await self.slots.current(storage_index)
            return {n: share.leases for n, share in slot.shares.items()}
        return await self.shares.of(storage_index)


def _added(held: ByShare, lease: Lease) -> ByShare:
    return {n: added_or_renewed(leases, lease) for n, leases in held.items()}
