"""Saying how the host is, and hearing what it shall be."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from attrs import define
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from lae_protocol.host_messages import DayCounts, Desired, Report
from lae_protocol.messages import Refused
from lae_protocol.process.call import Facet, FacetError

Phase = Literal["starting", "serving", "self-test-passed", "ready", "failing"]

#: Seconds for one report.
PATIENCE = 10.0
#: Phases that wait to be told; the oldest is forgotten first.
REMEMBERED = 16

_log = Logger()


@define(frozen=True)
class Usage:
    """What the shares take, and what clients did with them."""

    used_bytes: int = 0
    share_count: int = 0
    advisories: int = 0
    #: What versions take that are not current; None where nobody could look yet.
    noncurrent_bytes: int | None = None
    #: Today and yesterday (UTC).
    days: tuple[DayCounts, ...] = ()
    #: Whether the month's traffic is used up.
    slowed: bool = False


class Node(Protocol):
    """The part of the node that is reported on and told what to be."""

    def usage(self) -> Usage:
        """Now."""

    def obey(self, desired: Desired) -> None:
        """Become what is desired, as far as it is not."""


class Reporting(Service):
    """Reports each phase in its order, then the last one again and again.

    A daemon that is away misses no phase: they wait.  Nothing here waits for the
    daemon, so that the node serves whether it is heard or not.
    """

    name = "reporting"

    def __init__(self, reactor: IReactorTime, facet: Facet, seconds: int) -> None:
        self._reactor, self._facet = reactor, facet
        self._waiting: deque[tuple[Phase, str | None]] = deque(maxlen=REMEMBERED)
        self._last: tuple[Phase, str | None] = ("starting", None)
        self._telling = False
        self._node: Node | None = None
        self._desired: Desired | None = None
        self._again = LoopingCall(self._repeat)
        self._again.clock = reactor
        self._seconds = seconds

    def startService(self) -> None:
        """Begin to tell, and to repeat the last phase."""
        super().startService()  # type: ignore[no-untyped-call]
        self._facet.on_connect(self._tell)
        self._again.start(self._seconds, now=False)

    def stopService(self) -> None:
        """Say nothing more."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._again.running:
            self._again.stop()

    @property
    def suspended(self) -> bool:
        """Whether nothing may be written, by the daemon's last word."""
        return self._desired is not None and self._desired.state != "serving"

    def about(self, node: Node) -> None:
        """Report this node's usage from now on, and let it obey."""
        self._node = node
        if self._desired is not None:
            node.obey(self._desired)

    def phase(self, phase: Phase, problem: str | None = None) -> None:
        """The host has come so far; *problem* is for the operator, without secrets."""
        self._last = (phase, problem)
        self._waiting.append(self._last)
        self._tell()

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
        _log.failure("reporting failed", failure)

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
        return Report(
            phase=phase,
            at=datetime.fromtimestamp(self._reactor.seconds(), UTC),
            used_bytes=usage.used_bytes,
            share_count=usage.share_count,
            advisories=usage.advisories,
            problem=problem,
            noncurrent_bytes=usage.noncurrent_bytes,
            days=usage.days,
            slowed=usage.slowed,
        )

    async def _told(self, report: Report) -> bool:
        try:
            answer = await self._facet.ask(report, PATIENCE)
        except FacetError as e:
            _log.warn("the report was not heard: {why}", why=str(e))
            return False
        match answer:
            case Refused():
                _log.error("the daemon refuses our report: {code}", code=answer.code)
            case Desired():
                self._desired = answer
                if self._node is not None:
                    self._node.obey(answer)
        return True
