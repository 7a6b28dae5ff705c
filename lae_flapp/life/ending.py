"""The turns of a subscription's life: whole transactions, no I/O."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, assert_never

from lae_flapp.grid import moves
from lae_flapp.journal import (
    events,
    lifecycles,
    outbox,
    sessions,
    signups,
)
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import WriteTx
from lae_protocol.ids import SignupId
from lae_protocol.messages import SignupState

#: It was never paid and is over; its money goes back; it ends with its period; it ends
#: now; it was over before.
Cancelled = Literal["dropped", "refunding", "leaving", "ending", "over"]


def cancel(
    tx: WriteTx,
    signup_id: SignupId,
    who: str,
    why: str,
    *,
    at_once: bool = False,
) -> Cancelled:
    """Cancel whatever this signup is; asked again, the answer says where it stands.

    *who* is ``owner``, ``operator NAME`` or ``daemon``.  A subscription that is paid
    ends with its period, unless *at_once*; one that is not paid ends now.  Raises
    :class:`~lae_flapp.journal.errors.StateChanged` while a payment page is open: it
    could be paid a moment later.
    """
    signup = signups.get(tx, signup_id)
    match signup.state:
        case "registered" | "expired":
            signups.move(
                tx, signup_id, {signup.state}, "cancelled", kind="cancelled",
                who=who, why=why,
            )  # fmt: skip
            return "dropped"
        case "paying":
            raise StateChanged(f"signup {signup_id}", signup.state)
        case "paid":
            moves.give_up(tx, signup_id, who, why, "withdrawn")
            return "refunding"
        case "active" if not at_once and _is_subscribed(tx, signup_id):
            if lifecycles.get(tx, signup_id).wish == "stay":
                lifecycles.change(tx, signup_id, wish="leave")
                events.note(tx, signup_id, "cancel-wished", who, why)
            return "leaving"
        case "active" | "past-due" | "suspended" | "stopped":
            end(tx, signup, who, why)
            return "ending"
        case "refunding":
            return "refunding"
        case "ending" | "ended" | "deleting" | "deleted" | "refunded" | "cancelled":
            return "over"
        case _:
            assert_never(signup.state)


def _is_subscribed(tx: WriteTx, signup_id: SignupId) -> bool:
    """Whether there is a paid period to wait for: of what was given there is none."""
    return lifecycles.get(tx, signup_id).subscription is not None


def stay(tx: WriteTx, signup_id: SignupId, who: str, why: str) -> Signup:
    """Take a cancellation back, as long as the period that is paid lasts.

    Raises :class:`~lae_flapp.journal.errors.StateChanged` where it has ended: then a
    new payment brings it back (``Checkout.pay_again``).
    """
    signup = signups.get(tx, signup_id)
    if signup.state not in {"active", "past-due", "suspended", "stopped"}:
        raise StateChanged(f"signup {signup_id}", signup.state)
    if lifecycles.get(tx, signup_id).wish == "leave":
        lifecycles.change(tx, signup_id, wish="stay")
        events.note(tx, signup_id, "stay-wished", who, why)
    return signup


def end(tx: WriteTx, signup: Signup, who: str, why: str) -> None:
    """It is over: the host's furls die now, all but the data goes, the mail says until
    when that is kept.

    Raises :class:`~lae_flapp.journal.errors.StateChanged` unless it was served.
    """
    signup_id = signup.signup_id
    served: frozenset[SignupState] = signups.SUBSCRIBED - {"paid"}
    signups.move(tx, signup_id, served, "ending", kind="ending", who=who, why=why)
    signups.set_problem(tx, signup_id, None)
    moves.retire_live_host(tx, signup_id)
    kept = tx.now + timedelta(seconds=signup.agreement.plan.data_kept)
    lifecycles.change(
        tx, signup_id, wish="end", ended_at=tx.now, kept_until=kept, ends_at=None
    )
    outbox.put(tx, signup_id, "ended", _occasion_of_end(tx, signup_id))


def fail_payment(tx: WriteTx, signup: Signup, who: str) -> None:
    """A payment failed: all goes on while the grace lasts."""
    signup_id = signup.signup_id
    number = _moved(tx, signup, "past-due", "past-due", who, "a payment failed")
    outbox.put(tx, signup_id, "past-due", f"{number}")


def suspend(tx: WriteTx, signup: Signup) -> None:
    """The grace is over: nothing can be written any more."""
    why = "not paid within the grace"
    number = _moved(tx, signup, "suspended", "suspended", moves.WHO, why)
    outbox.put(tx, signup.signup_id, "suspended", f"{number}")


def stop(tx: WriteTx, signup: Signup) -> None:
    """Still not paid: the host's furls die now, and the routine ends the host."""
    signup_id = signup.signup_id
    why = "not paid for longer"
    number = _moved(tx, signup, "stopped", "stopped", moves.WHO, why)
    outbox.put(tx, signup_id, "stopped", f"{number}")
    moves.retire_live_host(tx, signup_id)


def recover(tx: WriteTx, signup: Signup, who: str) -> None:
    """It is paid again: the host serves, or one is built again under the same furl."""
    number = _moved(tx, signup, "active", "recovered", who, "paid again")
    outbox.put(tx, signup.signup_id, "recovered", f"{number}")


def delete(tx: WriteTx, signup: Signup, who: str, why: str) -> None:
    """The data goes, and there is no way back.

    Raises :class:`~lae_flapp.journal.errors.StateChanged` while a payment page is open
    that would bring it back, and unless it is ended.
    """
    signup_id = signup.signup_id
    if any(s.state == "open" for s in sessions.of(tx, signup_id)):
        raise StateChanged(f"signup {signup_id}", "about to be paid again")
    signups.move(
        tx, signup_id, {"ended"}, "deleting", kind="deleting", who=who, why=why
    )


def _occasion_of_end(tx: WriteTx, signup_id: SignupId) -> str:
    """A subscription ends once; what was given has none."""
    subscription = lifecycles.get(tx, signup_id).subscription
    if subscription is None:
        return f"{events.last_number(tx, signup_id)}"
    return outbox.stripes_occasion(subscription)


def _moved(  # noqa: PLR0917  (inner)
    tx: WriteTx,
    signup: Signup,
    to: SignupState,
    kind: events.PublicKind,
    who: str,
    why: str,
) -> int:
    """Move it from where the caller saw it; the number of the event."""
    signups.move(tx, signup.signup_id, {signup.state}, to, kind=kind, who=who, why=why)
    return events.last_number(tx, signup.signup_id)
