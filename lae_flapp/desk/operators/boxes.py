"""Inbox and outbox: Stripe's events, and mails."""

from __future__ import annotations

from typing import Any, cast

from lae_flapp.desk.operators.asked import Asked
from lae_flapp.desk.operators.outside import one_of
from lae_flapp.journal import contacts, events, inbox, outbox
from lae_flapp.journal.inbox import InboxEvent, InboxState
from lae_flapp.journal.outbox import Mail, MailState
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.mail.kinds import MAILS
from lae_protocol.box_messages import (
    EventNamed,
    InboxAnswer,
    InboxEventAnswer,
    InboxLine,
    InboxPage,
    ListInbox,
    ListOutbox,
    MailAnswer,
    MailLine,
    MailPage,
    OutboxAnswer,
)
from lae_protocol.messages import VERSION, Refused
from lae_protocol.operator_messages import Numbered
from lae_protocol.process.answer import Refusal, answers


class Boxes(Asked):
    """Looks, and has one row tried now."""

    @answers(VERSION, ListInbox, InboxAnswer)
    async def remote_list_inbox(self, asked: ListInbox, request_id: str) -> Any:
        """A page of Stripe's events."""
        del request_id

        def page(tx: ReadTx) -> InboxPage:
            state = cast("InboxState | None", one_of(asked.state, InboxState))
            rows, cursor = inbox.page(
                tx, state=state, cursor=asked.cursor, limit=asked.limit
            )
            return InboxPage(tuple(map(_event, rows)), cursor)

        return await self._read(page)

    @answers(VERSION, EventNamed, InboxEventAnswer)
    async def remote_show_inbox(self, asked: EventNamed, request_id: str) -> Any:
        """One event of Stripe's."""
        del request_id
        return await self._read(lambda tx: _known_event(tx, asked.event_id))

    @answers(VERSION, EventNamed, InboxEventAnswer)
    async def remote_retry_inbox(self, asked: EventNamed, request_id: str) -> Any:
        """Work it off now, also one that was ignored."""
        del request_id

        def hurried(tx: WriteTx, who: str) -> InboxLine:
            inbox.hurry(tx, asked.event_id)
            events.note(tx, None, "inbox-retry", who, asked.event_id)
            return _known_event(tx, asked.event_id)

        done = await self._write(hurried)
        self._desk.wakes.events()
        return done

    @answers(VERSION, ListOutbox, OutboxAnswer)
    async def remote_list_outbox(self, asked: ListOutbox, request_id: str) -> Any:
        """A page of mails."""
        del request_id

        def page(tx: ReadTx) -> MailPage:
            if asked.signup_id is not None:
                self._known(tx, asked.signup_id)
            state = cast("MailState | None", one_of(asked.state, MailState))
            rows, cursor = outbox.page(
                tx,
                signup_id=asked.signup_id,
                state=state,
                cursor=asked.cursor,
                limit=asked.limit,
            )
            return MailPage(tuple(_mail(tx, row) for row in rows), cursor)

        return await self._read(page)

    @answers(VERSION, Numbered, MailAnswer)
    async def remote_show_outbox(self, asked: Numbered, request_id: str) -> Any:
        """One mail."""
        del request_id
        return await self._read(lambda tx: _mail(tx, outbox.get(tx, asked.number)))

    @answers(VERSION, Numbered, MailAnswer)
    async def remote_retry_outbox(self, asked: Numbered, request_id: str) -> Any:
        """Send it now, also one that was refused."""
        del request_id

        def hurried(tx: WriteTx, who: str) -> MailLine:
            outbox.hurry(tx, asked.number)
            mail = outbox.get(tx, asked.number)
            why = f"mail {mail.number}, {mail.kind}"
            events.note(tx, mail.signup_id, "mail-retry", who, why)
            return _mail(tx, mail)

        done = await self._write(hurried)
        self._desk.wakes.mails()
        return done


def _known_event(tx: ReadTx, event_id: str) -> InboxLine:
    found = inbox.find(tx, event_id)
    if found is None:
        raise Refusal(Refused("unknown", "There is no such event of Stripe's."))
    return _event(found)


def _event(row: InboxEvent) -> InboxLine:
    return InboxLine(
        row.event_id,
        row.kind,
        row.object_id,
        row.state,
        row.received_at,
        row.attempts,
        row.next_try_at,
        row.outcome,
        row.settled_at,
        row.request_id,
    )


def _mail(tx: ReadTx, mail: Mail) -> MailLine:
    return MailLine(
        mail.number,
        mail.signup_id,
        mail.kind,
        mail.occasion,
        mail.state,
        _recipient(tx, mail),
        mail.queued_at,
        mail.attempts,
        mail.next_try_at,
        mail.outcome,
        mail.settled_at,
        mail.message_id,
    )


def _recipient(tx: ReadTx, mail: Mail) -> str:
    """Where it went, or would go now."""
    row = MAILS.get(mail.kind)
    if row is not None and row.to == "operators":
        return "operators"
    if mail.contact is None:
        found = contacts.find(tx, mail.signup_id)
        return "" if found is None else found.typed
    past = contacts.history(tx, mail.signup_id)
    return next((c.typed for c in past if c.number == mail.contact), "")
