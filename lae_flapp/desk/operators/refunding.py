"""Giving a customer who was served some of the last payment back.

What is asked here is judged by what Stripe shows, and journaled; a worker sends it.
"""

from __future__ import annotations

from lae_flapp.desk.operators.asked import Asker, known, line_of, reason
from lae_flapp.desk.view import see
from lae_flapp.effects.payments import LastPayment
from lae_flapp.journal import signups
from lae_flapp.journal.effects import Ticket
from lae_flapp.journal.errors import EffectOpen
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.money import payment
from lae_protocol.ids import SignupId
from lae_protocol.messages import Done, Refused, SignupState
from lae_protocol.plan_words import amount_in_words
from lae_protocol.process.answer import Refusal
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.refund_messages import AskLastPayment, PaymentView, RefundPayment
from lae_provision.errors import ProvisionError

#: Who was served.  Of one that is paid and not served yet everything goes back, by
#: its cancellation.
_SERVED: frozenset[SignupState] = frozenset(
    {"active", "past-due", "suspended", "stopped", "ending", "ended"}
)


async def last_payment(by: Asker, asked: AskLastPayment) -> PaymentView:
    """What of the last payment can be given back."""
    subscription, _ = await by.read(lambda tx: _refundable(tx, asked.signup_id))
    return line_of(PaymentView, await _charged(by, asked.signup_id, subscription))


async def refund(by: Asker, asked: RefundPayment) -> Done:
    """Journal that it is given back: 1. may it be; 2. what does Stripe show; 3. is it
    as it was seen; 4. nobody else did it meanwhile.
    """
    why, signup_id = reason(asked.why), asked.signup_id
    subscription, ticket = await by.read(lambda tx: _refundable(tx, signup_id))
    last = await _charged(by, signup_id, subscription)
    if line_of(PaymentView, last) != asked.seen:
        said = "Nothing changed: more went back, or was paid, by now. Look again."
        raise Refusal(Refused("changed", said))
    if not 0 < asked.amount <= last.left:
        left = amount_in_words(last.left, last.currency, ascii_only=True)
        said = f"At most {left} of the last payment can be given back, and not nothing."
        raise Refusal(Refused("malformed", said))

    def wished(tx: WriteTx, who: str) -> Done:
        _refundable(tx, signup_id)
        try:
            payment.wish_refund(tx, ticket, last, asked.amount, who, why)
        except EffectOpen:
            raise Refusal(_ON_ITS_WAY) from None
        return Done(see(tx, signup_id, 0))

    return await by.write(wished)


_ON_ITS_WAY = Refused(
    "not-now",
    "Nothing changed: another refund is on its way. See: lae effects list --signup",
)


def _refundable(tx: ReadTx, signup_id: SignupId) -> tuple[str, Ticket]:
    """The subscription that was paid, and the next refund's ticket; raises
    :class:`Refusal`.
    """
    known(tx, signup_id)
    signup = signups.get(tx, signup_id)
    paid = signup.payment
    if paid is None or paid.subscription is None:
        raise Refusal(Refused("not-now", "It was never charged."))
    if signup.state not in _SERVED:
        said = f"It is {signup.state}: only who was served is refunded like this."
        if signup.state == "paid":
            said += " Cancel it, and everything goes back."
        raise Refusal(Refused("not-now", said))
    try:
        return paid.subscription, payment.next_refund(tx, signup_id)
    except EffectOpen:
        raise Refusal(_ON_ITS_WAY) from None


async def _charged(by: Asker, signup_id: SignupId, subscription: str) -> LastPayment:
    shop = by.desk.shop
    try:
        last: LastPayment | None = await shop.payments.last_payment(subscription)
    except (ProvisionError, DeadlinePassed) as e:
        said = f"Stripe does not tell what was paid: {e}"
        raise Refusal(Refused("no-answer", said)) from None
    if last is None:
        raise Refusal(Refused("not-now", "It was never charged."))
    plan = (await by.read(lambda tx: signups.get(tx, signup_id))).agreement.plan
    if last.currency != plan.currency:
        said = (
            f"It was charged in {last.currency.upper()}, and agreed in"
            f" {plan.currency.upper()}: refund it in Stripe's dashboard."
        )
        raise Refusal(Refused("not-now", said))
    return last
