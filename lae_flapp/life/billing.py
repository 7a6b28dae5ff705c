"""What follows from a subscription as Stripe shows it now.  :func:`judge` is pure."""

from __future__ import annotations

from typing import Literal, assert_never

from lae_flapp.effects.payments import Subscription
from lae_flapp.grid import moves
from lae_flapp.journal import events, lifecycles, outbox, signups
from lae_flapp.journal.lifecycles import Lifecycle
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.life import ending
from lae_protocol.ids import SignupId
from lae_protocol.messages import SignupState

#: Nothing new; a payment failed; it is paid again; it is over; it is over before
#: anything was served, so that the money goes back.
Verdict = Literal["same", "failed", "recovered", "over", "never-served"]
Status = Literal["live", "unpaid", "over", "unclear"]


def status_of(seen: Subscription) -> Status:
    """What Stripe's eight words mean to us."""
    match seen.status:
        case "active" | "trialing":
            return "live"
        case "past_due" | "unpaid":
            return "unpaid"
        case "canceled" | "incomplete_expired":
            return "over"
        case "incomplete" | "paused":
            return "unclear"
        case _:
            assert_never(seen.status)


def judge(state: SignupState, status: Status) -> Verdict:
    """What follows; the table is total, and most of it is nothing new."""
    match (status, state):
        case ("live", "past-due" | "suspended" | "stopped"):
            return "recovered"
        case ("unpaid", "active"):
            return "failed"
        case ("over", "active" | "past-due" | "suspended" | "stopped"):
            return "over"
        case ("over", "paid"):
            return "never-served"
        case _:
            return "same"


def learn(tx: WriteTx, seen: Subscription, signup: Signup, who: str) -> Verdict:
    """Journal what Stripe shows of the signup's present subscription, freshly fetched.

    What Stripe's dashboard or portal changed is adopted as the customer's wish, unless
    a wish of ours is still on its way there.
    """
    life = lifecycles.get(tx, signup.signup_id)
    status = status_of(seen)
    lifecycles.change(
        tx, signup.signup_id, paid_until=seen.paid_until, ends_at=seen.ends_at
    )
    if life.wish == life.told and status in {"live", "unpaid"}:
        _adopt(tx, seen, life, who)
    verdict = judge(signup.state, status)
    match verdict:
        case "same":
            pass
        case "failed":
            ending.fail_payment(tx, signup, who)
        case "recovered":
            ending.recover(tx, signup, who)
        case "over":
            ending.end(tx, signup, who, "the subscription is over at Stripe")
        case "never-served":
            why = "the subscription was over before it was served"
            moves.give_up(tx, signup.signup_id, who, why)
        case _:
            assert_never(verdict)
    return verdict


def _adopt(tx: WriteTx, seen: Subscription, life: Lifecycle, who: str) -> None:
    wish: lifecycles.Wish = "leave" if seen.ends_at is not None else "stay"
    if life.wish in {wish, "end"}:
        return
    lifecycles.change(tx, life.signup_id, wish=wish, told=wish)
    announce(tx, seen, signups.get(tx, life.signup_id), wish, who)


def announce(
    tx: WriteTx,
    seen: Subscription,
    signup: Signup,
    wish: lifecycles.Wish,
    who: str,
) -> None:
    """Tell the customer that Stripe knows: it ends, or it goes on."""
    signup_id = signup.signup_id
    match wish:
        case "leave":
            number, at = events.tell(tx, signup_id, "leaving", who), seen.cancelled_at
            occasion = f"{number}" if at is None else outbox.stripes_occasion(at)
            outbox.put(tx, signup_id, "leaving", occasion)
        case "stay":
            number = events.tell(tx, signup_id, "staying", who)
            taken_back = _cancellation_taken_back(tx, signup_id)
            outbox.put(tx, signup_id, "staying", taken_back or f"{number}")
        case "end":
            events.note(tx, signup_id, "billing-over", who)
        case _:
            assert_never(wish)


def _cancellation_taken_back(tx: WriteTx, signup_id: SignupId) -> str | None:
    """The occasion of the last cancellation, if Stripe gave it: Stripe does not say
    when it was taken back.
    """
    mails = outbox.of(tx, signup_id)
    last = [m.occasion for m in mails if m.kind == "leaving"][-1:]
    dated = [occasion for occasion in last if occasion.startswith(outbox.STRIPES)]
    return dated[0] if dated else None
