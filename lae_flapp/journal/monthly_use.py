"""Who had a grid, or data, in a month: a page of them, with all that it cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from attrs import define
from sqlalchemy import and_, func, or_, select

from lae_flapp.costs.month import GridMonth, Month, Span
from lae_flapp.journal import usage
from lae_flapp.journal.contacts import CONTACTS
from lae_flapp.journal.gifts import GIFTS
from lae_flapp.journal.hosts import HOSTS
from lae_flapp.journal.lifecycles import LIFECYCLES
from lae_flapp.journal.pages import paged
from lae_flapp.journal.sessions import SESSIONS
from lae_flapp.journal.signups import SIGNUPS, SUBSCRIBED, UNBUILT
from lae_flapp.journal.transaction import ReadTx
from lae_flapp.journal.usage import USAGE
from lae_protocol.ids import SignupId
from lae_protocol.messages import SignupState, UsageDay

#: Their bucket is gone since the state changed.
_BUCKET_GONE: frozenset[SignupState] = frozenset({"deleted", "refunded"})
#: Their money went back.
_GIVEN_BACK: frozenset[SignupState] = frozenset({"refunding", "refunded"})


@define(frozen=True)
class CustomerMonth:
    """Who it is, and the month of their grid."""

    signup_id: SignupId
    state: SignupState
    email: str
    plan_id: str
    grid: GridMonth


def page(
    tx: ReadTx, month: Month, *, cursor: str | None = None, limit: int = 100
) -> tuple[tuple[CustomerMonth, ...], str | None]:
    """Customers of the month, newest first, and the next page's cursor.  Raises
    :class:`~lae_flapp.journal.errors.BadCursor`.
    """
    s, contact = SIGNUPS.c, CONTACTS.c
    gone = and_(s.state.in_(_BUCKET_GONE), s.changed_at <= month.since)
    kept = and_(SESSIONS.c.signup_id == s.signup_id, SESSIONS.c.kept)
    named = and_(contact.signup_id == s.signup_id, contact.until.is_(None))
    query = (
        select(
            *(s.number, s.signup_id, s.state, s.changed_at),
            *(s.plan_id, s.price, s.currency, s.interval),
            func.coalesce(contact.typed, "").label("email"),
            SESSIONS.c.closed_at.label("paid_at"),
            LIFECYCLES.c.paid_until,
            LIFECYCLES.c.ended_at,
            GIFTS.c.given_at,
        )
        .outerjoin(CONTACTS, named)
        .outerjoin(SESSIONS, kept)
        .outerjoin(LIFECYCLES, LIFECYCLES.c.signup_id == s.signup_id)
        .outerjoin(GIFTS, GIFTS.c.signup_id == s.signup_id)
        .where(s.state.not_in(UNBUILT), s.created_at <= month.until, ~gone)
    )
    rows, more = paged(tx, query, s.number, cursor, limit)
    ids = [row.signup_id for row in rows]
    spans, before, days = _hosts(tx, month, ids), _before(tx, month, ids), _days
    told = days(tx, month, ids)
    return tuple(
        CustomerMonth(
            SignupId(row.signup_id),
            row.state,
            row.email,
            row.plan_id,
            GridMonth(
                row.price,
                row.currency,
                row.interval,
                hosts=tuple(spans[row.signup_id]),
                before=before.get(row.signup_id),
                days=tuple(told[row.signup_id]),
                gone_at=row.changed_at if row.state in _BUCKET_GONE else None,
                paid=_paid(row),
            ),
        )
        for row in rows
    ), more


def _paid(row: Any) -> Span | None:
    """The time that the present subscription is paid for, or the last one was."""
    if row.paid_at is None or row.given_at is not None or row.state in _GIVEN_BACK:
        return None
    if row.state in SUBSCRIBED:
        # Before Stripe was read there is no end, and it is paid.
        return row.paid_at, row.paid_until
    ends = [end for end in (row.paid_until, row.ended_at) if end is not None]
    return row.paid_at, min(ends, default=row.paid_at)


def _hosts(tx: ReadTx, month: Month, ids: list[str]) -> dict[str, list[Span]]:
    """From the launch until it was seen gone, of each host of the month."""
    host = HOSTS.c
    query = select(host.signup_id, host.launch_time, host.state, host.changed_at)
    lived = or_(host.state != "gone", host.changed_at > month.since)
    spans: dict[str, list[Span]] = defaultdict(list)
    for row in tx.all(
        query.where(
            host.signup_id.in_(ids),
            host.launch_time.is_not(None),
            host.launch_time < month.until,
            lived,
        )
    ):
        end = row.changed_at if row.state == "gone" else None
        spans[row.signup_id].append((row.launch_time, end))
    return spans


def _days(tx: ReadTx, month: Month, ids: list[str]) -> dict[str, list[UsageDay]]:
    first, last = month.since.date().isoformat(), month.end.date().isoformat()
    query = select(USAGE).where(
        USAGE.c.signup_id.in_(ids), USAGE.c.day >= first, USAGE.c.day < last
    )
    return _by_signup(tx.all(query))


def _before(tx: ReadTx, month: Month, ids: list[str]) -> dict[str, UsageDay]:
    """The last day that was told of before the month."""
    of = USAGE.c.signup_id.label("signup_id")
    first = month.since.date().isoformat()
    newest = select(of, func.max(USAGE.c.day).label("day")).where(
        USAGE.c.signup_id.in_(ids), USAGE.c.day < first
    )
    last = newest.group_by(USAGE.c.signup_id).subquery()
    same = and_(USAGE.c.signup_id == last.c.signup_id, USAGE.c.day == last.c.day)
    found = _by_signup(tx.all(select(USAGE).join(last, same)))
    return {signup_id: days[0] for signup_id, days in found.items()}


def _by_signup(rows: Iterable[Any]) -> dict[str, list[UsageDay]]:
    """Those that can be read: a host may have told anything."""
    found: dict[str, list[UsageDay]] = defaultdict(list)
    for row in rows:
        day = usage.read_day(row)
        if day is not None:
            found[row.signup_id].append(day)
    return found
