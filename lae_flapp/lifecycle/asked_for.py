"""What operators ask for: the same turns, with a plain no where nothing is to do.

Functions of ``(tx, signup_id, who, why)``, and for cancelling whether at once, for the
operator's facet to run in the journal; the caller nudges the crew afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

from lae_flapp.journal import events, lifecycles, outbox, signups
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.lifecycle import ending
from lae_flapp.lifecycle.ending import Cancelled, NewMessageId
from lae_protocol.ids import SignupId
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal

AskedFor = Callable[[WriteTx, SignupId, str, str], object]


def cancelling(
    new_message_id: NewMessageId,
) -> Callable[[WriteTx, SignupId, str, str, bool], Cancelled]:
    """Cancel, with the paid period or at once; see :func:`.ending.cancel`.

    The function raises :class:`~lae_protocol.process.answer.Refusal` for what is over.
    """

    def cancel(
        tx: WriteTx,
        signup_id: SignupId,
        who: str,
        why: str,
        at_once: bool,  # noqa: FBT001  (handed on by the facet)
    ) -> Cancelled:
        before = signups.get(tx, signup_id).state
        wish = lifecycles.get(tx, signup_id).wish
        done = ending.cancel(tx, signup_id, who, why, new_message_id, at_once=at_once)
        if done == "over" or before == "refunding":
            raise _no(f"Nothing to do: it is {before} already.")
        if done == "leaving" and wish == "leave":
            raise _no("Nothing to do: it is cancelled, and ends with the paid period.")
        return done

    return cancel


def reactivating(new_message_id: NewMessageId) -> AskedFor:
    """Take a cancellation back; of one that has ended, mail its owner the way back.

    Nobody but the customer can pay, so an ended subscription comes back by the link in
    that mail.  Raises :class:`~lae_protocol.process.answer.Refusal` in other states.
    """

    def reactivate(tx: WriteTx, signup_id: SignupId, who: str, why: str) -> str:
        signup = signups.get(tx, signup_id)
        life = lifecycles.get(tx, signup_id)
        if signup.state == "ended":
            number = events.note(tx, signup_id, "invited-back", who, why)
            outbox.put(tx, signup_id, "ended", new_message_id(), f"again-{number}")
            return "invited"
        if signup.state in {"active", "past-due"} and life.wish == "leave":
            ending.stay(tx, signup_id, who, why)
            return "stays"
        if signup.state in {"past-due", "suspended", "stopped"}:
            raise _no("It goes on as soon as its open invoice is paid.")
        raise _no(f"What is {signup.state} cannot be brought back.")

    return reactivate


def deleting() -> AskedFor:
    """Delete the kept data now, as its owner asked; a receipt is mailed."""

    def delete(tx: WriteTx, signup_id: SignupId, who: str, why: str) -> str:
        signup = signups.get(tx, signup_id)
        if signup.state != "ended":
            raise _no(f"What is {signup.state} has no kept data: cancel it first.")
        ending.delete(tx, signup, who, why)
        return "deleting"

    return delete


def _no(message: str) -> Refusal:
    return Refusal(Refused("not-now", message))
