"""Which program an instance runs: judged and tried as root does on a real host.

What is decided is :mod:`lae_provision.hosts.program_change`'s, and the files are where
a real host has them (:mod:`lae_provision.hosts.program_unit`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import asdict, define, evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from lae_localcloud.booter.programs import (
    FIRST_RELEASE,
    REPOSITORY,
    BootProgram,
    NoProgram,
    Programs,
)
from lae_localcloud.booter.service import Service
from lae_provision.hosts import program_change as change
from lae_provision.hosts import program_unit

#: Between two looks at the node's wish, and at a trial.
LOOK_EVERY = 0.2  # s


@define(frozen=True)
class JudgeOptions:
    """As long as a real host waits, or shorter for tests, in seconds."""

    prove_within: float = program_unit.PROVE_WITHIN
    pull_again: float = program_unit.PULL_AGAIN
    stop_within: float = 5.0


@define(eq=False)
class ProgramJudge:
    """Root's unit of one instance: *service* runs what was decided."""

    reactor: Any
    root: Path
    programs: Programs
    service: Service
    options: JudgeOptions
    _looking: Any = None
    _ended: bool = False
    #: The wish that was looked at last, and when.
    _looked: tuple[bytes, float] | None = None

    _log = Logger()

    def begin(self) -> None:
        """Have the service run what stands; look at the node's wish from now on."""
        launched = BootProgram(FIRST_RELEASE, self.service.unit.argv)
        reference = self.programs.publish(launched.release, launched.command)
        if not self._state_file.exists():
            first = change.ProgramState(current=reference, release=FIRST_RELEASE)
            self._keep(first)
        self._run_next(self._standing().runs)
        self._tell(self._standing())
        self._looking = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._looking.clock = self.reactor
        looping = self._looking.start(LOOK_EVERY, now=False)
        looping.addErrback(lambda f: self._log.failure("a judge of programs", f))

    def end(self) -> None:
        """Look at nothing any more."""
        self._ended = True
        if self._looking is not None and self._looking.running:
            self._looking.stop()

    async def _look(self) -> None:
        wish, now = self._wish(), self.reactor.seconds()
        standing = self._standing()
        waits = standing.trouble in change.PASSING
        again = (
            waits and now - (self._looked or (b"", 0.0))[1] >= self.options.pull_again
        )
        known = self._looked is not None and self._looked[0] == wish
        if known and not again and not standing.trial:
            return
        self._looked = (wish, now)
        wanted = change.read_wanted(wish.decode("utf-8", "replace"))
        seen: change.Seen = change.Looked(standing.runs)
        while not self._ended:
            standing, step = change.decide(standing, wanted, seen, REPOSITORY)
            self._keep(standing)
            self._tell(standing)
            match step:
                case "rest":
                    return
                case "pull":
                    seen = self._pull(wanted.program)
                case "try":
                    seen = await self._try(standing.trial)
                case "go-back":
                    await self._restart(standing.current)
                    return

    def _pull(self, program: str) -> change.Pulled | change.NotPulled:
        try:
            return change.Pulled(self.programs.find(program).release)
        except NoProgram:
            return change.NotPulled("cannot-pull")
        except ValueError:
            return change.NotPulled("not-signed")

    async def _try(self, program: str) -> change.TrialPassed | change.TrialFailed:
        """Restart with it, and wait until it has proved itself, or ended."""
        proved = self._inside(program_unit.PROVED)
        proved.unlink(missing_ok=True)
        await self._restart(program)
        starts = self.service.starts
        until = self.reactor.seconds() + self.options.prove_within
        while not self._ended and self.service.starts == starts:
            if proved.exists():
                return change.TrialPassed()
            if self.reactor.seconds() >= until:
                break
            await deferLater(self.reactor, LOOK_EVERY)
        return change.TrialFailed()

    async def _restart(self, program: str) -> None:
        await self.service.stop(self.options.stop_within)
        # The service hears of the end after whoever waits for it: it is not wanted yet.
        await deferLater(self.reactor, 0)
        if not self._ended:
            self._run_next(program)
            self.service.start()

    def _run_next(self, program: str) -> None:
        command = self.programs.find(program).command
        self.service.unit = evolve(self.service.unit, argv=command)

    def _standing(self) -> change.ProgramState:
        return change.ProgramState(**json.loads(self._state_file.read_text()))

    def _keep(self, standing: change.ProgramState) -> None:
        self._write(self._state_file, asdict(standing))

    def _tell(self, standing: change.ProgramState) -> None:
        """What the node may tell: what runs and has proved itself."""
        told = {
            "program": standing.current,
            "release": standing.release or 0,
            "trouble": standing.trouble,
            "refused": standing.refused,
        }
        self._write(self._inside(program_unit.TOLD), told)

    @staticmethod
    def _write(path: Path, told: dict[str, Any]) -> None:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(json.dumps(told))
        fresh.replace(path)

    def _wish(self) -> bytes:
        try:
            return self._inside(program_unit.WISH).read_bytes()
        except OSError:
            return b""

    @property
    def _state_file(self) -> Path:
        return self._inside(program_unit.STATE)

    def _inside(self, path: str) -> Path:
        return self.root / path.lstrip("/")
