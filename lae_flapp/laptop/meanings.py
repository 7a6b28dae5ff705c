"""What a turn of a subscription means in each state, in an operator's words."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define

from lae_protocol.messages import SignupState


@define(frozen=True)
class Meaning:
    """One sentence or two; where it *changes* nothing, they say why."""

    words: str
    changes: bool = True


#: What each of the commands means.
Meanings = Mapping[SignupState, Meaning]


def _nothing(words: str) -> Meaning:
    return Meaning(words, changes=False)


_UNPAID = Meaning("It is not paid: nothing is charged, and its place is given back.")
_OVERDUE = Meaning(
    "It is not paid any more and ends now: its open invoices are voided, host and role"
    " go, and the data is kept for the plan's time."
)

CANCELLING: Meanings = {
    "registered": _UNPAID,
    "expired": _UNPAID,
    "paying": Meaning(
        "Its payment page is closed first; if it was paid a moment ago, the money goes"
        " back."
    ),
    "paid": Meaning(
        "It is paid and not served yet: the money goes back, what was built is removed,"
        " and the customer gets a mail."
    ),
    "active": Meaning(
        "It goes on until the end of what is paid; then host and role go, and the data"
        " is kept for the plan's time.  With --at-once, and of a gift, that is now."
    ),
    "past-due": _OVERDUE,
    "suspended": _OVERDUE,
    "stopped": _OVERDUE,
    "ending": _nothing("It ends already."),
    "ended": _nothing("It has ended; its data is kept until its time is over."),
    "deleting": _nothing("It has ended, and its data is being deleted."),
    "deleted": _nothing("It has ended, and its data is deleted."),
    "refunding": _nothing("Its money goes back already."),
    "refunded": _nothing("Its money went back."),
    "cancelled": _nothing("It is cancelled."),
}

_INVOICE = _nothing("It goes on as soon as its open invoice is paid.")
_NOT_PAID = _nothing("It was not paid: its owner can sign up anew.")
_TOO_LATE = _nothing("Its data is gone: its owner can sign up anew.")
_BACK = _nothing("Its money goes back: its owner can sign up anew.")

REACTIVATING: Meanings = {
    "registered": _NOT_PAID,
    "paying": _NOT_PAID,
    "paid": _nothing("It is paid, and being built."),
    "active": Meaning("If it is cancelled, that is taken back, and it renews."),
    "past-due": Meaning(
        "If it is cancelled, that is taken back; its open invoice still has to be paid."
    ),
    "suspended": _INVOICE,
    "stopped": _INVOICE,
    "ending": _nothing("It is ending: once it has ended its owner can be invited."),
    "ended": Meaning(
        "Its owner gets a mail with the link by which to pay again; then the same"
        " address and the same data are back."
    ),
    "deleting": _TOO_LATE,
    "deleted": _TOO_LATE,
    "refunding": _BACK,
    "refunded": _BACK,
    "expired": _NOT_PAID,
    "cancelled": _NOT_PAID,
}

_NO_DATA = _nothing("It has no kept data.")
_SERVED = _nothing("It has not ended: cancel it first.")

DELETING: Meanings = {
    "registered": _NO_DATA,
    "paying": _NO_DATA,
    "paid": _NO_DATA,
    "active": _SERVED,
    "past-due": _SERVED,
    "suspended": _SERVED,
    "stopped": _SERVED,
    "ending": _nothing("It is ending: once it has ended its data can be deleted."),
    "ended": Meaning(
        "All that it stored is deleted now, with all versions, and nothing brings it"
        " back; its owner gets a receipt."
    ),
    "deleting": _nothing("Its data is being deleted."),
    "deleted": _nothing("Its data is deleted."),
    "refunding": _NO_DATA,
    "refunded": _NO_DATA,
    "expired": _NO_DATA,
    "cancelled": _NO_DATA,
}
