"""What operators ask for: the same turns, with a plain no where nothing is to do.

Functions of ``(tx, signup_id, who, why)`` for the operator's facet to run in the
journal.  Cancelling, which has to ask Stripe before, is
:mod:`lae_flapp.desk.operators.cancelling`.
"""

from __future__ import annotations

from collections.abc import Callable

from lae_flapp.journal import events, gifts, lifecycles, outbox, signups
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.life import ending
from lae_protocol.ids import SignupId
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal

AskedFor = Callable[[WriteTx, SignupId, str, str], object]


def reactivate(tx: WriteTx, signup_id: SignupId, who: str, why: str) -> str:
    """Take a cancellation back; of one that has ended, mail its owner the way back.

    Nobody but the customer can pay, so an ended subscription comes back by the link in
    that mail; what was given has no price to pay.  Raises
    :class:`~lae_protocol.process.answer.Refusal` where there is no way back.
    """
    signup = signups.get(tx, signup_id)
    life = lifecycles.get(tx, signup_id)
    if signup.state == "ended":
        if gifts.find(tx, signup_id) is not None:
            raise _no("It was given, and cannot be paid for: give another one.")
        if life.kept_until is not None and tx.now >= life.kept_until:
            raise _no("The time in which this could be continued is over.")
        number = events.note(tx, signup_id, "invited-back", who, why)
        outbox.put(tx, signup_id, "ended", f"again-{number}")
        return "invited"
    if signup.state in {"active", "past-due"} and life.wish == "leave":
        ending.stay(tx, signup_id, who, why)
        return "stays"
    if signup.state in {"past-due", "suspended", "stopped"}:
        raise _no("It goes on as soon as its open invoice is paid.")
    if signup.state == "active":
        raise _no("Nothing to do: it is not cancelled.")
    raise _no(f"What is {signup.state} cannot be brought back.")


def delete(tx: WriteTx, signup_id: SignupId, who: str, why: str) -> str:
    """Delete now what is kept, as its owner asked; a receipt is mailed."""
    signup = signups.get(tx, signup_id)
    if signup.state in {"deleting", "deleted"}:
        raise _no(f"Nothing to do: it is {signup.state} already.")
    if signup.state in {"active", "past-due", "suspended", "stopped"}:
        raise _no(f"It is {signup.state}: cancel it first.")
    if signup.state != "ended":
        raise _no(f"What is {signup.state} has no kept data.")
    ending.delete(tx, signup, who, why)
    return "deleting"


def _no(message: str) -> Refusal:
    return Refusal(Refused("not-now", message))
