"""``lae inbox`` and ``lae outbox``: Stripe's events, and mails."""

from __future__ import annotations

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, printable
from lae_flapp.laptop.commands.remove import remove_hints
from lae_flapp.laptop.nouns import (
    Noun,
    One,
    Retry,
    list_command,
    retry_command,
    show_command,
)
from lae_flapp.laptop.options import SIGNUP
from lae_protocol.box_messages import (
    InboxLine,
    ListInbox,
    ListOutbox,
    MailLine,
    RetryInboxEvent,
    RetryMail,
    ShowInboxEvent,
    ShowMail,
)


@click.group()
def inbox() -> None:
    """See what Stripe told us, and have it worked off."""


@click.group()
def outbox() -> None:
    """See the mails, and have one sent."""


def _tries(told: InboxLine | MailLine) -> tuple[tuple[str, str], ...]:
    """How it went until now."""
    return (
        ("failed", f"{told.attempts} times"),
        ("next try", "" if told.settled_at else tables.moment(told.next_try_at)),
        ("settled", tables.moment(told.settled_at) or "no"),
        ("outcome", told.outcome or "none"),
    )


def _show_event(told: InboxLine) -> None:
    tables.print_facts(
        ("event", told.event_id),
        ("kind", told.kind),
        ("object", told.object_id or "none"),
        ("state", told.state),
        ("received", tables.moment(told.received_at)),
        *_tries(told),
        ("request", told.request_id),
    )


def _show_mail(told: MailLine) -> None:
    tables.print_facts(
        ("mail", str(told.number)),
        ("signup", told.signup_id),
        ("kind", told.kind + (f" ({told.occasion})" if told.occasion else "")),
        ("to", told.to),
        ("state", told.state),
        ("queued", tables.moment(told.queued_at)),
        *_tries(told),
        ("Message-ID", told.message_id),
    )


EVENTS = Noun(
    ListInbox,
    "events",
    "No such events of Stripe's.",
    wide=(
        (Column("received (UTC)"), lambda e: tables.moment(e.received_at)),
        (Column("event"), lambda e: e.event_id),
        (tables.state(), lambda e: e.state),
        (Column("tries"), lambda e: str(e.attempts)),
        (Column("kind"), lambda e: e.kind),
        (tables.text("outcome"), lambda e: e.outcome or ""),
    ),
    narrow=(
        (Column("received (UTC)"), lambda e: tables.moment(e.received_at)[:16]),
        (tables.state(), lambda e: e.state),
        (tables.text("event"), lambda e: e.event_id),
        (
            tables.text("kind, outcome"),
            lambda e: f"{e.kind} {e.outcome or ''}".strip(),
        ),
    ),
    filters=(click.option("--state", help="Only these."),),
)
EVENT = One(
    "event",
    click.argument("event_id", metavar="EVENT"),
    ShowInboxEvent,
    _show_event,
)
MAILS = Noun(
    ListOutbox,
    "mails",
    "No such mails.",
    wide=(
        (Column("number"), lambda m: str(m.number)),
        (Column("queued (UTC)"), lambda m: tables.moment(m.queued_at)),
        (Column("signup"), lambda m: m.signup_id),
        (Column("kind"), lambda m: m.kind),
        (tables.state(), lambda m: m.state),
        (Column("tries"), lambda m: str(m.attempts)),
        (tables.text("to"), lambda m: m.to),
        (tables.text("outcome"), lambda m: m.outcome or ""),
    ),
    narrow=(
        (Column("number"), lambda m: str(m.number)),
        (tables.state(), lambda m: m.state),
        (Column("kind"), lambda m: m.kind),
        (tables.text("to, outcome"), lambda m: f"{m.to} {m.outcome or ''}".strip()),
    ),
    filters=(
        click.option("--signup", type=SIGNUP, help="Only those about this one."),
        click.option("--state", help="Only these."),
    ),
)
MAIL = One(
    "mail",
    click.argument("number", type=click.IntRange(1)),
    ShowMail,
    _show_mail,
)

inbox.add_command(list_command(EVENTS, "List Stripe's events, newest first."))
inbox.add_command(
    show_command(EVENT, "Show one event of Stripe's (evt_...), and what it was about.")
)
inbox.add_command(
    retry_command(
        EVENT,
        EVENTS,
        Retry(
            click.argument("named", nargs=-1, metavar="EVENT..."),
            RetryInboxEvent,
            lambda e: e.event_id,
            lambda e: f"Would work {e.event_id} ({e.kind}, {e.state}) off now.",
            lambda e: f"{e.event_id} ({e.kind}) is worked off now.",
        ),
        """Work events off now, also ones that were ignored; or all in a state.

        It decides nothing by itself: what it is about is fetched from Stripe.
        """,
    )
)
inbox.add_command(remove_hints)
outbox.add_command(list_command(MAILS, "List mails, newest first."))
outbox.add_command(
    show_command(MAIL, "Show one mail; its text is written when it is sent.")
)
outbox.add_command(
    retry_command(
        MAIL,
        MAILS,
        Retry(
            click.argument(
                "named", nargs=-1, type=click.IntRange(1), metavar="NUMBER..."
            ),
            RetryMail,
            lambda m: m.number,
            lambda m: f"Would send mail {m.number} ({m.kind}, {m.state}) now.",
            lambda m: f"Mail {m.number} ({m.kind}) is sent to {printable(m.to)}.",
        ),
        """Send mails now, also ones that were refused; or all in a state.

        Each goes to the address of now.
        """,
    )
)
