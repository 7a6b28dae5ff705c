"""What all calls about stacks share: the book, the clock, and work under way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_localcloud.cloudformation.calls_signed import CallersKey, SignedServices
from lae_localcloud.cloudformation.carrying import Carrying
from lae_localcloud.cloudformation.kinds.table import KINDS
from lae_localcloud.cloudformation.resource_works import ResourceWorks
from lae_localcloud.cloudformation.stack_book import StackBook, refused
from lae_localcloud.cloudformation.stack_record import StackRecord
from lae_localcloud.cloudformation.template import Template, read_template
from lae_localcloud.exchange import ApiRequest, ApiResponse
from lae_localcloud.front.slowness import Slowness

#: Parameters of a call, as its model has them.
Said = dict[str, Any]
Front = Callable[[ApiRequest], Awaitable[ApiResponse]]
#: A stack that can be changed.
AT_REST = frozenset(
    {
        *("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"),
        *("UPDATE_FAILED", "CREATE_FAILED"),
    }
)


class StackWorks:
    """All stacks of the account, and what is done to them."""

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        region: str,
        *,
        now: Callable[[], datetime],
        slowness: Slowness,
        front: Front,
    ) -> None:
        self._reactor, self.region, self.now = reactor, region, now
        self._slowness, self._front = slowness, front
        self.book = StackBook(region, self._seen)
        self._running: set[Deferred[None]] = set()

    def _seen(self, created: datetime) -> bool:
        """Tell whether something of this age is seen already."""
        age = (self.now() - created).total_seconds()
        return age >= self._slowness.visibility

    def stop(self) -> None:
        """Carry nothing out any more."""
        for one in list(self._running):
            one.cancel()

    def services(self, key: CallersKey) -> SignedServices:
        """The account's services, in the name of a caller."""

        async def sleep(seconds: float) -> None:
            await deferLater(self._reactor, seconds)

        return SignedServices(self._front, key, self.region, sleep)

    def carrying(self, record: StackRecord, key: CallersKey) -> Carrying:
        """An operation on a stack, in the name of a caller."""

        def slowness() -> float:
            return self._slowness.stacks

        services = self.services(key)
        return Carrying(ResourceWorks(record, services, self.region, slowness))

    def begin_on(self, record: StackRecord, work: Coroutine[Any, Any, None]) -> None:
        """Begin an operation: until it has ended there is no other on this stack."""
        record.busy = True

        async def alone() -> None:
            try:
                await work
            finally:
                record.busy = False

        self.begin(alone())

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it a little later: the call's answer does not tell what came of it."""

        async def later() -> None:
            try:
                await deferLater(self._reactor, self._slowness.stacks)
            except CancelledError:
                work.close()
                raise
            await work

        running: Deferred[None] = Deferred.fromCoroutine(later())
        self._running.add(running)

        def ended(result: Any) -> None:
            self._running.discard(running)
            if isinstance(result, Failure) and not isinstance(
                result.value, CancelledError
            ):
                self._log.failure("a stack", failure=result)

        running.addBoth(ended)


def require(record: StackRecord, statuses: frozenset[str], verb: str) -> None:
    """Raise :class:`ApiError` unless the stack has one of these statuses."""
    if record.status not in statuses or record.busy:
        raise refused(
            f"Stack:{record.stack_id} is in {record.status} state and can not be"
            f" {verb}."
        )


def template_of(said: Said, record: StackRecord | None) -> Template:
    """The template that a call gives; raises :class:`ApiError` and TemplateWrong."""
    if said.get("UsePreviousTemplate"):
        if record is None or record.deployed is None:
            raise refused("UsePreviousTemplate: there is no previous template")
        return record.deployed.template
    if "TemplateURL" in said:
        raise refused("the local cloud takes a TemplateBody alone")
    if "TemplateBody" not in said:
        raise refused("Either Template URL or Template Body must be specified.")
    return read_template(said["TemplateBody"], KINDS)
