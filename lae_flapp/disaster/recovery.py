"""The machine that holds the journal is gone: its deployment goes on from here.

What is under way stands in the work folder before it is done, so that whatever ends the
command, the same command again goes on from there.  Until the end nothing of the
deployment's own folders is there; from the fence on the daemon of before is shut out.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import asdict, define, evolve
from twisted.internet.task import deferLater

from lae_flapp.backup.layout import Life
from lae_flapp.disaster.proving import Proof, prove
from lae_flapp.disaster.reasons import RecoveryElsewhere, TargetIsTaken
from lae_flapp.disaster.rebuilding import (
    Found,
    Rebuilt,
    Told,
    above,
    build,
    empty,
    find,
    moved,
    settings_of,
    write_file,
    write_files,
)
from lae_flapp.disaster.shelf import IShelf
from lae_flapp.journal import checking, restoring, sqlite
from lae_flapp.journal.errors import JournalError
from lae_flapp.journal.meta import home_of
from lae_flapp.journal.recoveries import RECOVERED
from lae_flapp.restored.fencing import LOOKS, fence_key
from lae_flapp.settings import DaemonSettings
from lae_protocol.secret import Secret
from lae_provision.doors import IVault, Sealed
from lae_provision.errors import AlreadyThere

#: Within the work folder: what is under way, and what is built.
_UNDER_WAY, _BUILT = "recovery.json", "built"
_TOKEN_BYTES = 16
#: The clocks of two machines run apart by so much, at most, within a minute.
_MARGIN = 5.0  # s


@define(frozen=True)
class UnderWay:
    """The number of this recovery, with what tells it from every other; *fenced_at* is
    when the state bucket had it (seconds since 1970).
    """

    deployment: str
    number: int
    token: str
    fenced_at: float | None = None

    def document(self) -> Sealed:
        """What the state bucket is given, which is the same at each try."""
        said = {"by": socket.gethostname(), "token": self.token}
        return Sealed(fence_key(self.number), json.dumps(said).encode())


@define(frozen=True)
class Recovered:
    """What was done; *proof* is None where only the end of it was left to do."""

    number: int
    settings: DaemonSettings
    proof: Proof | None


@define(frozen=True, kw_only=True)
class Recovery:
    """*vault_of* opens the state bucket that settings name; *life* is None for the
    newest.
    """

    reactor: Any
    shelf: IShelf
    key: Secret
    work: Path
    vault_of: Callable[[DaemonSettings], IVault]
    wall: Callable[[], float]
    told: Told
    life: Life | None = None

    async def look(self) -> Found:
        """Refuse whatever can be refused, and change nothing: the backup's life, the
        recovery key, and what is where the deployment's files would be.
        """
        found = await find(self.shelf, self.key, self.life)
        settings = told_settings(found)
        raise_if_taken(found, settings, self._under_way())
        return found

    async def run(self) -> Recovered:
        """1. Refuse (:meth:`look`); 2. write down what is under way; 3. the fence: the
        daemon of before ends; 4. wait until it can do nothing more, if it does not
        hear of that; 5. build what the backup has by now; 6. prove it; 7. the files,
        and last the journal take their places.

        Raises :class:`~lae_flapp.disaster.reasons.CannotRebuild` kinds.
        """
        self.told("what can be refused")
        settings = told_settings(await self.look())
        vault = self.vault_of(settings)
        under_way = self._under_way()
        if under_way is not None and number_in(settings.journal) == under_way.number:
            self._finish()
            return Recovered(under_way.number, settings, None)
        if under_way is None:
            self.told("the number of this recovery")
            under_way = await self._begin(vault)
        self.told("the fence")
        under_way = await self._fence(vault, under_way)
        self.told("until the daemon of before does nothing more")
        await self._wait(under_way, settings)
        folder = self.work / _BUILT
        empty(folder, keep=False)
        built = await build(self.shelf, self.key, folder, self.told, self.life)
        proof = await prove(self.reactor, built, self.key, vault, self.told)
        self.told("files")
        self._place_files(built)
        self.told("the journal")
        self._place_journal(built, under_way)
        self.told("the end")
        self._finish()
        return Recovered(under_way.number, settings, proof)

    def _under_way(self) -> UnderWay | None:
        path = self.work / _UNDER_WAY
        if not path.exists():
            return None
        under_way = UnderWay(**json.loads(path.read_text()))
        if under_way.deployment != self.shelf.deployment:
            raise TargetIsTaken(
                f"{self.work}: the recovery of {under_way.deployment} is under way"
            )
        return under_way

    async def _begin(self, vault: IVault) -> UnderWay:
        number = 1
        while await vault.get(fence_key(number)) is not None:
            number += 1
        made = UnderWay(self.shelf.deployment, number, secrets.token_hex(_TOKEN_BYTES))
        self._write(made)
        return made

    async def _fence(self, vault: IVault, under_way: UnderWay) -> UnderWay:
        try:
            await vault.put(under_way.document())
        except AlreadyThere:
            (self.work / _UNDER_WAY).unlink()
            raise RecoveryElsewhere(
                f"another machine has recovered {under_way.deployment}, or does so:"
                f" recovery {under_way.number}"
            ) from None
        if under_way.fenced_at is None:
            under_way = evolve(under_way, fenced_at=self.wall())
            self._write(under_way)
        return under_way

    async def _wait(self, under_way: UnderWay, settings: DaemonSettings) -> None:
        assert under_way.fenced_at is not None
        good_for = LOOKS * settings.patience.watch + _MARGIN
        left = under_way.fenced_at + good_for - self.wall()
        await deferLater(self.reactor, min(max(0.0, left), good_for))

    def _place_files(self, built: Rebuilt) -> None:
        for file in built.found.files:
            if not file.path.exists():
                write_file(file.path, file)

    def _place_journal(self, built: Rebuilt, under_way: UnderWay) -> None:
        settings = built.settings_as_told
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        restoring.restore(
            settings.journal,
            built.settings.journal,
            home_of(settings),
            now=datetime.fromtimestamp(self.wall(), UTC),
            progress=lambda _, __: None,
            recovery=under_way.number,
        )

    def _finish(self) -> None:
        """Remove the second copy of all, and then what says that it is under way."""
        empty(self.work / _BUILT, keep=False)
        (self.work / _UNDER_WAY).unlink(missing_ok=True)
        empty(self.work, keep=False)

    def _write(self, under_way: UnderWay) -> None:
        self.work.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.work.chmod(0o700)
        path = self.work / _UNDER_WAY
        partial = path.with_name(path.name + ".new")
        partial.write_text(json.dumps(asdict(under_way)))
        sqlite.sync(partial)
        partial.replace(path)
        sqlite.sync(self.work)


def told_settings(found: Found) -> DaemonSettings:
    """Read the settings among the keepsakes, and leave nothing of them on the disk."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(os.path.realpath(name))
        write_files(folder, found.files)
        settings = settings_of(found, folder)
        return moved(settings, lambda path: above(folder, path))


def raise_if_taken(
    found: Found, settings: DaemonSettings, under_way: UnderWay | None
) -> None:
    """Raise :class:`TargetIsTaken` where another deployment's files would be replaced,
    or this one's by older ones.
    """
    for file in found.files:
        if file.path.exists() and file.path.read_bytes() != file.body:
            raise TargetIsTaken(
                f"{file.path} is there, and is another than the backup's"
            )
    journal = settings.journal
    ours = under_way is not None and number_in(journal) == under_way.number
    if journal.exists() and not ours:
        raise TargetIsTaken(
            f"there is a journal {journal}: this machine is not the one to recover on"
        )


def number_in(journal: Path) -> int:
    """The number of the last recovery that a journal's file knows; 0 for none."""
    if not journal.exists():
        return 0
    try:
        with checking.reading(journal) as db:
            query = "SELECT why FROM events WHERE kind = ? ORDER BY number DESC LIMIT 1"
            row = db.execute(query, (RECOVERED,)).fetchone()
    except JournalError:
        return 0
    return 0 if row is None else int(row[0])
