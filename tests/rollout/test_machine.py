"""Whatever happens to a rollout in whatever order, what must always be true is true.

Hypothesis plays programs, hosts, operators, time, and the daemon's deaths.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import select

from lae_flapp.journal import rollouts
from lae_flapp.journal.errors import ForbiddenMove, RolloutOpen, StateChanged
from lae_flapp.journal.rollouts import OPEN, ROLLOUT_HOSTS, RolloutHost
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.process.crash import on_crash_point
from tests.rollout.conftest import MEMORY
from tests.rollout.fleet import NEW, OLD, Died, Fleet, TwinProgram, reference
from tests.twins.ground import CELL

NEWER = reference("newer")
HOSTS = 6
CANARIES = 2


class Rollouts(RuleBasedStateMachine):
    """Six hosts, two programs that may be good or bad."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="s4-rollouts-", dir=MEMORY))
        self.fleet = Fleet(self.folder / "journal")
        self.fleet.start()
        for _ in range(HOSTS):
            self.fleet.add_host()
        self.dies = self.floor = 0
        on_crash_point(self._strike)

    def teardown(self) -> None:
        """All ends well: hosts are up, nothing dies, and the rollout comes to its end."""
        self.dies = 0
        for host in self.fleet.hosts.values():
            host.down = False
        if self.fleet.rollout is not None:
            self._let_it_end()
        on_crash_point(None)
        self.fleet.stop()
        shutil.rmtree(self.folder)

    def _let_it_end(self) -> None:
        if self.fleet.rollout.state == "paused":
            self._move("going", {"paused"})
        for _ in range(120):
            if self.fleet.rollout.state not in OPEN:
                break
            self.fleet.turn()
        assert self.fleet.rollout.state not in OPEN
        # What was told last is heard, and done.
        self.fleet.turn()
        self.fleet.turn()
        finished = self.fleet.read(rollouts.newest_finished, CELL.name)
        if self.fleet.rollout.state == "finished":
            proved = [r for r in self.fleet.rows() if r.outcome == "proved"]
            runs = {h.signup_id: h.program for h in self.fleet.hosts.values()}
            assert all(runs[row.signup_id] == finished.image for row in proved)
        else:
            assert all(
                self.fleet.hosts[row.signup_id].program == row.before
                for row in self.fleet.rows()
            )

    def _strike(self, _: str) -> None:
        if self.dies:
            self.dies -= 1
            raise Died

    @initialize(starts=st.booleans(), serves=st.booleans(), proves=st.booleans())
    def publish(self, *, starts: bool, serves: bool, proves: bool) -> None:
        """The first program may be bad in any way; the newer one is good."""
        self.fleet.programs[NEW] = TwinProgram(2, starts, proves, serves)
        self.fleet.programs[NEWER] = TwinProgram(3)

    @rule(image=st.sampled_from([NEW, NEWER, OLD]), step=st.sampled_from([20, 50]))
    def begin(self, image: str, step: int) -> None:
        """An operator starts one; a second one is refused."""
        before = self.fleet.rollout
        is_open = before is not None and before.state in OPEN
        try:
            self.fleet.begin(image, canaries=CANARIES, step=step)
        except RolloutOpen:
            assert is_open
        else:
            assert not is_open

    @precondition(lambda self: self.fleet.rollout is not None)
    @rule(to=st.sampled_from(["paused", "going", "going-back"]))
    def steer(self, to: str) -> None:
        """An operator moves it, if it can be moved so."""
        with suppress(ForbiddenMove, StateChanged):
            self._move(to, {self.fleet.rollout.state})

    def _move(self, to: str, frm: set[str]) -> None:
        number = self.fleet.rollout.number
        self.fleet.write(rollouts.move, number, frm, to, who="operator ann", why="so")

    @rule(turns=st.integers(1, 4))
    def wait(self, turns: int) -> None:
        """Minutes pass."""
        for _ in range(turns):
            self.fleet.turn()

    @rule(deaths=st.integers(1, 2))
    def die(self, deaths: int) -> None:
        """The daemon will die at its next crash points."""
        self.dies = deaths

    @rule(number=st.integers(0, HOSTS - 1))
    def fall_silent(self, number: int) -> None:
        """A host's machine is down, or up again."""
        host = list(self.fleet.hosts.values())[number]
        host.down = not host.down

    @invariant()
    def a_bad_program_runs_on_canaries_alone(self) -> None:
        """No host but the canaries of its rollouts ever ran a program that is bad."""
        program = self.fleet.programs.get(NEW)
        if program is None or (program.starts and program.serves and program.proves):
            return
        canaries = {r.signup_id for r in self.fleet.read(_every_row) if r.step == 0}
        ran = {h.signup_id for h in self.fleet.hosts.values() if NEW in h.ran}
        assert ran <= canaries

    @invariant()
    def the_floor_never_falls(self) -> None:
        """The floor is the highest release that was finished, and only rises."""
        floor = self.fleet.read(rollouts.floor_of, CELL.name)
        assert floor >= self.floor
        self.floor = floor


def _every_row(tx: ReadTx) -> tuple[RolloutHost, ...]:
    return tuple(RolloutHost(*row) for row in tx.all(select(ROLLOUT_HOSTS)))


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(
    max_examples=12,
    stateful_step_count=12,
    suppress_health_check=list(HealthCheck),
)
