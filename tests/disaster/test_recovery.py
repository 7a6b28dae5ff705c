"""The machine is gone: what its backup has is proved, and goes on elsewhere."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyrage
import pytest
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from lae_flapp.disaster import recovery
from lae_flapp.disaster.proving import prove
from lae_flapp.disaster.reasons import (
    CannotRebuild,
    NotProved,
    RecoveryElsewhere,
    TargetIsTaken,
    WrongRecoveryKey,
)
from lae_flapp.disaster.rebuilding import build
from lae_flapp.disaster.recovery import Recovery, number_in
from lae_flapp.disaster.shelf import FolderShelf
from lae_flapp.journal import checking
from lae_flapp.restored.fencing import LOOKS, fence_key
from lae_provision.doors import Sealed
from tests.disaster.ground import HOME, DictVault, Machine, tree

#: `patience.watch` of the settings.
WATCH = 15


class Stopped(BaseException):
    """The command ends here, as by kill -9."""


async def nothing_to_prove(*_: Any) -> None:
    """It changes nothing, and takes long."""


class Elsewhere(TestCase):
    """Another machine, and what is left of the first one."""

    @pytest.fixture(autouse=True)
    def _given(self, machine: Machine, life: Any, tmp_path: Path, monkeypatch) -> None:
        self.life, self.folder = life, tmp_path
        # The machine's own paths must become free: a copy that can be lost.
        self.machine = evolve(machine, folder=tmp_path / "machine", vault=DictVault())
        self.machine.install()
        self.machine.fill()
        shutil.rmtree(self.machine.bucket)
        self.life = self.machine.back_up()
        self.waited: list[float] = []
        self.now = 1_800_000_000.0

        def passing(_: Any, seconds: float) -> Any:
            self.waited.append(seconds)
            self.now += seconds
            return deferLater(reactor, 0)

        self.monkeypatch = monkeypatch
        monkeypatch.setattr(recovery, "deferLater", passing)

    @property
    def shelf(self) -> FolderShelf:
        return FolderShelf(self.machine.bucket, HOME.deployment)

    async def build(self) -> Any:
        into = self.folder / "into"
        return await build(self.shelf, self.machine.recovery_key, into, lambda _: None)

    def recovery(self, told: Any = lambda _: None, work: str = "work") -> Recovery:
        return Recovery(
            reactor=reactor,
            shelf=self.shelf,
            key=self.machine.recovery_key,
            work=self.folder / work,
            vault_of=lambda _: self.machine.vault,
            wall=lambda: self.now,
            told=told,
        )

    def lose_the_machine(self) -> dict[str, bytes | None]:
        files = {str(f.path): f.body for f in self.machine.files()}
        shutil.rmtree(self.machine.folder)
        return files

    def assert_as_it_was(self, files: dict[str, Any]) -> None:
        for path, body in files.items():
            self.assertEqual(Path(path).read_bytes(), body, path)
        found = checking.check(self.machine.journal, HOME, lambda _, __: None)
        self.assertEqual((found.problems, found.signups), ((), 3))
        self.assertFalse((self.folder / "work").exists())

    async def test_recovered(self) -> None:
        """On an empty machine everything is where it was; the daemon of before is shut
        out first, and waited for as long as it may still work.
        """
        said: list[str] = []
        files = self.lose_the_machine()
        done = await self.recovery(said.append).run()
        self.assertEqual((done.number, done.proof.heard), (1, 3))
        self.assert_as_it_was(files)
        self.assertEqual(self.machine.vault.written, [fence_key(1)])
        self.assertGreaterEqual(sum(self.waited), LOOKS * WATCH)
        self.assertLess(said.index("the fence"), said.index("the journal"))
        self.assertEqual(number_in(self.machine.journal), 1)

    async def test_proved(self) -> None:
        """The keys of each grid are opened, and compared with the state bucket; each
        host is heard over its own furl; nothing is written to the state bucket, nor to
        what was built.
        """
        built = await self.build()
        before = tree(built.folder)
        vault = self.machine.vault
        proof = await prove(
            reactor, built, self.machine.recovery_key, vault, lambda _: None
        )
        self.assertEqual(
            (proof.signups, proof.grids, proof.compared, proof.hosts, proof.heard),
            (3, 3, 3, 3, 3),
        )
        self.assertEqual(tree(built.folder), before)
        self.assertEqual(vault.written, [])

    async def test_not_proved(self) -> None:
        """A certificate that the furls do not name, keys of another grid, a document in
        the state bucket that is another, and a key that opens no host's furl: each is
        told, with whose it is.
        """
        built = await self.build()
        state = built.settings.state
        one, two, three = self.machine.vault.held
        spoilt = [
            (
                "front-desk.furl names another certificate",
                lambda: shutil.copy(state / "hosts.pem", state / "private.pem"),
            ),
            (
                "operator.furl or private.pem is missing",
                (state / "operator.furl").unlink,
            ),
            (
                "is not in the state bucket",
                lambda: self.machine.vault.held.update({one: Sealed(one, b"x")}),
            ),
            (
                "has the keys of another grid",
                lambda: self.change(
                    built.settings.journal,
                    "UPDATE signups SET grid_label = 'zzzzzzzzzzzzzzzz' WHERE signup_id ="
                    f" '{two.split('/')[1]}'",
                ),
            ),
            (
                "is not opened by the recovery key",
                lambda: self.change(
                    built.settings.journal,
                    "UPDATE identities SET sealed = '{}' WHERE signup_id ="
                    f" '{three.split('/')[1]}'",
                ),
            ),
            (
                "would not be heard",
                lambda: self.change(
                    built.settings.journal, "UPDATE hosts SET furl_hash = signup_id"
                ),
            ),
        ]
        for words, spoil in spoilt:
            spoil()
            with pytest.raises(NotProved) as refused:
                await prove(
                    reactor,
                    built,
                    self.machine.recovery_key,
                    self.machine.vault,
                    lambda _: None,
                )
            self.assertIn(words, str(refused.value))

    def change(self, path: Path, statement: str) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(statement)

    async def test_ended_at_every_step(self) -> None:
        """Ended at any step, the same command again finishes it, under the same number,
        and the machine is as it was.
        """
        said: list[str] = []
        files = self.lose_the_machine()
        self.monkeypatch.setattr(recovery, "prove", nothing_to_prove)
        await self.recovery(said.append).run()
        for number, step in enumerate(said):
            shutil.rmtree(self.machine.folder)
            self.machine.vault.written.clear()
            self.machine.vault.held = {
                key: held
                for key, held in self.machine.vault.held.items()
                if not key.startswith("recoveries/")
            }
            told: list[str] = []

            def stop(what: str, told: list[str] = told, at: int = number) -> None:
                told.append(what)
                if len(told) == at + 1:
                    raise Stopped

            with pytest.raises(Stopped):
                await self.recovery(stop).run()
            self.assertEqual(told[-1], step)
            done = await self.recovery().run()
            self.assertEqual(done.number, 1)
            self.assertLessEqual(set(self.machine.vault.written), {fence_key(1)})
            self.assert_as_it_was(files)

    async def test_refused_with_nothing_changed(self) -> None:
        """A wrong recovery key, a machine that has a journal, and one whose files are
        others: refused before the fence, and nothing is changed.
        """
        before = tree(self.folder)
        with pytest.raises(TargetIsTaken, match="there is a journal"):
            await self.recovery().run()
        self.assertEqual(tree(self.folder), before)
        self.lose_the_machine()
        self.machine.state.mkdir(parents=True)
        (self.machine.state / "hosts.pem").write_text("another")
        with pytest.raises(TargetIsTaken, match="another than the backup's"):
            await self.recovery().run()
        shutil.rmtree(self.machine.folder)
        self.machine.key = pyrage.x25519.Identity.generate()
        before = tree(self.folder)
        with pytest.raises(WrongRecoveryKey):
            await self.recovery().run()
        self.assertEqual(tree(self.folder), before)
        self.assertEqual(self.machine.vault.written, [])

    async def test_two_machines_at_once(self) -> None:
        """Of two machines that recover at once, one has the number, and the other one
        is told so; a recovery that is begun after that one has the next number.
        """
        self.lose_the_machine()

        def other(what: str) -> None:
            if what == "the fence":
                key = fence_key(1)
                self.machine.vault.held[key] = Sealed(key, b"another machine")

        with pytest.raises(RecoveryElsewhere):
            await self.recovery(other).run()
        self.assertFalse(self.machine.folder.exists())
        done = await self.recovery().run()
        self.assertEqual((done.number, number_in(self.machine.journal)), (2, 2))

    async def test_a_work_folder_of_another_deployment(self) -> None:
        """What is under way for another deployment is not gone on with."""
        self.lose_the_machine()

        def stop(what: str) -> None:
            if what == "the fence":
                raise Stopped

        with pytest.raises(Stopped):
            await self.recovery(stop).run()
        path = self.folder / "work" / "recovery.json"
        path.write_text(path.read_text().replace(HOME.deployment, "s4-other"))
        with pytest.raises(CannotRebuild) as refused:
            await self.recovery().run()
        self.assertEqual(refused.value.name, "target-taken")
