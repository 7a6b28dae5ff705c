"""A fleet of customers' hosts in memory: real journal, real desk, real worker; the
hosts report, judge what they are told as a root unit does, and outlive the daemon.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.desk.hosts import HostDesk, HostFacet
from lae_flapp.journal import (
    cells,
    contacts,
    hosts,
    rollout_hosts,
    rollouts,
    signups,
)
from lae_flapp.journal.hosts import HOSTS
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.rollouts import RolloutHost, RolloutRow
from lae_flapp.journal.secrets import hash_of
from lae_flapp.journal.signups import Agreement
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.rollout.rolling import RolloutWorker
from lae_protocol.host_messages import Desired, Report
from lae_protocol.ids import (
    Generation,
    OwnerSecret,
    SignupId,
    new_grid_label,
    signup_id_of_form,
)
from lae_protocol.process.answer import Answering
from lae_protocol.remote import HOST
from lae_protocol.secret import Secret
from tests.twins.asking import ask
from tests.twins.ground import CELL, PLAN, START
from tests.twins.identities import MemorySealer
from tests.twins.journal import answer, open_journal

REPOSITORY = "registry.example/s4test/node"
#: What each host runs in its first life.
FIRST_RELEASE = 1


def reference(name: str, repository: str = REPOSITORY) -> str:
    """The program that has this name here."""
    return f"{repository}@sha256:{hashlib.sha256(name.encode()).hexdigest()}"


OLD = reference("old")
NEW = reference("new")


class Died(BaseException):
    """The daemon died here, as by kill -9: no ``except Exception`` sees it."""


@define
class TwinProgram:
    """What becomes of a host that runs it."""

    release: int = 2
    starts: bool = True
    proves: bool = True
    serves: bool = True
    problem: str | None = None
    signed: bool = True


@define
class TwinHost:
    """One host; *down* reports nothing."""

    signup_id: SignupId
    swissnum: Secret
    program: str = OLD
    floor: int = 0
    trouble: str = ""
    refused: str = ""
    wanted: str = ""
    down: bool = False
    #: References of all that it ever ran.
    ran: list[str] = Factory(list)


@define(eq=False)
class Fleet:
    """See the module."""

    folder: Path
    clock: Clock = Factory(Clock)
    programs: dict[str, TwinProgram] = Factory(dict)
    hosts: dict[SignupId, TwinHost] = Factory(dict)
    journal: Journal = None  # type: ignore[assignment]
    worker: RolloutWorker = None  # type: ignore[assignment]
    desk: HostDesk = None  # type: ignore[assignment]

    def __attrs_post_init__(self) -> None:
        self.clock.advance(START)
        self.programs[OLD] = TwinProgram(FIRST_RELEASE)
        self.programs[NEW] = TwinProgram()

    # The daemon's life.

    def start(self) -> None:
        self.journal = open_journal(self.folder, self.clock)
        self.worker = RolloutWorker(self.journal, self.client_fails)
        self.desk = HostDesk(
            journal=self.journal,
            furls=None,  # type: ignore[arg-type]
            sealer=MemorySealer(),
            s3_endpoint=None,
            host_furl=None,  # type: ignore[arg-type]
        )

    def stop(self) -> None:
        answer(Deferred.fromCoroutine(self.journal.close()))

    def restart(self) -> None:
        self.stop()
        self.start()

    async def client_fails(self, signup_id: SignupId) -> str | None:
        host = self.hosts[signup_id]
        serves = self.programs[host.program].serves and not host.down
        return None if serves else "a client could not do this: write"

    def look(self) -> None:
        """One look of the worker's; a daemon that dies in it is started again."""
        looking = Deferred.fromCoroutine(self.worker.look())
        died = []
        looking.addErrback(lambda failure: died.append(failure.value))
        assert looking.called
        if not died:
            return
        assert isinstance(died[0], Died), died
        self.restart()

    # What the journal says.

    def write(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        return answer(self.journal.write(work, *args, **kwargs))

    def read(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        return answer(self.journal.read(work, *args, **kwargs))

    @property
    def rollout(self) -> RolloutRow:
        found: RolloutRow = self.read(rollouts.newest, CELL.name)
        return found

    def rows(self) -> tuple[RolloutHost, ...]:
        found: tuple[RolloutHost, ...] = self.read(
            rollout_hosts.of, self.rollout.number
        )
        return found

    def outcomes(self) -> dict[str, int]:
        """How many hosts are so."""
        every = [row.outcome for row in self.rows()]
        return {one: every.count(one) for one in sorted(set(every))}

    def running(self, program: str) -> int:
        return sum(host.program == program for host in self.hosts.values())

    def ever_ran(self, program: str) -> int:
        return sum(program in host.ran for host in self.hosts.values())

    # Operators and customers.

    def begin(
        self,
        image: str = NEW,
        *,
        canaries: int = 1,
        step: int = 50,
        pause: int = 60,
    ) -> None:
        self.write(
            rollouts.begin,
            CELL.name,
            image,
            canaries=canaries,
            step=step,
            pause=pause,
            who="operator ann",
            why="news",
        )

    def add_host(self, program: str = OLD, state: str = "active") -> TwinHost:
        """A served customer, with a host that runs this."""
        number = len(self.hosts) + 1
        signup_id = signup_id_of_form(str(number).encode())
        swissnum = Secret("h" + f"{number:04d}".translate(_LETTERS).rjust(52, "a"))

        def served(tx: WriteTx) -> None:
            cells.put(tx, CELL)
            signups.register(
                tx,
                signup_id,
                OwnerSecret(f"{number:040d}"),
                grid_label=new_grid_label(),
                cell=CELL,
                agreement=Agreement(PLAN, tx.now, "en"),
            )
            email = f"c{number}@example.org"
            contacts.put(tx, signup_id, email, email)
            row = signups.SIGNUPS.c.signup_id == signup_id
            tx.run(signups.SIGNUPS.update().where(row).values(state=state))
            hosts.begin(tx, signup_id)
            one = Generation(1)
            hosts.launched(tx, signup_id, one, f"i-{number}", tx.now)
            values = {
                "state": "ready",
                "furl_hash": hash_of(swissnum),
                "furl_sealed": b"sealed",
            }
            tx.run(
                HOSTS.update().where(HOSTS.c.signup_id == signup_id).values(**values)
            )

        self.write(served)
        host = TwinHost(signup_id, swissnum, program, ran=[program])
        self.hosts[signup_id] = host
        self.report(host)
        return host

    def lose(self, host: TwinHost) -> None:
        """Its instance is gone, and the routine has noticed."""
        host.down = True
        self.write(hosts.move, host.signup_id, Generation(1), {"ready"}, "gone")

    # Time, and the hosts.

    def report(self, host: TwinHost) -> Any:
        """It reports, and does what it is told."""
        if host.down:
            return None
        runs = self.programs[host.program]
        report = Report(
            "ready" if runs.proves else "failing",
            datetime.fromtimestamp(self.clock.seconds(), UTC),
            5,
            1,
            0,
            runs.problem,
            program=host.program,
            release=runs.release,
            program_trouble=host.trouble,
            program_refused=host.refused,
        )
        told = ask(Answering(HOST, HostFacet(self.desk, host.swissnum).answer), report)
        if isinstance(told, Desired):
            self._obey(host, told)
        return told

    def _obey(self, host: TwinHost, told: Desired) -> None:
        host.floor = max(host.floor, told.floor)
        if told.program in {"", host.wanted}:
            return
        host.wanted = told.program
        host.trouble, host.refused = "", ""
        if told.program == host.program:
            return
        trouble = self._judge(host, told.program)
        if trouble:
            host.trouble, host.refused = trouble, told.program
        else:
            host.program = told.program
            host.ran.append(told.program)

    def _judge(self, host: TwinHost, wanted: str) -> str:
        if not wanted.startswith(REPOSITORY + "@"):
            return "other-repository"
        program = self.programs.get(wanted)
        if program is None:
            return "cannot-pull"
        if not program.signed:
            return "not-signed"
        if program.release < host.floor:
            return "below-floor"
        if not program.starts:
            host.ran.append(wanted)
            return "did-not-start"
        return ""

    def turn(self) -> None:
        """A minute: every host reports, and the daemon looks."""
        self.clock.advance(60)
        for host in list(self.hosts.values()):
            self.report(host)
        self.look()

    def turn_until(self, state: str, longest: int = 200) -> None:
        """Until the rollout is so."""
        for _ in range(longest):
            if self.rollout.state == state:
                return
            self.turn()
        raise AssertionError(f"{self.rollout}: {self.rows()}")


_LETTERS = str.maketrans("0123456789", "abcdefghij")
