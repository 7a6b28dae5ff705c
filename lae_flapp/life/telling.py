"""Stripe is told what was decided of a subscription, as a journaled effect."""

from __future__ import annotations

from lae_flapp.effects.carrying_out import Points, Rendered
from lae_flapp.effects.payments import SetEnd, Subscription
from lae_flapp.grid import moves
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import effects, events, lifecycles, signups
from lae_flapp.journal.effects import Effect, EffectKey, Ticket
from lae_flapp.journal.lifecycles import Wish
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.life import billing
from lae_protocol import wire
from lae_protocol.ids import SignupId

STEP = "billing"
WHO = "daemon"

TELLING = Points.declared("signup.billing", "call")


async def tell(shop: Workshop, signup_id: SignupId) -> None:
    """Tell it; raises what :class:`~lae_flapp.effects.payments.IPayments` raises."""
    asked = await shop.journal.write(_decide, signup_id)
    if asked is None:
        return
    wish, subscription = asked

    async def render(ticket: Ticket) -> Rendered:
        request = SetEnd(signup_id, wish, ticket.attempt, subscription)
        return Rendered(wire.encode(request))

    async def send(request: bytes) -> Subscription:
        asked = wire.decode(SetEnd, request)
        return await shop.payments.set_end(asked)

    def settle(tx: WriteTx, effect: Effect, seen: Subscription) -> str:
        request = wire.decode(SetEnd, effect.request or b"")
        _learn_told(tx, request, seen)
        return seen.status

    key = _key(signup_id, wish)
    await shop.effects.carry_out(key, render, send, settle, TELLING)


def _key(signup_id: SignupId, wish: Wish) -> EffectKey:
    return EffectKey(signup_id, STEP, f"billing-{wish}")


def _decide(tx: WriteTx, signup_id: SignupId) -> tuple[Wish, str] | None:
    """What Stripe must be told, and of which subscription; until that is settled nobody
    can be sure what Stripe knows.
    """
    life = lifecycles.get(tx, signup_id)
    if life.wish == life.told:
        return None
    if life.subscription is None:
        # Nothing was ever subscribed to, so nothing can be charged.
        lifecycles.change(tx, signup_id, told=life.wish)
        return None
    lifecycles.change(tx, signup_id, told="unsure")
    for begun in effects.of(tx, signup_id):
        if begun.key.step == STEP and begun.state == "begun":
            request = wire.decode(SetEnd, begun.request or b"")
            if begun.key != _key(signup_id, life.wish):
                effects.fail(tx, begun.number, "decided otherwise meanwhile")
            elif request.subscription != life.subscription:
                effects.fail(tx, begun.number, "of an earlier subscription")
    return life.wish, life.subscription


def _tell_if_paid_for_nothing(tx: WriteTx, signup: Signup) -> None:
    """It ended because it was not paid, and was paid in that very moment: a person
    gives the money back, or brings the customer back.
    """
    if ended_unpaid(tx, signup.signup_id):
        moves.trouble(
            tx,
            signup.signup_id,
            "paid-as-it-ended",
            "its open invoice was paid in the moment in which it ended: give it back"
            " (lae subscriptions refund), and write to the customer",
        )


def ended_unpaid(tx: ReadTx, signup_id: SignupId) -> bool:
    """Whether a payment was open when it ended."""
    kinds = [e.kind for e in events.since(tx, signup_id, 0, public=True)]
    turning = [k for k in kinds if k in {"past-due", "recovered", "ready"}]
    return turning[-1:] == ["past-due"]


def _learn_told(tx: WriteTx, request: SetEnd, seen: Subscription) -> None:
    signup = signups.get(tx, request.signup_id)
    life = lifecycles.get(tx, signup.signup_id)
    if life.subscription != request.subscription:
        return
    lifecycles.change(tx, signup.signup_id, told=request.wish)
    if life.wish != request.wish:
        # Decided otherwise meanwhile, so Stripe is told again.
        return
    if request.wish == "end" and seen.paid_at is not None:
        _tell_if_paid_for_nothing(tx, signup)
    verdict = billing.learn(tx, seen, signup, WHO)
    if verdict == "same":
        billing.announce(tx, seen, signup, request.wish, WHO)
