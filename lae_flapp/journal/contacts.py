"""Mail addresses: the one table with personal data, history included."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from attrs import define, field
from sqlalchemy import (
    ColumnElement,
    Index,
    Integer,
    String,
    Table,
    and_,
    exists,
    insert,
    select,
    update,
)

from lae_flapp.journal.columns import (
    METADATA,
    Moment,
    Word,
    column,
    only_one,
    signup_column,
)
from lae_flapp.journal.errors import AddressConfirmed, Unknown
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SignupId

AddressState = Literal["unconfirmed", "confirmed", "bouncing"]

CONTACTS = Table(
    "contacts",
    METADATA,
    column("number", Integer, purpose="mails name an address by it", primary_key=True),
    signup_column(),
    column("typed", String(320), purpose="as typed, to be shown", personal=True),
    column("smtp", String(320), purpose="as SMTP takes it", personal=True),
    column("folded", String(320), purpose="operators search it", personal=True),
    column("state", Word(AddressState), purpose="does mail arrive"),
    column("since", Moment, purpose="when it was given"),
    column("changed_at", Moment, purpose="when the state changed"),
    column("until", Moment, purpose="when another took its place", nullable=True),
    Index("ix_contacts_signup_id", "signup_id"),
    only_one("uq_contacts_current", "signup_id", where="until IS NULL"),
    # A mail to an old address may bounce late: its number must never be another's.
    sqlite_autoincrement=True,
)


@define(frozen=True)
class Contact:
    """An address; *smtp* has the local part as typed and the domain as A-labels.

    *corrected*: it took an earlier one's place.
    """

    number: int
    signup_id: SignupId
    typed: str = field(repr=False)
    smtp: str = field(repr=False)
    state: AddressState
    since: datetime
    changed_at: datetime
    until: datetime | None
    corrected: bool = False

    @property
    def awaits_confirmation(self) -> bool:
        """Whether nothing secret may go there yet: nobody who reads its mail has said
        that it is theirs.  The address given with the order needs nobody's word.
        """
        return self.corrected and self.state != "confirmed"


_SHOWN = [one for one in CONTACTS.c if one.name != "folded"]
_EARLIER = CONTACTS.alias("earlier")
#: Whether a row of the table took an earlier one's place.
CORRECTED: ColumnElement[bool] = exists().where(
    _EARLIER.c.signup_id == CONTACTS.c.signup_id,
    _EARLIER.c.number < CONTACTS.c.number,
)
#: As :attr:`Contact.awaits_confirmation`, for lists.
AWAITS_CONFIRMATION = and_(CORRECTED, CONTACTS.c.state != "confirmed")
_QUERY = select(*_SHOWN, CORRECTED)
_CURRENT = CONTACTS.c.until.is_(None)


def put(tx: WriteTx, signup_id: SignupId, typed: str, smtp: str) -> Contact:
    """Give a signup its first address; where it has one, that one stays."""
    known = find(tx, signup_id)
    if known is None:
        _add(tx, signup_id, typed, smtp)
    return current(tx, signup_id)


def find(tx: ReadTx, signup_id: SignupId) -> Contact | None:
    """The present address, if there is one."""
    row = tx.first(_QUERY.where(CONTACTS.c.signup_id == signup_id, _CURRENT))
    return None if row is None else Contact(*row)


def current(tx: ReadTx, signup_id: SignupId) -> Contact:
    """The present address; raises :class:`Unknown`."""
    found = find(tx, signup_id)
    if found is None:
        raise Unknown(f"no address of {signup_id}")
    return found


def history(tx: ReadTx, signup_id: SignupId) -> tuple[Contact, ...]:
    """All addresses, oldest first."""
    query = _QUERY.where(CONTACTS.c.signup_id == signup_id)
    return tuple(Contact(*row) for row in tx.all(query.order_by(CONTACTS.c.number)))


def correct(
    tx: WriteTx,
    signup_id: SignupId,
    typed: str,
    smtp: str,
    *,
    by_operator: bool = False,
) -> Contact:
    """Put another address in place of the present one.

    The same address changes nothing.  Raises :class:`AddressConfirmed`, unless an
    operator does it, who has heard from the customer.
    """
    known = current(tx, signup_id)
    if known.state == "confirmed" and not by_operator:
        raise AddressConfirmed("the address is confirmed")
    if (known.typed, known.smtp) == (typed, smtp):
        return known
    tx.run(
        update(CONTACTS).where(CONTACTS.c.number == known.number).values(until=tx.now)
    )
    _add(tx, signup_id, typed, smtp)
    return current(tx, signup_id)


def retype(tx: WriteTx, signup_id: SignupId, typed: str, smtp: str) -> None:
    """Put another address in place of one to which nothing was mailed yet: it is the
    first as much as that one was, and leaves no history.
    """
    here = (CONTACTS.c.signup_id == signup_id, _CURRENT)
    given = _new_values(tx, typed, smtp)
    tx.run(update(CONTACTS).where(*here).values(**given))


def mark(tx: WriteTx, number: int, state: AddressState) -> None:
    """Say whether mail arrives at the address of this number, present or past."""
    tx.run(
        update(CONTACTS)
        .where(CONTACTS.c.number == number, CONTACTS.c.state != state)
        .values(state=state, changed_at=tx.now)
    )


def _add(tx: WriteTx, signup_id: SignupId, typed: str, smtp: str) -> None:
    given = _new_values(tx, typed, smtp)
    tx.run(insert(CONTACTS).values(signup_id=signup_id, **given))


def _new_values(tx: WriteTx, typed: str, smtp: str) -> dict[str, Any]:
    return {
        "typed": typed,
        "smtp": smtp,
        "folded": typed.casefold(),
        "state": "unconfirmed",
        "since": tx.now,
        "changed_at": tx.now,
    }
