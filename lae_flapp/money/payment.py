"""A session was paid: which signup is served for it, and what goes back.

The first payment of a signup that can be served is kept; every other one (a second
tab, a payment for a signup that is over) is cancelled and refunded by the routine
itself.  :func:`take` may be called as often as news of a session comes: from the
inbox, the browser's return, and the look through Stripe at start.

What an operator gives back to a served customer is journaled by :func:`wish_refund`,
as the effect that the routine then carries out.
"""

from __future__ import annotations

from typing import Literal, assert_never, get_args

from twisted.logger import Logger

from lae_flapp.effects.carrying_out import Points, Rendered
from lae_flapp.effects.payments import (
    CheckoutSession,
    GiveBack,
    GivenBack,
    LastPayment,
    Purpose,
)
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import (
    capacity,
    effects,
    events,
    lifecycles,
    outbox,
    sessions,
    signups,
)
from lae_flapp.journal.effects import Effect, EffectKey, Ticket
from lae_flapp.journal.errors import EffectOpen, StateChanged
from lae_flapp.journal.sessions import Payment, Session
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol import wire
from lae_protocol.ids import SignupId
from lae_protocol.plan_words import amount_in_words
from lae_protocol.process.crash import crash_point, declare

_log = Logger()

#: The outcome of a refund that is journaled, and no worker has taken up.
UNSENT = "not sent yet"
#: Of its effects.
STEP = "payment"
#: Of another deployment (ignore it); of ours, and the journal does not know the
#: signup (a restored journal: alert); complete or not, it is not paid; its payment is
#: the kept one; its payment goes back.
Taken = Literal["foreign", "unknown", "unpaid", "kept", "surplus"]

REFUNDING: dict[Purpose, Points] = {
    purpose: Points.declared(f"signup.{purpose}", "refund")
    for purpose in get_args(Purpose)
}
BEFORE = declare("signup.paid.before", "not yet: the kept payment is journaled")
AFTER = declare("signup.paid.after", "the kept payment is journaled")


async def take(shop: Workshop, session: CheckoutSession) -> Taken:
    """Journal what a session, freshly fetched from the payment service, means.

    What was paid is in the journal's backup, too, before anybody hears of it: unless
    the backup is away, and then Stripe remembers it.
    """
    ours = (shop.deployment, shop.livemode)
    if (session.deployment, session.livemode) != ours or session.signup_id is None:
        return "foreign"
    if not session.paid:
        return "unpaid"
    crash_point(BEFORE)
    taken = await shop.journal.write(settle, session.signup_id, session)
    crash_point(AFTER)
    await shop.backup.secure()
    return taken


def settle(tx: WriteTx, signup_id: SignupId, session: CheckoutSession) -> Taken:
    """Journal what a paid session of ours means."""
    signup = signups.find(tx, signup_id)
    if signup is None:
        return "unknown"
    # Known already, unless the daemon died between Stripe's answer and the journal.
    sessions.opened(tx, signup_id, session.session_id, "", session.expires_at)
    payment = Payment(
        session=session.session_id,
        customer=session.customer,
        subscription=session.subscription,
        invoice=session.invoice,
        payment_intent=session.payment_intent,
        paid_at=tx.now,
    )
    settlement = sessions.paid(tx, signup_id, signup.state, payment)
    if settlement == "surplus":
        return "surplus"
    if settlement == "kept":
        frm = {signup.state}
        signups.move(tx, signup_id, frm, "paid", kind="paid", who="daemon")
        # Its place is kept by its state from here on.
        capacity.release(tx, signup_id)
        lifecycles.begin(tx, signup_id, session.subscription)
    return "kept"


def next_refund(tx: ReadTx, signup_id: SignupId) -> Ticket:
    """The ticket of the next refund that an operator gives.

    Raises :class:`~lae_flapp.journal.errors.EffectOpen` while another is on its way.
    """
    upcoming = effects.upcoming(tx, EffectKey(signup_id, STEP, "goodwill"))
    if isinstance(upcoming, Effect):
        raise EffectOpen(f"{upcoming.token} is on its way")
    return upcoming


def wish_refund(  # noqa: PLR0917  (a transaction)
    tx: WriteTx, ticket: Ticket, last: LastPayment, amount: int, who: str, why: str
) -> None:
    """Journal that an operator gives so much of the last payment back.

    It is the whole request, so that a worker only has to send it.  Raises
    :class:`~lae_flapp.journal.errors.EffectOpen` where the ticket is not the next one.
    """
    signup_id = ticket.key.signup_id
    kept = signups.get(tx, signup_id).payment
    assert kept is not None
    request = GiveBack(
        signup_id=signup_id,
        purpose="goodwill",
        attempt=ticket.attempt,
        session_id=kept.session,
        subscription=kept.subscription,
        payment_intent=last.payment_intent,
        amount=amount,
    )
    effects.begin(tx, ticket, wire.encode(request), outcome=UNSENT)
    words = amount_in_words(amount, last.currency, ascii_only=True)
    events.note(tx, signup_id, "refund-wished", who, f"{words}: {why}")
    tx.touched.signups.add(signup_id)


async def give_back(shop: Workshop, session: Session, purpose: Purpose) -> None:
    """Cancel and refund one payment, as a journaled effect; or send the refund that
    :func:`wish_refund` has journaled.

    Raises what :class:`~lae_flapp.effects.payments.IPayments` raises.
    """

    async def render(ticket: Ticket) -> Rendered:
        if purpose == "goodwill":
            raise StateChanged(f"the refund of {session.signup_id}", "settled")
        request = GiveBack(
            signup_id=session.signup_id,
            purpose=purpose,
            attempt=ticket.attempt,
            session_id=session.session_id,
            subscription=session.payment.subscription if session.payment else None,
        )
        return Rendered(wire.encode(request))

    async def send(request: bytes) -> GivenBack:
        asked = wire.decode(GiveBack, request)
        return await shop.payments.give_back(asked)

    key = EffectKey(session.signup_id, STEP, purpose)
    given = await shop.effects.carry_out(key, render, send, _given, REFUNDING[purpose])
    if given.uncredited is not None:
        _log.error(
            "{signup_id}: {problem}",
            signup_id=session.signup_id,
            problem=_uncredited(given),
        )


def _given(tx: WriteTx, effect: Effect, given: GivenBack) -> str:
    request = wire.decode(GiveBack, effect.request or b"")
    signup_id, occasion = effect.key.signup_id, f"refund {effect.number}"
    match request.purpose:
        case "unserved":
            sessions.refunded(tx, request.session_id)
            outbox.put(tx, signup_id, "refunded")
        case "second-session":
            sessions.refunded(tx, request.session_id)
            if given.amount:
                outbox.put(tx, signup_id, "paid-twice", occasion)
        case "goodwill":
            # Nothing ends: its payment is the kept one as before.
            outbox.put(tx, signup_id, "goodwill", occasion)
        case _:
            assert_never(request.purpose)
    events.note(tx, signup_id, "money-back", "daemon", request.session_id)
    if given.uncredited is not None:
        # Only the books are wrong, so that the signup has no problem by it.
        events.note(tx, signup_id, "uncredited", "daemon", _uncredited(given))
        outbox.put(tx, signup_id, "troubled", f"credit {effect.number}")
    return wire.encode(given).decode()


def _uncredited(given: GivenBack) -> str:
    return (
        f"the refund {given.refund_id} is made, and Stripe refuses its credit note"
        f" ({given.uncredited}): write it in Stripe's dashboard"
    )
