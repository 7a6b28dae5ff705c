"""Whether this journal is older than what was done from it.

Each daemon writes the number of its epoch into the state bucket, never over another.
Where the number is there already, an older copy of the journal was restored: then the
next number that nobody had is taken, for the epoch and for the generations of hosts,
so that no host is told apart wrongly and no announcement is older than one before.
"""

from __future__ import annotations

import os
import secrets
import socket

from twisted.logger import Logger

from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import events
from lae_flapp.journal.hosts import RESTORED
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import WriteTx
from lae_provision.doors import Sealed
from lae_provision.errors import AlreadyThere

WHO = "daemon"
#: So many numbers in a row that nobody has: lives that never reached the bucket leave
#: gaps.
GAP = 16
_TRIES = 8


def name_this_life() -> str:
    """What tells this life of the daemon from every other."""
    return f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(16)}"


class Lives:
    """Claims the number of this daemon's life; *name* differs from any other life's."""

    _log = Logger()

    def __init__(self, shop: Workshop, name: str) -> None:
        self._shop, self._name = shop, name
        self.claimed = False

    async def claim(self) -> None:
        """Claim the number once; raises what the vault raises."""
        journal: Journal = self._shop.journal
        number = journal.epoch
        for _ in range(_TRIES):
            if self.claimed:
                return
            try:
                await self._put(number)
            except AlreadyThere:
                number = await self._find_free_after(number)
                continue
            if number != journal.epoch:
                await journal.advance(number, _note_restored)
                self._log.critical(
                    "this journal was restored from an older backup: epoch {epoch}"
                    " follows, and what it does not know is looked for",
                    epoch=number,
                )
            self.claimed = True

    async def _put(self, number: int) -> None:
        shop, document = self._shop, Sealed(_key(number), self._name.encode())
        await shop.vault.put(document)

    async def _find_free_after(self, number: int) -> int:
        """Find the first of :data:`GAP` numbers in a row that nobody has."""
        last = at = number
        while at < last + GAP:
            at += 1
            if await self._is_taken(_key(at)):
                last = at
        return last + 1

    async def _is_taken(self, key: str) -> bool:
        shop = self._shop
        found: Sealed | None = await shop.vault.get(key)
        return found is not None


def _note_restored(tx: WriteTx, number: int) -> None:
    events.note(tx, None, RESTORED, WHO, str(number))


def _key(number: int) -> str:
    return f"lives/{number:09}"
