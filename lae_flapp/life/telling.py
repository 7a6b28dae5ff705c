"""Stripe is told what was decided of a subscription, as a journaled effect."""

from __future__ import annotations

from lae_flapp.effects.payments import SetEnd, Subscription
from lae_flapp.grid import turns
from lae_flapp.grid.record import Record
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import effects, events, lifecycles, signups
from lae_flapp.journal.effects import Effect, EffectKey
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.life import billing
from lae_flapp.life.ending import NewMessageId
from lae_protocol import wire
from lae_protocol.ids import SignupId
from lae_protocol.process.crash import crash_point, declare
from lae_provision.errors import Refused

STEP = "billing"
WHO = "daemon"

BEFORE = declare("signup.billing.before-call", "the effect is journaled, not asked for")
AFTER = declare("signup.billing.after-call", "Stripe knows, the journal does not")
OUTCOME = declare("signup.billing.after-outcome", "Stripe knows, and the journal too")


async def tell(shop: Workshop, record: Record) -> None:
    """Tell it; raises what :class:`~lae_flapp.effects.payments.IPayments` raises."""
    begun = await shop.journal.write(_begin, record)
    if begun is None:
        return
    effect, request = begun
    crash_point(BEFORE)
    try:
        seen: Subscription = await shop.outside(
            "payments.set_end", lambda: shop.payments.set_end(request)
        )
    except Refused as e:
        await shop.journal.write(effects.fail, effect.number, e.code)
        raise
    crash_point(AFTER)
    await shop.journal.write(_told, effect, request, seen, shop.new_message_id)
    crash_point(OUTCOME)


def _begin(tx: WriteTx, record: Record) -> tuple[Effect, SetEnd] | None:
    """The effect to send, perhaps again; until it is settled nobody can be sure what
    Stripe knows.
    """
    signup_id = record.signup.signup_id
    life = lifecycles.get(tx, signup_id)
    if life.wish == life.told:
        return None
    if life.subscription is None:
        # Nothing was ever subscribed to, so nothing can be charged.
        lifecycles.change(tx, signup_id, told=life.wish)
        return None
    key = EffectKey(signup_id, STEP, f"billing-{life.wish}")
    for other in effects.of(tx, signup_id):
        if other.key.step == STEP and other.state == "begun" and other.key != key:
            effects.fail(tx, other.number, "decided otherwise meanwhile")
    lifecycles.change(tx, signup_id, told="unsure")
    upcoming = effects.upcoming(tx, key)
    if isinstance(upcoming, Effect):
        request = wire.decode(SetEnd, upcoming.request or b"")
        if request.subscription == life.subscription:
            return upcoming, request
        effects.fail(tx, upcoming.number, "of an earlier subscription")
        upcoming = effects.upcoming(tx, key)
        assert not isinstance(upcoming, Effect)
    request = SetEnd(signup_id, life.wish, upcoming.attempt, life.subscription)
    return effects.begin(tx, upcoming, wire.encode(request)), request


def _tell_if_paid_for_nothing(
    tx: WriteTx, signup: Signup, new_id: NewMessageId
) -> None:
    """It ended because it was not paid, and was paid in that very moment: a person
    gives the money back, or brings the customer back.
    """
    if ended_unpaid(tx, signup.signup_id):
        turns.trouble(
            tx,
            signup.signup_id,
            "paid-as-it-ended",
            "its open invoice was paid in the moment in which it ended: refund it in"
            " Stripe's dashboard, and write to the customer",
            new_id(),
        )


def ended_unpaid(tx: ReadTx, signup_id: SignupId) -> bool:
    """Whether a payment was open when it ended."""
    kinds = [e.kind for e in events.since(tx, signup_id, 0, public=True)]
    turning = [k for k in kinds if k in {"past-due", "recovered", "ready"}]
    return turning[-1:] == ["past-due"]


def _told(
    tx: WriteTx,
    effect: Effect,
    request: SetEnd,
    seen: Subscription,
    new_id: NewMessageId,
) -> None:
    effects.finish(tx, effect.number, seen.status)
    signup = signups.get(tx, request.signup_id)
    life = lifecycles.get(tx, signup.signup_id)
    if life.subscription != request.subscription:
        return
    lifecycles.change(tx, signup.signup_id, told=request.wish)
    if life.wish != request.wish:
        # Decided otherwise meanwhile, so Stripe is told again.
        return
    if request.wish == "end" and seen.paid_at is not None:
        _tell_if_paid_for_nothing(tx, signup, new_id)
    verdict = billing.learn(tx, seen, signup, WHO, new_id)
    if verdict == "same":
        billing.announce(tx, signup, request.wish, WHO, new_id)
