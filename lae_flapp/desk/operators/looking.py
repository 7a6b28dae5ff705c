"""Signups and events: what is known of customers."""

from __future__ import annotations

from typing import Any, cast, get_args

from twisted.internet.defer import CancelledError

from lae_flapp.desk.operators.asked import Asked
from lae_flapp.desk.usage_view import MONTH, usage_of
from lae_flapp.journal import effects, events, listing, signups
from lae_flapp.journal.errors import JournalClosed
from lae_flapp.journal.events import Event
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.looking_messages import (
    DetailAnswer,
    EffectRow,
    EventPage,
    EventRow,
    EventsAnswer,
    EventsSince,
    ListSignups,
    Named,
    PageAnswer,
    SignupDetail,
)
from lae_protocol.messages import VERSION, Refused, SignupState
from lae_protocol.process.answer import answers
from lae_protocol.process.deadline import DeadlinePassed, with_deadline

LONGEST_WAIT = 20


class Looking(Asked):
    """Reads alone."""

    @answers(VERSION, ListSignups, PageAnswer)
    async def remote_list_signups(self, asked: ListSignups, request_id: str) -> Any:
        """A page of signups, newest first."""
        del request_id
        if asked.state is not None and asked.state not in get_args(SignupState):
            await self._who()
            return Refused("malformed", "there is no such state")

        def page(tx: ReadTx) -> Any:
            return listing.page(
                tx,
                listing.Filter(
                    state=cast("SignupState | None", asked.state),
                    text=asked.text,
                    plan_id=asked.plan_id,
                    since=asked.since,
                    until=asked.until,
                    waiting=asked.waiting,
                ),
                cursor=asked.cursor,
                limit=asked.limit,
            )

        return await self._read(page)

    @answers(VERSION, Named, DetailAnswer)
    async def remote_show_signup(self, asked: Named, request_id: str) -> Any:
        """Everything about one signup."""
        del request_id

        def detail(tx: ReadTx) -> Any:
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

        return await self._read(detail)

    @answers(VERSION, EventsSince, EventsAnswer)
    async def remote_events(self, asked: EventsSince, request_id: str) -> Any:
        """The event log after a number; waits for more if asked to."""
        del request_id

        def told(tx: ReadTx) -> EventPage:
            return self._events(tx, asked)

        page = await self._read(told)
        if page.events or asked.patience <= 0:
            return page
        waiting = self._desk.journal.watch(asked.signup_id, asked.since)
        patience = min(asked.patience, LONGEST_WAIT)
        try:
            await with_deadline(self._desk.clock, patience, "events", waiting)
        except (DeadlinePassed, CancelledError, JournalClosed):
            return page
        return await self._read(told)

    def _events(self, tx: ReadTx, asked: EventsSince) -> EventPage:
        if asked.signup_id is not None:
            self._known(tx, asked.signup_id)
        told = events.since(tx, asked.signup_id, asked.since)
        return EventPage(
            tuple(map(_row, told)), told[-1].number if told else asked.since
        )


def _row(event: Event) -> EventRow:
    return EventRow(
        event.number, event.signup_id, event.kind, event.at, event.who, event.why
    )
