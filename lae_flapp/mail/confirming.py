"""A corrected email address is confirmed by whoever reads its mail, before anything
secret goes there: the furl, or a link that does something.

The letter that asks is ``confirm``.  Mails that have a right in them are held until its
link was opened and the page's button pressed.
"""

from __future__ import annotations

from datetime import timedelta

from lae_flapp.journal import contacts, events, outbox, signups
from lae_flapp.journal.contacts import Contact
from lae_flapp.journal.outbox import Mail
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.address import Address
from lae_protocol.ids import SignupId

#: While mails are held, the address is asked again at most so often.
ASK_AGAIN = timedelta(days=1)
HELD = "the corrected address is not confirmed"
#: States of a signup that is served, whose owner is to have the furl by mail.
_SERVED = frozenset({"active", "past-due"})


def correct(
    tx: WriteTx,
    signup_id: SignupId,
    address: Address,
    occasion: str,
    *,
    who: str = "owner",
) -> None:
    """Use another address from now on, and ask whether it is right.  As long as nobody
    paid nothing was mailed, and it is the address of the order like the one before.

    Raises :class:`AddressConfirmed` where the owner may not.
    """
    typed, smtp = address.as_typed, address.for_smtp
    if signups.get(tx, signup_id).state in signups.UNBUILT:
        contacts.retype(tx, signup_id, typed, smtp)
    else:
        by_operator = who != "owner"
        contacts.correct(tx, signup_id, typed, smtp, by_operator=by_operator)
        ask(tx, signup_id, occasion)
    events.tell(tx, signup_id, "address-corrected", who)


def ask(tx: WriteTx, signup_id: SignupId, occasion: str) -> None:
    """Queue the letter that asks."""
    outbox.put(tx, signup_id, "confirm", occasion)


def asked(tx: ReadTx, contact: Contact) -> tuple[Mail, ...]:
    """The letters that asked this address, oldest first."""
    letters = (m for m in outbox.of(tx, contact.signup_id) if m.kind == "confirm")
    return tuple(m for m in letters if m.queued_at >= contact.since)


def hold(tx: WriteTx, mail: Mail) -> None:
    """Keep the mail until the address is confirmed, and ask for that, unless the
    address was asked a while ago; one that was confirmed meanwhile gets the mail.
    """
    contact = contacts.current(tx, mail.signup_id)
    if not contact.awaits_confirmation:
        return
    outbox.hold(tx, mail.number, HELD)
    letters = asked(tx, contact)
    if not letters or letters[-1].queued_at <= tx.now - ASK_AGAIN:
        ask(tx, mail.signup_id, f"for-{mail.number}")


def confirm(tx: WriteTx, contact: Contact) -> None:
    """Whoever reads this address' mail said that it is theirs: send what was held, and
    the furl, where it went to an earlier address.  The same again changes nothing.
    """
    signup_id = contact.signup_id
    known = contacts.current(tx, signup_id)
    if known.number != contact.number or not known.awaits_confirmation:
        return
    contacts.mark(tx, known.number, "confirmed")
    events.tell(tx, signup_id, "address-confirmed", "owner")
    outbox.release(tx, signup_id)
    send_furl(tx, signup_id)


def send_furl(tx: WriteTx, signup_id: SignupId) -> None:
    """Mail the furl of a served signup to a corrected address, unless such a mail
    waits; like any with rights, it is held until the address is confirmed.
    """
    letters = [m for m in outbox.of(tx, signup_id) if m.kind == "active"]
    if any(m.state == "waiting" for m in letters):
        return
    if signups.get(tx, signup_id).state in _SERVED:
        number = contacts.current(tx, signup_id).number
        outbox.put(tx, signup_id, "active", f"corrected-{number}")
