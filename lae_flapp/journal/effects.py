"""Effects: what was asked of the outside, whole, before it was asked; and what came
of it.

The caller looks first (``last``, ``upcoming``).  An unfinished effect is repeated with
the request and the token of its row, byte for byte; a finished one is followed by a
new attempt with a new token.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal

from attrs import define, field
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Index,
    Integer,
    LargeBinary,
    Row,
    Select,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    null,
    select,
    update,
)

from lae_flapp.journal.columns import (
    METADATA,
    Kept,
    Moment,
    Word,
    column,
    signup_column,
)
from lae_flapp.journal.errors import EffectOpen, StateChanged, Unknown
from lae_flapp.journal.pages import paged
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import Generation, SignupId

EffectState = Literal[
    "begun",  # it may have happened
    "done",  # it happened; `outcome` says what
    "failed",  # it did not, and this request will not be sent again
]

#: Purposes are short, so that a token stays within EC2's 64 characters.
PURPOSE = re.compile(r"[a-z][a-z0-9-]{0,25}")

#: The generation of effects that concern no host.
NO_HOST = Generation(0)

EFFECTS = Table(
    "effects",
    METADATA,
    column("number", Integer, purpose="order of all effects", primary_key=True),
    signup_column(),
    column("generation", Integer, purpose="of the host; 0 where it has none"),
    column("step", String(26), purpose="of the routine, or who asks"),
    column("purpose", String(26), purpose="what is asked, in a word"),
    column("attempt", Integer, purpose="grows by one when an attempt failed"),
    column("token", String(64), purpose="idempotency token", unique=True),
    column(
        "request",
        LargeBinary,
        purpose="whole and rendered, to be repeated byte for byte",
        kept=Kept.SETTLED,
        nullable=True,
    ),
    column("sealed", Boolean, purpose="is the request sealed (it holds a secret)"),
    column("state", Word(EffectState), purpose="what is known of it"),
    column("outcome", Text, purpose="what came of it, without secrets", nullable=True),
    column("begun_at", Moment, purpose="before it was asked"),
    column("changed_at", Moment, purpose="when it was last tried or settled"),
    column("tries", Integer, purpose="how often this request was sent in vain"),
    UniqueConstraint("signup_id", "purpose", "generation", "attempt"),
    # What may still be sent again has its request.
    CheckConstraint("state != 'begun' OR request IS NOT NULL", "begun_has_request"),
    Index("ix_effects_state_number", "state", "number"),
    sqlite_autoincrement=True,
)


def _short(_: object, attribute: Any, value: str) -> None:
    if not PURPOSE.fullmatch(value):
        raise ValueError(f"{attribute.name} must match {PURPOSE.pattern}")


@define(frozen=True)
class EffectKey:
    """What is asked for whom; *generation* is the host's, 0 where it has none."""

    signup_id: SignupId
    step: str = field(validator=_short)
    purpose: str = field(validator=_short)
    generation: Generation = NO_HOST


@define(frozen=True)
class Ticket:
    """The next attempt: the token to render into the request."""

    key: EffectKey
    attempt: int
    token: str


@define(frozen=True)
class Effect:
    """A row.  *request* is None when it was forgotten after its time."""

    number: int
    key: EffectKey
    attempt: int
    token: str
    request: bytes | None = field(repr=False)
    sealed: bool
    state: EffectState
    outcome: str | None
    begun_at: datetime
    changed_at: datetime
    tries: int


def upcoming(tx: ReadTx, key: EffectKey) -> Effect | Ticket:
    """The unfinished effect, to be repeated as it stands; or the next attempt's ticket.

    That something is done already does not stop a new attempt: look at :func:`last`.
    """
    newest = last(tx, key)
    if newest is not None and newest.state == "begun":
        return newest
    attempt = 1 if newest is None else newest.attempt + 1
    token = f"{key.signup_id}-{key.purpose}-{key.generation}-{attempt}"
    return Ticket(key, attempt, token)


def begin(
    tx: WriteTx,
    ticket: Ticket,
    request: bytes,
    *,
    sealed: bool = False,
    outcome: str | None = None,
) -> Effect:
    """Write down what is about to be asked; then commit; then ask.

    *outcome* is what there is to say until then, where nobody asks at once.  A request
    with a secret in it must be *sealed* by the caller.  Raises :class:`EffectOpen`
    where the ticket is not the next one any more.
    """
    if upcoming(tx, ticket.key) != ticket:
        raise EffectOpen(f"{ticket.token} is not the next attempt")
    key = ticket.key
    number = tx.insert(
        insert(EFFECTS).values(
            signup_id=key.signup_id,
            generation=key.generation,
            step=key.step,
            purpose=key.purpose,
            attempt=ticket.attempt,
            token=ticket.token,
            request=request,
            sealed=sealed,
            state="begun",
            outcome=outcome,
            begun_at=tx.now,
            changed_at=tx.now,
            tries=0,
        )
    )
    return get(tx, number)


def finish(tx: WriteTx, number: int, outcome: str) -> None:
    """It happened; *outcome* is what a restart must know, without secrets.

    Saying the same again changes nothing; raises :class:`StateChanged` otherwise.
    """
    _settle(tx, number, "done", outcome)


def fail(tx: WriteTx, number: int, outcome: str) -> None:
    """It did not happen and this request is given up; the next is a new attempt."""
    _settle(tx, number, "failed", outcome)


def tried(tx: WriteTx, number: int, outcome: str) -> None:
    """It may have happened or not (no reply, throttled): to be repeated later."""
    values = {"outcome": outcome, "changed_at": tx.now, "tries": EFFECTS.c.tries + 1}
    begun = (EFFECTS.c.number == number, EFFECTS.c.state == "begun")
    if not tx.run(update(EFFECTS).where(*begun).values(**values)):
        raise StateChanged(f"effect {number}", get(tx, number).state)


def get(tx: ReadTx, number: int) -> Effect:
    """The row; raises :class:`Unknown`."""
    found = _effects(tx, select(EFFECTS).where(EFFECTS.c.number == number))
    if not found:
        raise Unknown(f"no effect {number}")
    return found[0]


def last(tx: ReadTx, key: EffectKey) -> Effect | None:
    """The newest attempt of this key, if there was one."""
    query = select(EFFECTS).where(
        EFFECTS.c.signup_id == key.signup_id,
        EFFECTS.c.purpose == key.purpose,
        EFFECTS.c.generation == key.generation,
    )
    found = _effects(tx, query.order_by(EFFECTS.c.attempt.desc()).limit(1))
    return found[0] if found else None


def of(tx: ReadTx, signup_id: SignupId) -> tuple[Effect, ...]:
    """All of a signup, in the order in which they were begun."""
    query = select(EFFECTS).where(EFFECTS.c.signup_id == signup_id)
    return _effects(tx, query.order_by(EFFECTS.c.number))


def of_purpose(tx: ReadTx, purpose: str, *, ending: str) -> tuple[SignupId, ...]:
    """Whose effects of this *purpose* have no outcome, or had one with this end."""
    told = EFFECTS.c.outcome.endswith(ending, autoescape=True)
    query = select(EFFECTS.c.signup_id).distinct()
    rows = tx.all(
        query.where(
            EFFECTS.c.purpose == purpose, (EFFECTS.c.state == "begun") | told
        ).order_by(EFFECTS.c.signup_id)
    )
    return tuple(SignupId(row.signup_id) for row in rows)


def unfinished(tx: ReadTx) -> tuple[Effect, ...]:
    """All that may or may not have happened, oldest first."""
    query = select(EFFECTS).where(EFFECTS.c.state == "begun")
    return _effects(tx, query.order_by(EFFECTS.c.number))


def page(
    tx: ReadTx,
    *,
    signup_id: SignupId | None = None,
    state: EffectState | None = None,
    step: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[tuple[Effect, ...], str | None]:
    """Newest first, without requests; and the next page's cursor.

    Raises :class:`BadCursor`.
    """
    query = select(
        *(c if c.name != "request" else null().label("request") for c in EFFECTS.c)
    )
    for condition, column_ in (
        (signup_id, EFFECTS.c.signup_id),
        (state, EFFECTS.c.state),
        (step, EFFECTS.c.step),
    ):
        if condition is not None:
            query = query.where(column_ == condition)
    rows, more = paged(tx, query, EFFECTS.c.number, cursor, limit)
    return tuple(map(_effect, rows)), more


def _settle(tx: WriteTx, number: int, state: EffectState, outcome: str) -> None:
    values = {"state": state, "outcome": outcome, "changed_at": tx.now}
    begun = (EFFECTS.c.number == number, EFFECTS.c.state == "begun")
    if tx.run(update(EFFECTS).where(*begun).values(**values)):
        return
    known = get(tx, number)
    if (known.state, known.outcome) != (state, outcome):
        raise StateChanged(f"effect {number}", known.state)


def _effects(tx: ReadTx, query: Select[Any]) -> tuple[Effect, ...]:
    return tuple(map(_effect, tx.all(query)))


def _effect(row: Row[Any]) -> Effect:
    return Effect(
        number=row.number,
        key=EffectKey(
            SignupId(row.signup_id), row.step, row.purpose, Generation(row.generation)
        ),
        attempt=row.attempt,
        token=row.token,
        request=row.request,
        sealed=row.sealed,
        state=row.state,
        outcome=row.outcome,
        begun_at=row.begun_at,
        changed_at=row.changed_at,
        tries=row.tries,
    )
