"""Names that lead elsewhere than to their host, and names that nobody needs.

Somebody may stop and start a host at AWS' console, AWS may move it, and somebody may
change a record: the address is another one then, and the old one may be given to a
stranger.  So the look that compares hosts compares addresses and records as well; what
is astray is journaled, and the signup's worker leads it right
(:class:`~lae_flapp.grid.goals.Lead`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define
from twisted.logger import Logger

from lae_flapp.grid import moves, requests
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import events, grid_names, hosts
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.hosts import HostRow
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.ids import SignupId
from lae_provision.doors import Host, HostKey

Names = Mapping[SignupId, str]


@define(frozen=True)
class Stray:
    """A ready host whose name does not lead to it.

    *known* is what the journal has, *shown* the host's address and *led* where its
    record leads, as far as the cloud shows any.
    """

    row: HostRow
    known: str
    shown: str | None
    led: str | None

    @property
    def why(self) -> str:
        """What is wrong, for an operator."""
        if self.shown is None:
            return f"it led to {self.known}; the host shows no public address"
        if self.shown != self.known:
            return f"it led to {self.known}; the host is at {self.shown}"
        return f"the host is at {self.shown}; the record says {self.led or 'nothing'}"


def names_astray(
    rows: Sequence[HostRow],
    listed: Sequence[Host],
    names: Names,
    records: Mapping[str, str],
) -> tuple[Stray, ...]:
    """Find the ready hosts that their names do not lead to.  Pure.

    A host that the list lacks is lost, which is another's business, and one whose
    address the journal does not know is being led right already.
    """
    shown = {host.instance_id: host.address for host in listed}
    found = []
    for row in rows:
        if row.state != "ready" or row.address is None or row.instance_id not in shown:
            continue
        name = names.get(row.signup_id)
        if name is None:
            continue
        stray = Stray(row, row.address, shown[row.instance_id], records.get(name))
        if not stray.known == stray.shown == stray.led:
            found.append(stray)
    return tuple(found)


class Leading:
    """Compares, and journals what is astray."""

    _log = Logger()

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._told: set[str] = set()

    async def look(self, rows: Sequence[HostRow], listed: Sequence[Host]) -> None:
        """Compare once; raises what the door raises."""
        names = await self._shop.journal.read(_names)
        records = await self._shop.addresses.list()
        for stray in names_astray(rows, listed, names, records):
            await self._lead(stray, names[stray.row.signup_id])
        led = set(names.values())
        for name in records:
            if name not in led and name not in self._told:
                await self._tell_if_needless(name, records[name])

    async def _lead(self, stray: Stray, name: str) -> None:
        shop, row = self._shop, stray.row
        # Lists may be a moment old: each is asked for by itself.
        key = HostKey(shop.deployment, row.signup_id, row.generation)
        host, led = await shop.hosts.find(key), await shop.addresses.find(name)
        if host is None or host.address == stray.known == led:
            return
        stray = Stray(row, stray.known, host.address, led)
        asked = (row.signup_id, row.generation, stray.known, stray.why)
        try:
            await shop.journal.write(moves.lose_address, *asked)
        except StateChanged:
            return
        self._log.warn(
            "the name of {signup_id} is led anew: {why}",
            signup_id=row.signup_id,
            why=stray.why,
        )

    async def _tell_if_needless(self, name: str, address: str) -> None:
        """A record of one of our grids that has no host any more: a person looks."""
        journal = self._shop.journal
        owner = await journal.read(_owner_without_host, name.partition(".")[0])
        if owner is None:
            return
        self._told.add(name)
        why = f"{name} leads to {address}"
        self._log.critical(
            "a record is left, and {signup_id} has no host: {why}",
            signup_id=owner,
            why=why,
        )
        await journal.write(events.note, owner, "stray-record", moves.WHO, why)


def _owner_without_host(tx: ReadTx, grid_label: str) -> SignupId | None:
    owner = grid_names.owner_of(tx, grid_label)
    return None if owner is None or hosts.live(tx, owner) is not None else owner


def _names(tx: ReadTx) -> dict[SignupId, str]:
    found = grid_names.of_live_hosts(tx)
    return {owner: requests.grid_name(*parts) for owner, parts in found.items()}
