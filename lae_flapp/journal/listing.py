"""What operators search: signups, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from attrs import define, evolve
from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    and_,
    case,
    cast,
    false,
    func,
    or_,
    select,
    true,
)

from lae_flapp.journal import host_troubles
from lae_flapp.journal.contacts import AWAITS_CONFIRMATION, CONTACTS
from lae_flapp.journal.hosts import HOSTS, HostRow, HostState
from lae_flapp.journal.lifecycles import LIFECYCLES
from lae_flapp.journal.pages import LONGEST, number_of, paged
from lae_flapp.journal.signups import SIGNUPS, SUBSCRIBED
from lae_flapp.journal.transaction import ReadTx
from lae_flapp.journal.usage import USAGE
from lae_protocol.ids import GridLabel, SignupId
from lae_protocol.looking_messages import Page, SignupRow, UsageLine
from lae_protocol.messages import SignupState

#: Of quota or traffic: from here on somebody should look.
NEAR = 0.9
#: A signup that is cancelled and still served, and when that ends.
_LEAVING = and_(LIFECYCLES.c.wish == "leave", SIGNUPS.c.state.in_(SUBSCRIBED))
_ENDS_AT = func.coalesce(LIFECYCLES.c.ends_at, LIFECYCLES.c.paid_until)


@define(frozen=True)
class Filter:
    """Which signups.  *text* is a piece of an address, or the start of an id or label;
    *waiting* leaves those that have a problem, *leaving* those that are cancelled and
    still served; times are of the registration.
    """

    state: SignupState | None = None
    text: str | None = None
    plan_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    waiting: bool = False
    leaving: bool = False

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """What a row must fulfil."""
        if self.state is not None:
            yield SIGNUPS.c.state == self.state
        if self.text:
            yield _matches(self.text)
        if self.plan_id is not None:
            yield SIGNUPS.c.plan_id == self.plan_id
        if self.since is not None:
            yield SIGNUPS.c.created_at >= self.since
        if self.until is not None:
            yield SIGNUPS.c.created_at < self.until
        if self.waiting:
            yield or_(
                SIGNUPS.c.problem.is_not(None),
                SIGNUPS.c.signup_id.in_(host_troubles.SAYING_SO),
                SIGNUPS.c.signup_id.in_(host_troubles.REFUSED),
            )
        if self.leaving:
            yield _LEAVING


def page(
    tx: ReadTx, which: Filter, *, cursor: str | None = None, limit: int = 100
) -> Page[SignupRow]:
    """One page.  *cursor* is that of the page before; raises :class:`BadCursor` for
    another.
    """
    query = _rows().where(*which.conditions())
    shown, more = paged(tx, query, SIGNUPS.c.number, cursor, limit)
    rows = tuple(SignupRow(*row[1:]) for row in shown)
    return Page(_with_hosts_problems(tx, rows), more)


def host_page(
    tx: ReadTx,
    *,
    state: HostState | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[tuple[tuple[HostRow, GridLabel], ...], str | None]:
    """Hosts with their grid's label, of the newest signup first; without a *state*
    those that are not gone.  And the next page's cursor.  Raises :class:`BadCursor`.
    """
    length = max(1, min(limit, LONGEST))
    label = SIGNUPS.c.grid_label
    query = select(SIGNUPS.c.number, label, HOSTS).join(
        HOSTS, HOSTS.c.signup_id == SIGNUPS.c.signup_id
    )
    alive = HOSTS.c.state != "gone" if state is None else HOSTS.c.state == state
    if cursor is not None:
        number, _, generation = cursor.partition(".")
        before, at = SIGNUPS.c.number < number_of(number), number_of(generation)
        same = and_(SIGNUPS.c.number == number_of(number), HOSTS.c.generation < at)
        query = query.where(or_(before, same))
    order = (SIGNUPS.c.number.desc(), HOSTS.c.generation.desc())
    found = tx.all(query.where(alive).order_by(*order).limit(length + 1))
    shown = tuple((HostRow(*row[2:]), GridLabel(row[1])) for row in found[:length])
    last = found[:length][-1] if len(found) > length else None
    return shown, None if last is None else f"{last.number}.{last.generation}"


def usage_page(
    tx: ReadTx,
    *,
    state: SignupState | None = None,
    plan_id: str | None = None,
    near: bool = False,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[tuple[UsageLine, ...], str | None]:
    """What subscriptions hold and sent this month, newest first; *near*: those that
    hold or sent :data:`NEAR` of what was agreed.  And the next page's cursor.
    """
    first = tx.now.date().replace(day=1).isoformat()
    of = USAGE.c.signup_id.label("signup_id")
    # As floats, which do not overflow: a host may have told anything.
    month = select(of, func.sum(cast(USAGE.c.sent, Float)).label("sent")).where(
        USAGE.c.day >= first
    )
    sent = month.group_by(USAGE.c.signup_id).subquery()
    newest = select(of, func.max(USAGE.c.day).label("day"))
    last = newest.group_by(USAGE.c.signup_id).subquery()
    same = and_(USAGE.c.signup_id == last.c.signup_id, USAGE.c.day == last.c.day)
    query = (
        select(
            SIGNUPS.c.number,
            SIGNUPS.c.signup_id,
            SIGNUPS.c.state,
            CONTACTS.c.typed,
            SIGNUPS.c.plan_id,
            USAGE.c.stored,
            SIGNUPS.c.quota,
            func.coalesce(sent.c.sent, 0).label("sent"),
            SIGNUPS.c.traffic,
            last.c.day,
        )
        .join(
            CONTACTS,
            and_(
                CONTACTS.c.signup_id == SIGNUPS.c.signup_id,
                CONTACTS.c.until.is_(None),
            ),
        )
        .outerjoin(sent, sent.c.signup_id == SIGNUPS.c.signup_id)
        .outerjoin(last, last.c.signup_id == SIGNUPS.c.signup_id)
        .outerjoin(USAGE, same)
    )
    states = SUBSCRIBED if state is None else {state}
    query = query.where(SIGNUPS.c.state.in_(states))
    if plan_id is not None:
        query = query.where(SIGNUPS.c.plan_id == plan_id)
    if near:
        holds = cast(USAGE.c.stored, Float) >= NEAR * SIGNUPS.c.quota
        query = query.where(or_(holds, sent.c.sent >= NEAR * SIGNUPS.c.traffic))
    rows, more = paged(tx, query, SIGNUPS.c.number, cursor, limit)
    return tuple(map(_usage_line, rows)), more


def _usage_line(found: Any) -> UsageLine:
    told: list[Any] = [int(v) if isinstance(v, float) else v for v in found[1:]]
    return UsageLine(*told)


def row(tx: ReadTx, signup_id: SignupId) -> SignupRow | None:
    """One line of the list."""
    found = tx.first(_rows().where(SIGNUPS.c.signup_id == signup_id))
    if found is None:
        return None
    return _with_hosts_problems(tx, (SignupRow(*found[1:]),))[0]


def _with_hosts_problems(
    tx: ReadTx, rows: tuple[SignupRow, ...]
) -> tuple[SignupRow, ...]:
    """A signup that has no problem of its own has its host's."""
    words = host_troubles.words_for(tx, {row.signup_id for row in rows})
    return tuple(
        evolve(row, problem=row.problem or words.get(row.signup_id)) for row in rows
    )


def _rows() -> Select[Any]:
    """The columns of ``SignupRow`` in order, after the number."""
    return (
        select(
            SIGNUPS.c.number,
            SIGNUPS.c.signup_id,
            SIGNUPS.c.state,
            CONTACTS.c.typed,
            CONTACTS.c.state,
            SIGNUPS.c.plan_id,
            SIGNUPS.c.grid_label,
            HOSTS.c.instance_id,
            SIGNUPS.c.created_at,
            SIGNUPS.c.changed_at,
            SIGNUPS.c.problem,
            case((_LEAVING, true()), else_=false()).label("leaving"),
            case((_LEAVING, _ENDS_AT)).label("ends_at"),
            AWAITS_CONFIRMATION.label("awaits_confirmation"),
        )
        .join(
            CONTACTS,
            and_(
                CONTACTS.c.signup_id == SIGNUPS.c.signup_id,
                CONTACTS.c.until.is_(None),
            ),
        )
        .outerjoin(LIFECYCLES, LIFECYCLES.c.signup_id == SIGNUPS.c.signup_id)
        .outerjoin(
            HOSTS,
            and_(HOSTS.c.signup_id == SIGNUPS.c.signup_id, HOSTS.c.state != "gone"),
        )
    )


def _matches(text: str) -> ColumnElement[bool]:
    return or_(
        SIGNUPS.c.signup_id.startswith(text, autoescape=True),
        SIGNUPS.c.grid_label.startswith(text, autoescape=True),
        CONTACTS.c.folded.contains(text.casefold(), autoescape=True),
        CONTACTS.c.smtp.contains(text, autoescape=True),
    )
