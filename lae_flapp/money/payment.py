"""A session was paid: which signup is served for it, and what goes back.

The first payment of a signup that can be served is kept; every other one (a second
tab, a payment for a signup that is over) is cancelled and refunded by the routine
itself.  :func:`take` may be called as often as news of a session comes: from the
inbox, the browser's return, and the look through Stripe at start.
"""

from __future__ import annotations

from typing import Literal, get_args

from lae_flapp.effects.carrying_out import Points, Rendered
from lae_flapp.effects.payments import CheckoutSession, GiveBack, GivenBack, Purpose
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import (
    capacity,
    events,
    lifecycles,
    outbox,
    sessions,
    signups,
)
from lae_flapp.journal.effects import Effect, EffectKey, Ticket
from lae_flapp.journal.sessions import Payment, Session
from lae_flapp.journal.transaction import WriteTx
from lae_protocol import wire
from lae_protocol.ids import SignupId
from lae_protocol.process.crash import crash_point, declare

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
    """Journal what a session, freshly fetched from the payment service, means."""
    ours = (shop.deployment, shop.livemode)
    if (session.deployment, session.livemode) != ours or session.signup_id is None:
        return "foreign"
    if not session.paid:
        return "unpaid"
    crash_point(BEFORE)
    taken = await shop.journal.write(_settle, session.signup_id, session)
    crash_point(AFTER)
    return taken


def _settle(tx: WriteTx, signup_id: SignupId, session: CheckoutSession) -> Taken:
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


async def give_back(shop: Workshop, session: Session, purpose: Purpose) -> None:
    """Cancel and refund one payment, as a journaled effect.

    Raises what :class:`~lae_flapp.effects.payments.IPayments` raises.
    """

    async def render(ticket: Ticket) -> Rendered:
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
        return await shop.payments.cancel_and_refund(asked)

    key = EffectKey(session.signup_id, "payment", purpose)
    await shop.effects.carry_out(key, render, send, _given, REFUNDING[purpose])


def _given(tx: WriteTx, effect: Effect, given: GivenBack) -> str:
    request = wire.decode(GiveBack, effect.request or b"")
    sessions.refunded(tx, request.session_id)
    signup_id = effect.key.signup_id
    if request.purpose == "unserved":
        outbox.put(tx, signup_id, "refunded")
    elif given.amount:
        outbox.put(tx, signup_id, "paid-twice", f"refund {effect.number}")
    events.note(tx, signup_id, "money-back", "daemon", request.session_id)
    return wire.encode(given).decode()
