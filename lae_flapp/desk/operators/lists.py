"""What operators list: one table of nouns, each with its query and its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from attrs import asdict, define

from lae_flapp.desk.operators.asked import Asker, known, line_of
from lae_flapp.journal import contacts, effects, hosts, inbox, listing, outbox
from lae_flapp.journal.effects import Effect
from lae_flapp.journal.hosts import HostRow
from lae_flapp.journal.inbox import InboxEvent
from lae_flapp.journal.outbox import Mail
from lae_flapp.journal.transaction import ReadTx
from lae_flapp.mail.kinds import MAILS
from lae_protocol.box_messages import InboxLine, ListInbox, ListOutbox, MailLine
from lae_protocol.ids import GridLabel
from lae_protocol.looking_messages import ListSignups, ListUsage, Page, SignupRow
from lae_protocol.messages import Refused, SignupState
from lae_protocol.operator_messages import (
    EffectLine,
    HostLine,
    ListEffects,
    ListHosts,
)
from lae_protocol.process.answer import Refusal
from lae_protocol.question import Question


@define(frozen=True)
class Noun:
    """*query* takes the fields of the question by name, and gives rows and the next
    page's cursor; *line* makes a message of a row; *states* are the words of a state.
    """

    query: Callable[..., tuple[Iterable[Any], str | None]]
    line: Callable[[ReadTx, Any], Any]
    states: Any


async def rows(by: Asker, asked: Any) -> Page[Any]:
    """A page of any noun."""
    noun = NOUNS[type(asked)]

    def page(tx: ReadTx) -> Page[Any]:
        filters = asdict(asked, recurse=False)
        if filters.get("signup_id") is not None:
            known(tx, filters["signup_id"])
        if filters["state"] is not None:
            _check_state(filters["state"], noun.states)
        found, cursor = noun.query(tx, **filters)
        return Page(tuple(noun.line(tx, row) for row in found), cursor)

    return await by.read(page)


def _check_state(word: str, states: Any) -> None:
    if word not in get_args(states):
        said = ", ".join(get_args(states))
        raise Refusal(
            Refused("malformed", f"There is no such state; there are: {said}.")
        )


def effect_line(effect: Effect) -> EffectLine:
    """An effect as operators see it."""
    return line_of(EffectLine, effect, effect.key)


def event_line(row: InboxEvent) -> InboxLine:
    """One of Stripe's events as operators see it."""
    return line_of(InboxLine, row)


def mail_line(tx: ReadTx, mail: Mail) -> MailLine:
    """A mail as operators see it."""
    return line_of(MailLine, mail, to=_recipient(tx, mail))


def _signups(
    tx: ReadTx, *, cursor: str | None, limit: int, **which: Any
) -> tuple[tuple[SignupRow, ...], str | None]:
    page = listing.page(tx, listing.Filter(**which), cursor=cursor, limit=limit)
    return page.rows, page.cursor


def _host_line(found: tuple[HostRow, GridLabel]) -> HostLine:
    row, label = found
    return line_of(HostLine, row, grid_label=label, launched_at=row.launch_time)


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


NOUNS: Mapping[type[Question[Page[Any]]], Noun] = {
    ListSignups: Noun(_signups, lambda _, row: row, SignupState),
    ListUsage: Noun(listing.usage_page, lambda _, row: row, SignupState),
    ListHosts: Noun(listing.host_page, lambda _, row: _host_line(row), hosts.HostState),
    ListEffects: Noun(
        effects.page, lambda _, row: effect_line(row), effects.EffectState
    ),
    ListInbox: Noun(inbox.page, lambda _, row: event_line(row), inbox.InboxState),
    ListOutbox: Noun(outbox.page, mail_line, outbox.MailState),
}
