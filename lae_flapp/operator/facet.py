"""What one named operator may ask; the name stands in every event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast, get_args

from attrs import define
from foolscap.api import Referenceable
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from lae_flapp.facets.usage_view import MONTH, usage_of
from lae_flapp.facets.view import see
from lae_flapp.journal import (
    effects,
    events,
    inbox,
    listing,
    operators,
    outbox,
    signups,
    switches,
)
from lae_flapp.journal.errors import BadCursor, JournalClosed
from lae_flapp.journal.events import Event
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SIGNUP_ID, SignupId
from lae_protocol.messages import (
    VERSION,
    AskHealth,
    DetailAnswer,
    Done,
    DoneAnswer,
    EffectRow,
    EventPage,
    EventRow,
    EventsAnswer,
    EventsSince,
    Health,
    HealthAnswer,
    ListSignups,
    Named,
    PageAnswer,
    Refused,
    SignupDetail,
    SignupState,
)
from lae_protocol.process.answer import Refusal, answers
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.remote import RIOperator
from lae_protocol.secret import Secret

LONGEST_WAIT = 20
_STRANGER = Refused("unknown-operator", "This furl is nobody's (any more).")
_NO_SIGNUP = Refused("unknown-signup", "There is no such signup.")
#: Unserved: paid, and nobody has their storage yet.
_UNSERVED: frozenset[SignupState] = frozenset({"paid"})


@define(frozen=True)
class OperatorDesk:
    """What the facets of all operators share.

    *retry* wakes the worker for one signup at once; *state_of_daemon* tells what
    only the process knows.
    """

    clock: IReactorTime
    journal: Journal
    retry: Callable[[SignupId], object]
    environment: str
    release: str
    started_at: datetime
    canary_opened: Callable[[], bool]
    closed_because: Callable[[], str | None]


def _row(event: Event) -> EventRow:
    return EventRow(
        event.number, event.signup_id, event.kind, event.at, event.who, event.why
    )


@implementer(RIOperator)  # type: ignore[misc]  # foolscap has no types
class OperatorFacet(Referenceable):
    """The holder of one operator's furl; looked up anew at each call."""

    def __init__(self, desk: OperatorDesk, swissnum: Secret) -> None:
        self._desk, self._swissnum = desk, swissnum

    @answers(VERSION, ListSignups, PageAnswer)
    async def remote_list_signups(self, asked: ListSignups, request_id: str) -> Any:
        """A page of signups, newest first."""
        del request_id

        def page(tx: ReadTx) -> Any:
            self._name(tx)
            if asked.state is not None and asked.state not in get_args(SignupState):
                return Refused("malformed", "there is no such state")
            try:
                return listing.page(
                    tx,
                    state=cast("SignupState | None", asked.state),
                    text=asked.text,
                    cursor=asked.cursor,
                    limit=asked.limit,
                )
            except BadCursor as e:
                return Refused("malformed", str(e))

        return await self._desk.journal.read(page)

    @answers(VERSION, Named, DetailAnswer)
    async def remote_show_signup(self, asked: Named, request_id: str) -> Any:
        """Everything about one signup."""
        del request_id

        def detail(tx: ReadTx) -> Any:
            self._name(tx)
            row = self._known(tx, asked.signup_id)
            told = events.since(tx, asked.signup_id, 0)
            return SignupDetail(
                row,
                signups.get(tx, asked.signup_id).agreement.plan,
                tuple(
                    EffectRow(
                        e.key.step,
                        e.key.purpose,
                        e.attempt,
                        e.state,
                        e.outcome,
                        e.begun_at,
                    )
                    for e in effects.of(tx, asked.signup_id)
                ),
                tuple(map(_row, told)),
                usage_of(tx, asked.signup_id, MONTH),
            )

        return await self._desk.journal.read(detail)

    @answers(VERSION, Named, DoneAnswer)
    async def remote_retry_signup(self, asked: Named, request_id: str) -> Any:
        """Try what is stuck now, not when its turn comes."""
        del request_id

        def noted(tx: WriteTx) -> Any:
            name = self._name(tx)
            self._known(tx, asked.signup_id)
            events.note(tx, asked.signup_id, "retry", f"operator {name}")
            return Done(see(tx, asked.signup_id, 0))

        done = await self._desk.journal.write(noted)
        self._desk.retry(asked.signup_id)
        return done

    @answers(VERSION, EventsSince, EventsAnswer)
    async def remote_events(self, asked: EventsSince, request_id: str) -> Any:
        """The event log after a number; waits for more if asked to."""
        del request_id
        page = await self._desk.journal.read(self._events, asked)
        if page.events or asked.patience <= 0:
            return page
        waiting = self._desk.journal.watch(asked.signup_id, asked.since)
        patience = min(asked.patience, LONGEST_WAIT)
        try:
            await with_deadline(self._desk.clock, patience, "events", waiting)
        except (DeadlinePassed, CancelledError, JournalClosed):
            return page
        return await self._desk.journal.read(self._events, asked)

    @answers(VERSION, AskHealth, HealthAnswer)
    async def remote_health(self, asked: AskHealth, request_id: str) -> Any:
        """How the daemon is."""
        del asked, request_id
        desk = self._desk

        def health(tx: ReadTx) -> Any:
            self._name(tx)
            waiting = signups.in_states(tx, _UNSERVED)
            oldest = min((s.changed_at for s in waiting), default=None)
            return Health(
                environment=desk.environment,
                release=desk.release,
                started_at=desk.started_at,
                epoch=desk.journal.epoch,
                signups_open=desk.closed_because() is None
                and switches.paused(tx, "signups") is None,
                canary_opened=desk.canary_opened(),
                oldest_unserved_seconds=None
                if oldest is None
                else int((tx.now - oldest).total_seconds()),
                inbox_waiting=inbox.waiting(tx),
                outbox_waiting=outbox.waiting(tx),
            )

        return await desk.journal.read(health)

    def _name(self, tx: ReadTx) -> str:
        found = operators.by_swissnum(tx, self._swissnum)
        if found is None:
            raise Refusal(_STRANGER)
        return found.name

    @staticmethod
    def _known(tx: ReadTx, signup_id: SignupId) -> Any:
        row = listing.row(tx, signup_id) if SIGNUP_ID.match(signup_id) else None
        if row is None:
            raise Refusal(_NO_SIGNUP)
        return row

    def _events(self, tx: ReadTx, asked: EventsSince) -> EventPage:
        self._name(tx)
        if asked.signup_id is not None:
            self._known(tx, asked.signup_id)
        told = events.since(tx, asked.signup_id, asked.since)
        return EventPage(
            tuple(map(_row, told)), told[-1].number if told else asked.since
        )
