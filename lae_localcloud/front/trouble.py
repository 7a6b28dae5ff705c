"""A call done as a fault wants it: late, twice, not at all, or without its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from lae_localcloud.exchange import ApiError
from lae_localcloud.faults import FaultBook, Struck

T = TypeVar("T")


class CutConnection(Exception):
    """The answer shall be lost: cut the connection instead of answering."""


class Subject(Protocol):
    """What faults are looked up by."""

    @property
    def service(self) -> str:
        """``ec2``."""
        ...

    @property
    def action(self) -> str:
        """``RunInstances``."""
        ...

    @property
    def subject(self) -> str:
        """The text that a fault's ``contains`` is looked for in."""
        ...


_TOO_FAST = {
    "ec2": ApiError(503, "RequestLimitExceeded", "Request limit exceeded."),
    "s3": ApiError(503, "SlowDown", "Please reduce your request rate."),
    "kms": ApiError(400, "ThrottlingException", "Rate exceeded"),
    "registry": ApiError(429, "TOOMANYREQUESTS", "Rate exceeded"),
}
_THROTTLED = ApiError(400, "Throttling", "Rate exceeded")


class Trouble:
    """Applies the faults of one book."""

    def __init__(self, reactor: IReactorTime, book: FaultBook) -> None:
        self._reactor, self._book = reactor, book

    async def around(
        self,
        call: Subject,
        do: Callable[[Struck | None], Awaitable[T]],
        discard: Callable[[T], None] = lambda _: None,
    ) -> T:
        """Do it, with the next fault for it; raises what the fault says.

        *do* is told of the fault too, for kinds that touch the answer's inside;
        *discard* hears of answers that nobody gets.
        """
        struck = self._book.take(call.service, call.action, call.subject)
        if struck is None:
            return await do(None)
        await self._before(struck, call.service)
        answer = await do(struck)
        if struck.fault.kind == "doubled":
            discard(answer)
            answer = await do(struck)
        try:
            await self._after(struck)
        except (CutConnection, ApiError):
            discard(answer)
            raise
        return answer

    async def _before(self, struck: Struck, service: str) -> None:
        fault = struck.fault
        match fault.kind:
            case "error-before":
                raise ApiError(fault.status, fault.code, "a fault asked for")
            case "lost-call":
                raise CutConnection
            case "throttle":
                raise _TOO_FAST.get(service, _THROTTLED)
            case "delay":
                await self._sleep(fault.seconds)
            case "hold":
                await self._book.held(struck.number)

    async def _after(self, struck: Struck) -> None:
        fault = struck.fault
        match fault.kind:
            case "lost-reply":
                raise CutConnection
            case "error-after":
                raise ApiError(fault.status, fault.code, "a fault asked for")
            case "delay-after":
                await self._sleep(fault.seconds)

    async def _sleep(self, seconds: float) -> None:
        await deferLater(self._reactor, seconds)
