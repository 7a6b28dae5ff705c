"""A daemon's folder and settings, with no daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.journal import cells, contacts, events, signups
from lae_flapp.journal.cells import Cell
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.meta import Home
from lae_flapp.journal.signups import Agreement
from lae_flapp.journal.threads import SameThread
from lae_protocol.ids import OwnerSecret, new_grid_label, signup_id_of_form
from lae_protocol.process.command import main
from lae_protocol.process.resources import config_folder
from tests.twins.ground import PLAN
from tests.twins.journal import answer

HOME = Home("production", "s4-prod", "123456789012", "live")
CELL = Cell("one", "s4-prod", "123456789012", "eu-west-1", "eu-west-1a", "g.example")


@define
class Place:
    """The daemon's machine."""

    folder: Path

    @property
    def settings(self) -> Path:
        return self.folder / "daemon.yaml"

    @property
    def journal(self) -> Path:
        return self.folder / "state" / "journal" / "journal.sqlite"

    def open(self, home: Home = HOME) -> Journal:
        """What a daemon has open."""
        self.journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        clock = Clock()
        clock.advance(1_795_000_000)
        opened = Journal(self.journal, home, clock, SameThread())
        answer(Deferred.fromCoroutine(opened.open()))
        return opened

    def close(self, journal: Journal) -> None:
        answer(Deferred.fromCoroutine(journal.close()))

    def fill(self, count: int = 3, home: Home = HOME) -> None:
        """A journal of so many registrations, and no daemon."""
        journal = self.open(home)
        for number in range(count):
            answer(journal.write(register, number))
        self.close(journal)

    def lae(self, *arguments: object, stdin: str | None = None) -> Result:
        """Run it, without a reactor."""
        told = CliRunner().invoke(
            main,
            [str(a) for a in arguments],
            input=stdin,
            env={"S4_DAEMON_CONFIG": str(self.settings), "HOME": str(self.folder)},
        )
        assert told.exception is None or isinstance(told.exception, SystemExit), (
            told.exception
        )
        return told

    def json(self, *arguments: object, code: int = 0) -> Any:
        told = self.lae(*arguments, "--json")
        assert told.exit_code == code, told.output
        content = json.loads(told.stdout)
        assert content.pop("version") == 1
        return content


def register(tx: Any, number: int) -> None:
    cells.put(tx, CELL)
    signup_id = signup_id_of_form(f"form {number}".encode())
    signups.register(
        tx,
        signup_id,
        OwnerSecret(f"secret {number}" * 5),
        grid_label=new_grid_label(),
        cell=CELL,
        agreement=Agreement(PLAN, tx.now, "en"),
    )
    contacts.put(tx, signup_id, f"{number}@example.org", f"{number}@example.org")
    events.note(tx, signup_id, "noted", "test")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A machine with the shipped example as its settings."""
    made = Place(tmp_path / "machine")
    made.folder.mkdir()
    text = (config_folder() / "daemon.example.yaml").read_text("utf-8")
    state = made.folder / "state"
    state.mkdir(mode=0o700)
    text = text.replace("/var/lib/s4", str(state)).replace("/etc/s4", str(made.folder))
    made.settings.write_text(text, "utf-8")
    return made
