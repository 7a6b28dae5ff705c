"""One event of Stripe's, or one mail: looked at, or tried now."""

from __future__ import annotations

from lae_flapp.desk.operators.asked import Asker
from lae_flapp.desk.operators.lists import event_line, mail_line
from lae_flapp.journal import events, inbox, outbox
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.box_messages import (
    InboxLine,
    MailLine,
    RetryInboxEvent,
    RetryMail,
    ShowInboxEvent,
    ShowMail,
)
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal


async def show_event(by: Asker, asked: ShowInboxEvent) -> InboxLine:
    """One event of Stripe's."""
    return await by.read(lambda tx: _known_event(tx, asked.event_id))


async def retry_event(by: Asker, asked: RetryInboxEvent) -> InboxLine:
    """Work it off now, also one that was ignored."""

    def hurried(tx: WriteTx, who: str) -> InboxLine:
        inbox.hurry(tx, asked.event_id)
        events.note(tx, None, "inbox-retry", who, asked.event_id)
        return _known_event(tx, asked.event_id)

    return await by.write(hurried)


async def show_mail(by: Asker, asked: ShowMail) -> MailLine:
    """One mail."""
    return await by.read(lambda tx: mail_line(tx, outbox.get(tx, asked.number)))


async def retry_mail(by: Asker, asked: RetryMail) -> MailLine:
    """Send it now, also one that was refused."""

    def hurried(tx: WriteTx, who: str) -> MailLine:
        outbox.hurry(tx, asked.number)
        mail = outbox.get(tx, asked.number)
        why = f"mail {mail.number}, {mail.kind}"
        events.note(tx, mail.signup_id, "mail-retry", who, why)
        return mail_line(tx, mail)

    return await by.write(hurried)


def _known_event(tx: ReadTx, event_id: str) -> InboxLine:
    found = inbox.find(tx, event_id)
    if found is None:
        raise Refusal(Refused("unknown", "There is no such event of Stripe's."))
    return event_line(found)
