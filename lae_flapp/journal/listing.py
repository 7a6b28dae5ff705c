"""What operators search: signups, newest first, a page at a time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select

from lae_flapp.journal.contacts import CONTACTS
from lae_flapp.journal.errors import BadCursor
from lae_flapp.journal.hosts import HOSTS
from lae_flapp.journal.signups import SIGNUPS
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.ids import SignupId
from lae_protocol.messages import SignupPage, SignupRow, SignupState

#: No page is longer, whatever is asked for.
LONGEST = 500


def page(
    tx: ReadTx,
    *,
    state: SignupState | None = None,
    text: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> SignupPage:
    """One page.  *text* is a piece of an address, or the start of an id or label.

    *cursor* is that of the page before; raises :class:`BadCursor` for another.
    """
    length = max(1, min(limit, LONGEST))
    query = _rows()
    if state is not None:
        query = query.where(SIGNUPS.c.state == state)
    if text:
        query = query.where(_matches(text))
    if cursor is not None:
        query = query.where(SIGNUPS.c.number < _number(cursor))
    # One more than asked for tells whether another page follows.
    found = tx.all(query.order_by(SIGNUPS.c.number.desc()).limit(length + 1))
    shown = found[:length]
    more = str(shown[-1].number) if len(found) > length else None
    return SignupPage(tuple(SignupRow(*row[1:]) for row in shown), more)


def row(tx: ReadTx, signup_id: SignupId) -> SignupRow | None:
    """One line of the list."""
    found = tx.first(_rows().where(SIGNUPS.c.signup_id == signup_id))
    return None if found is None else SignupRow(*found[1:])


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
        )
        .join(
            CONTACTS,
            and_(
                CONTACTS.c.signup_id == SIGNUPS.c.signup_id,
                CONTACTS.c.until.is_(None),
            ),
        )
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


def _number(cursor: str) -> int:
    if not cursor.isdecimal() or len(cursor) > 18:  # noqa: PLR2004 - fits SQLite
        raise BadCursor("not a cursor")
    return int(cursor)
