"""``lae inbox`` and ``lae outbox``: Stripe's events, and mails."""

from __future__ import annotations

from typing import Any

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, columns, printable
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.meant import meant
from lae_flapp.laptop.options import (
    SIGNUP,
    asks_daemon,
    changes,
    gives_json,
    paged,
)
from lae_flapp.laptop.pages import Listed
from lae_flapp.laptop.settings import Where
from lae_protocol.box_messages import (
    EventNamed,
    InboxAnswer,
    InboxEventAnswer,
    InboxLine,
    ListInbox,
    ListOutbox,
    MailAnswer,
    MailLine,
    OutboxAnswer,
)
from lae_protocol.operator_messages import Numbered


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


def _events() -> Any:
    if tables.narrow():
        return columns(
            *(Column("received (UTC)"), tables.state()),
            *(tables.text("event"), tables.text("kind, outcome")),
        )
    return columns(
        *(Column("received (UTC)"), Column("event"), tables.state(), Column("tries")),
        *(Column("kind"), tables.text("outcome")),
    )


def _event(e: InboxLine) -> tuple[str, ...]:
    at, outcome = tables.moment(e.received_at), e.outcome or ""
    if tables.narrow():
        return (at[:16], e.state, e.event_id, f"{e.kind} {outcome}".strip())
    return (at, e.event_id, e.state, str(e.attempts), e.kind, outcome)


@inbox.command("list")
@asks_daemon
@gives_json
@paged
@click.option("--state", help="Only these.")
def list_events(
    where: Where, as_json: bool, limit: int | None, state: str | None
) -> None:
    """List Stripe's events, newest first."""
    listed = Listed(
        "list_inbox",
        lambda cursor, rows: ListInbox(state, cursor, rows),
        InboxAnswer,
        "events",
        "No such events of Stripe's.",
        _events,
        _event,
    )

    async def work(line: Line) -> None:
        await listed.show(line, limit, as_json=as_json)

    run(where, work)


def _ask_event(where: Where, method: str, event_id: str) -> InboxLine:
    async def work(line: Line) -> Any:
        return await line.ask(method, EventNamed(event_id), InboxEventAnswer)

    told: InboxLine = run(where, work)
    return told


@inbox.command("show")
@asks_daemon
@gives_json
@click.argument("event")
def show_event(where: Where, as_json: bool, event: str) -> None:
    """Show one event of Stripe's (evt_...), and what it was about."""
    told = _ask_event(where, "show_inbox", event)
    if as_json:
        tables.print_json(event=told)
        return
    tables.print_facts(
        ("event", told.event_id),
        ("kind", told.kind),
        ("object", told.object_id or "none"),
        ("state", told.state),
        ("received", tables.moment(told.received_at)),
        *_tries(told),
        ("request", told.request_id),
    )


@inbox.command("retry")
@asks_daemon
@gives_json
@changes
@click.argument("event")
def retry_event(where: Where, as_json: bool, dry_run: bool, event: str) -> None:
    """Work an event off now, also one that was ignored.

    It decides nothing by itself: what it is about is fetched from Stripe.
    """
    told = _ask_event(where, "show_inbox" if dry_run else "retry_inbox", event)
    if as_json:
        tables.print_json(event=told, done=not dry_run)
    elif dry_run:
        click.echo(f"Would work {told.event_id} ({told.kind}, {told.state}) off now.")
    else:
        click.echo(f"{told.event_id} ({told.kind}) is worked off now.")


def _mails() -> Any:
    if tables.narrow():
        return columns(
            *(Column("number"), tables.state(), Column("kind")),
            tables.text("to, outcome"),
        )
    return columns(
        *(Column("number"), Column("queued (UTC)"), Column("signup"), Column("kind")),
        *(tables.state(), Column("tries"), tables.text("to"), tables.text("outcome")),
    )


def _mail(m: MailLine) -> tuple[str, ...]:
    outcome = m.outcome or ""
    if tables.narrow():
        return (str(m.number), m.state, m.kind, f"{m.to} {outcome}".strip())
    return (
        *(str(m.number), tables.moment(m.queued_at), m.signup_id, m.kind),
        *(m.state, str(m.attempts), m.to, outcome),
    )


@outbox.command("list")
@asks_daemon
@gives_json
@paged
@click.option("--signup", type=SIGNUP, help="Only those about this one.")
@click.option("--state", help="Only these.")
def list_mails(
    where: Where,
    as_json: bool,
    limit: int | None,
    signup: str | None,
    state: str | None,
) -> None:
    """List mails, newest first."""

    async def work(line: Line) -> None:
        signup_id = None if signup is None else await meant(line, signup)
        listed = Listed(
            "list_outbox",
            lambda cursor, rows: ListOutbox(signup_id, state, cursor, rows),
            OutboxAnswer,
            "mails",
            "No such mails.",
            _mails,
            _mail,
        )
        await listed.show(line, limit, as_json=as_json)

    run(where, work)


def _ask_mail(where: Where, method: str, number: int) -> MailLine:
    async def work(line: Line) -> Any:
        return await line.ask(method, Numbered(number), MailAnswer)

    told: MailLine = run(where, work)
    return told


@outbox.command("show")
@asks_daemon
@gives_json
@click.argument("number", type=click.IntRange(1))
def show_mail(where: Where, as_json: bool, number: int) -> None:
    """Show one mail; its text is written when it is sent."""
    told = _ask_mail(where, "show_outbox", number)
    if as_json:
        tables.print_json(mail=told)
        return
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


@outbox.command("retry")
@asks_daemon
@gives_json
@changes
@click.argument("number", type=click.IntRange(1))
def retry_mail(where: Where, as_json: bool, dry_run: bool, number: int) -> None:
    """Send a mail now, also one that was refused; to the address of now."""
    told = _ask_mail(where, "show_outbox" if dry_run else "retry_outbox", number)
    if as_json:
        tables.print_json(mail=told, done=not dry_run)
    elif dry_run:
        click.echo(f"Would send mail {told.number} ({told.kind}, {told.state}) now.")
    else:
        click.echo(f"Mail {told.number} ({told.kind}) is sent to {printable(told.to)}.")
