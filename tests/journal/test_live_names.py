"""What a Tub knows of furls without a look-up is what the journal says."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lae_flapp.journal import hosts, live_names, operators
from lae_flapp.journal.errors import JournalError
from lae_flapp.journal.hosts import MOVES
from lae_protocol.ids import Generation
from lae_protocol.secret import Secret
from tests.journal.conftest import Desk

GENERATIONS = st.integers(1, 3).map(Generation)
NUMBERS = st.integers(1, 2)
PEOPLE = st.sampled_from(["ann", "ben"])


class LiveNames(RuleBasedStateMachine):
    """Hosts and operators come and go; a write that fails changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self.desk = Desk(Path(self._folder.name) / "journal")
        self.signup = self.desk.register("a").signup_id

    def teardown(self) -> None:
        self.desk.close()
        self._folder.cleanup()

    def _write(self, *work) -> None:
        with suppress(JournalError):
            self.desk.write(*work)

    @rule()
    def begin(self) -> None:
        self._write(hosts.begin, self.signup)

    @rule(generation=GENERATIONS, to=st.sampled_from(sorted(MOVES)))
    def move(self, generation: Generation, to) -> None:
        frm = {state for state in MOVES if to in MOVES[state]}
        self._write(hosts.move, self.signup, generation, frm, to)

    @rule(generation=GENERATIONS, number=NUMBERS)
    def launch(self, generation: Generation, number: int) -> None:
        name = Secret(f"b-{generation}-{number}")

        def launched(tx) -> None:
            until = tx.now + timedelta(hours=1)
            hosts.issue_bootstrap(tx, self.signup, generation, name, until)

        self._write(launched)

    @rule(generation=GENERATIONS, number=NUMBERS)
    def claim(self, generation: Generation, number: int) -> None:
        name = Secret(f"h-{generation}-{number}")
        self._write(hosts.issue_furl, self.signup, generation, name, b"sealed")

    @rule(person=PEOPLE, number=NUMBERS)
    def invite(self, person: str, number: int) -> None:
        name = Secret(f"o-{person}-{number}")
        self._write(operators.add, person, name, "operator:ann")

    @rule(person=PEOPLE, number=NUMBERS)
    def install(self, person: str, number: int) -> None:
        name = Secret(f"o-{person}-{number}")
        self._write(operators.install, person, name, "daemon")

    @rule(person=PEOPLE, number=NUMBERS)
    def rotate(self, person: str, number: int) -> None:
        name = Secret(f"o-{person}-{number}")
        self._write(operators.renew, person, name, "operator:ann")

    @rule(person=PEOPLE)
    def revoke(self, person: str) -> None:
        self._write(operators.revoke, person, "operator:ann")

    @invariant()
    def the_tub_knows_what_the_journal_says(self) -> None:
        assert self.desk.journal._live_names == self.desk.read(live_names.read)


TestLiveNames = LiveNames.TestCase
TestLiveNames.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None
)


def test_a_journal_that_is_opened_again_knows_its_names(desk) -> None:
    """After a restart the furls that were given before are known at once."""
    desk.write(operators.add, "ann", Secret("o-ann"), "daemon")
    desk.close()
    again = Desk(desk.folder, desk.clock)
    assert again.journal.is_live(Secret("o-ann"))
    assert not again.journal.is_live(Secret("o-ben"))
    again.close()
