"""Report the host's health to the daemon, and receive the state it desires."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from attrs import define, evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from lae_protocol.host_messages import DayCounts, Desired, Report
from lae_protocol.messages import Refused
from lae_protocol.process.call import Facet, FacetError
from lae_storage.agent.wish import ProgramFiles, RunningProgram

Phase = Literal["starting", "serving", "self-test-passed", "ready", "failing"]

REPORT_TIMEOUT = 10.0  # s
#: Between two looks at what root has told of the program.
LOOK_EVERY = 2.0  # s
#: Phases that wait to be reported; beyond that the oldest is dropped.
MOST_WAITING = 16

_log = Logger()


@define(frozen=True)
class Usage:
    """What the shares take, and what clients did with them."""

    used_bytes: int = 0
    share_count: int = 0
    advisories: int = 0
    #: Bytes of noncurrent versions; None before they were first counted.
    noncurrent_bytes: int | None = None
    #: Today and yesterday (UTC).
    days: tuple[DayCounts, ...] = ()
    #: Whether the month's traffic is used up.
    slowed: bool = False
    #: What the node cannot do now, in a sentence for operators.
    problem: str | None = None
    #: Whether that is a bound which a client met.
    capped: bool = False


class Node(Protocol):
    """The node as reporting needs it."""

    def usage(self) -> Usage:
        """Return the usage now."""

    def obey(self, desired: Desired) -> None:
        """Apply the state that the daemon desires."""


class Reporting(Service):
    """Reports each phase in order, then repeats the last one.

    Phases wait while the daemon is down, so the daemon misses none.  The node never
    waits for the daemon: it serves whether reports arrive or not.  What becomes of a
    wished program is reported at once.
    """

    name = "reporting"

    def __init__(
        self,
        reactor: IReactorTime,
        facet: Facet,
        seconds: int,
        program: ProgramFiles,
    ) -> None:
        self._reactor, self._facet, self._program = reactor, facet, program
        self._outcome = RunningProgram()
        #: Whether the daemon is of a release that has a field for the program.
        self._tells_program = True
        self._waiting: deque[tuple[Phase, str | None]] = deque(maxlen=MOST_WAITING)
        self._last: tuple[Phase, str | None] = ("starting", None)
        self._telling = False
        self._node: Node | None = None
        self._desired: Desired | None = None
        self._again = LoopingCall(self._repeat)
        self._looks = LoopingCall(self._look)
        self._again.clock = self._looks.clock = reactor
        self._seconds = seconds

    def startService(self) -> None:
        """Start reporting."""
        super().startService()  # type: ignore[no-untyped-call]
        self._facet.on_connect(self._connected)
        self._again.start(self._seconds, now=False)
        self._looks.start(LOOK_EVERY, now=False)

    def stopService(self) -> None:
        """Stop reporting."""
        super().stopService()  # type: ignore[no-untyped-call]
        for call in (self._again, self._looks):
            if call.running:
                call.stop()

    @property
    def suspended(self) -> bool:
        """Whether the daemon's last answer forbids writing."""
        return self._desired is not None and self._desired.state != "serving"

    def about(self, node: Node) -> None:
        """Report *node*'s usage from now on, and apply the desired state to it."""
        self._node = node
        if self._desired is not None:
            node.obey(self._desired)

    def phase(self, phase: Phase, problem: str | None = None) -> None:
        """Report that the host reached *phase*.  *problem* is for the operators, and
        holds no secrets.
        """
        self._last = (phase, problem)
        self._waiting.append(self._last)
        self._tell()

    def _connected(self) -> None:
        self._tells_program = True
        self._tell()

    def _look(self) -> None:
        if self._program.outcome() != self._outcome:
            self._repeat()

    def _repeat(self) -> None:
        if not self._waiting:
            self._waiting.append(self._last)
        self._tell()

    def _tell(self) -> None:
        if not self._telling and self._waiting:
            self._telling = True
            Deferred.fromCoroutine(self._tell_all()).addErrback(self._broken)

    def _broken(self, failure: Any) -> None:
        self._telling = False
        _log.failure("reporting failed; the next report tries again", failure)

    async def _tell_all(self) -> None:
        while self._waiting and self.running:
            told = self._waiting[0]
            if not await self._told(self._report(*told)):
                break
            if self._waiting and self._waiting[0] is told:
                self._waiting.popleft()
        self._telling = False

    def _report(self, phase: Phase, problem: str | None) -> Report:
        usage = Usage() if self._node is None else self._node.usage()
        self._outcome = self._program.outcome()
        report = Report(
            phase=phase,
            at=datetime.fromtimestamp(self._reactor.seconds(), UTC),
            used_bytes=usage.used_bytes,
            share_count=usage.share_count,
            advisories=usage.advisories,
            problem=problem or usage.problem,
            noncurrent_bytes=usage.noncurrent_bytes,
            days=usage.days,
            slowed=usage.slowed,
            capped=problem is None and usage.capped,
        )
        return _with_program(report, self._outcome) if self._tells_program else report

    async def _told(self, report: Report) -> bool:
        try:
            answer = await self._facet.ask(report, REPORT_TIMEOUT)
            if _may_be_too_new(report, answer):
                self._tells_program = False
                plain = _with_program(report, RunningProgram())
                answer = await self._facet.ask(plain, REPORT_TIMEOUT)
        except FacetError as e:
            _log.warn("the report did not reach the daemon: {why}", why=str(e))
            return False
        match answer:
            case Refused():
                _log.error("the daemon refused a report: {code}", code=answer.code)
            case Desired():
                self._desired = answer
                self._program.wish(answer)
                if self._node is not None:
                    self._node.obey(answer)
        return True


def _with_program(report: Report, outcome: RunningProgram) -> Report:
    return evolve(
        report,
        program=outcome.program,
        release=outcome.release,
        program_trouble=outcome.trouble,
        program_refused=outcome.refused,
    )


def _may_be_too_new(report: Report, answer: Desired | Refused) -> bool:
    """Whether the daemon may be of an earlier release, which refuses what it does not
    know: it is told the same without the program then.
    """
    told = report != _with_program(report, RunningProgram())
    return told and isinstance(answer, Refused) and answer.code == "malformed"
