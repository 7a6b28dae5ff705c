"""Hosts that are gone although nobody ended them, and hosts that nobody knows.

A served customer's host may vanish at any time; their data lies in the bucket.  So the
cloud's own list is compared with the journal from time to time: what is lost is
replaced by the next generation under the same furl, what is stray is told, and a name
that does not lead to its host is led there (:mod:`.astray`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from twisted.logger import Logger

from lae_flapp.grid import moves
from lae_flapp.grid.astray import Leading
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import events, hosts
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.hosts import HostRow
from lae_flapp.journal.transaction import ReadTx
from lae_provision.doors import Host, HostKey


def lost(
    rows: Sequence[HostRow], listed: Sequence[Host], now: datetime, unseen: timedelta
) -> tuple[HostRow, ...]:
    """Tell which hosts that were ready are not in the cloud any more.  Pure.

    *unseen* is how long what is there may stay invisible.
    """
    there = {host.instance_id for host in listed}
    return tuple(
        row
        for row in rows
        if row.state == "ready"
        and row.instance_id not in there
        and now - row.changed_at >= unseen
    )


def strays(rows: Sequence[HostRow], listed: Sequence[Host]) -> tuple[Host, ...]:
    """Tell which hosts of the deployment belong to no row.  Pure."""
    known = {(row.signup_id, row.generation) for row in rows}
    return tuple(
        host
        for host in listed
        if (host.key.signup_id, host.key.generation) not in known
    )


class LostHosts:
    """Looks."""

    _log = Logger()

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._told: set[str] = set()
        self._leading = Leading(shop)
        #: Of the last look: instances that nobody knows, each with whose tags it has.
        self.strays: dict[str, str] = {}

    async def look(self) -> None:
        """Compare once; raises what the door raises."""
        shop = self._shop
        # The journal first: a host that is launched meanwhile is no stray.
        rows, now = await shop.journal.read(_rows)
        listed: tuple[Host, ...] = await shop.hosts.list(shop.deployment)
        if await self._take_in(strays(rows, listed)):
            rows, now = await shop.journal.read(_rows)
        unseen = timedelta(seconds=shop.limits.visibility)
        for row in lost(rows, listed, now, unseen):
            await self._replace(row)
        rows, _ = await shop.journal.read(_rows)
        unknown = strays(rows, listed)
        self.strays = {
            host.instance_id: f"{host.key.signup_id}, generation {host.key.generation}"
            for host in unknown
        }
        for host in unknown:
            await self._tell(host)
        await self._leading.look(rows, listed)

    async def _take_in(self, unknown: Sequence[Host]) -> bool:
        """Those of signups that we know are replaced like any other, the highest
        generation first: a backup was restored that is older than they are.
        """
        taken = False
        for host in sorted(unknown, key=lambda h: h.key.generation, reverse=True):
            signup_id = await self._shop.journal.write(moves.take_in, host)
            if signup_id is not None:
                taken = True
                self._log.error(
                    "the journal knew no {instance} of {signup_id}; it is replaced",
                    instance=host.instance_id,
                    signup_id=signup_id,
                )
        return taken

    async def _replace(self, row: HostRow) -> None:
        shop = self._shop
        key = HostKey(shop.deployment, row.signup_id, row.generation)
        # A list may leave one out; asked for by its own tags it must be missing too.
        found = await shop.hosts.find(key)
        if found is not None:
            return
        try:
            await shop.journal.write(moves.lose_host, row.signup_id, row.generation)
        except StateChanged:
            return
        self._log.error(
            "the host of {signup_id} is gone ({instance}); it is replaced",
            signup_id=row.signup_id,
            instance=row.instance_id,
        )

    async def _tell(self, host: Host) -> None:
        if host.instance_id in self._told:
            return
        self._told.add(host.instance_id)
        self._log.critical(
            "instance {instance} is tagged as ours for {signup_id}, generation"
            " {generation}, and the journal does not know it",
            instance=host.instance_id,
            signup_id=host.key.signup_id,
            generation=host.key.generation,
        )
        why = f"instance {host.instance_id}, generation {host.key.generation}"
        await self._shop.journal.write(events.note, None, "stray-host", moves.WHO, why)


def _rows(tx: ReadTx) -> tuple[tuple[HostRow, ...], datetime]:
    return hosts.all_live(tx), tx.now
