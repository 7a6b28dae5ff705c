"""Subscriptions are looked at: fetched from Stripe, and what they show is journaled.

Webhooks, the look from time to time and the turns of time all end here, in whatever
order they come, however often.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Literal

from twisted.logger import Logger

from lae_flapp.effects.payments import Charge, Refund, Subscription
from lae_flapp.grid import moves
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import events, lifecycles, sessions, signups
from lae_flapp.journal.lifecycles import Lifecycle
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.life import billing
from lae_protocol.ids import SignupId
from lae_protocol.plan_words import amount_in_words
from lae_protocol.process.crash import crash_point, declare
from lae_protocol.process.deadline import DeadlinePassed
from lae_provision.errors import ProvisionError, TryLater

WHO = "reconciliation"
#: How often the journal may change under one look before it is put off.
_ATTEMPTS = 5

#: Of another deployment; of ours, and the journal does not know the signup; of a
#: signup whose payment is not taken yet; of an earlier payment, or a second one, or
#: known already; Stripe has none of this name; Stripe shows nothing of what the event
#: says; what it shows is journaled.
Outcome = Literal[
    "foreign", "unknown", "unpaid", "history", "missing", "untrue", "learnt"
]

LEARNT_BEFORE = declare("lifecycle.learnt.before", "fetched, and nothing is journaled")
LEARNT_AFTER = declare("lifecycle.learnt.after", "what Stripe shows is journaled")


class Subscriptions:
    """Looks."""

    _log = Logger()

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    async def look(self, subscription: str, who: str) -> Outcome:
        """Fetch it, journal what it shows; raises what the door raises.

        A change that was journaled while we asked makes what we heard old: ask again.
        """
        shop = self._shop
        for _ in range(_ATTEMPTS):
            known = await shop.journal.read(_known, subscription)
            seen: Subscription | None = await shop.payments.fetch_subscription(
                subscription
            )
            if seen is None:
                return await self._missing(known, subscription)
            if (seen.deployment, seen.livemode) != (shop.deployment, shop.livemode):
                return "foreign"
            if seen.signup_id is None:
                return "foreign"
            crash_point(LEARNT_BEFORE)
            outcome = await shop.journal.write(self._learn, known, seen, who)
            crash_point(LEARNT_AFTER)
            if outcome is not None:
                return outcome
        raise TryLater("changing", f"{subscription} changes while it is looked at")

    async def reconcile(self) -> None:
        """Look at all that should have renewed by now: webhooks are lost."""
        due = await self._shop.journal.read(lifecycles.unread, signups.SUBSCRIBED)
        for subscription in due:
            await self._in_its_turn(self.look(subscription, WHO))

    async def _in_its_turn(self, looking: Awaitable[object]) -> None:
        try:
            await looking
        except (ProvisionError, DeadlinePassed) as e:
            self._log.warn("not looked at this time: {problem}", problem=str(e))

    def _learn(
        self, tx: WriteTx, known: Lifecycle | None, seen: Subscription, who: str
    ) -> Outcome | None:
        if _known(tx, seen.subscription) != known:
            return None
        assert seen.signup_id is not None
        signup = signups.find(tx, seen.signup_id)
        if signup is None:
            return "unknown"
        if known is None:
            unpaid = signup.payment is None or signup.state == "ended"
            return "unpaid" if unpaid else "history"
        if known.signup_id != signup.signup_id:
            return "history"
        billing.learn(tx, seen, signup, who)
        return "learnt"

    async def _missing(self, known: Lifecycle | None, subscription: str) -> Outcome:
        """Stripe forgets no subscription: something is wrong, and a person looks."""
        if known is None:
            return "foreign"
        self._log.critical(
            "Stripe has no subscription {subscription} of {signup_id}",
            subscription=subscription,
            signup_id=known.signup_id,
        )
        await self._shop.journal.write(
            moves.trouble,
            known.signup_id,
            "subscription-missing",
            f"Stripe has no subscription {subscription}",
        )
        return "missing"

    async def owner_of(self, subscription: str) -> SignupId | None:
        """The signup that its metadata names, if it is of this deployment."""
        shop = self._shop
        seen: Subscription | None = await shop.payments.fetch_subscription(subscription)
        if seen is None or seen.deployment != shop.deployment:
            return None
        return seen.signup_id

    async def report_chargeback(self, charge: str) -> Outcome:
        """Tell an operator that money was taken back, or is about to be.

        What is told is what Stripe shows of the charge: anybody who has the webhook's
        secret can forge an event.
        """
        seen: Charge | None = await self._shop.payments.fetch_charge(charge)
        if seen is None or seen.customer is None:
            return "foreign"
        if not seen.refunded and not seen.disputed:
            self._log.warn(
                "an event says that {charge} went back, and Stripe shows neither a"
                " refund nor a dispute of it: who else has the webhook's secret?",
                charge=charge,
            )
            return "untrue"
        return await self._shop.journal.write(self._told, seen, seen.customer)

    async def report_failed_refund(self, refund: str) -> Outcome:
        """Tell an operator that money which was on its way to a customer came back: a
        person finds another way to pay it.
        """
        seen: Refund | None = await self._shop.payments.fetch_refund(refund)
        if seen is None or seen.customer is None:
            return "foreign"
        if not seen.failed:
            self._log.warn(
                "an event says that {refund} failed, and Stripe does not show that: who"
                " else has the webhook's secret?",
                refund=refund,
            )
            return "untrue"
        return await self._shop.journal.write(_tell_failed, seen, seen.customer)

    def _told(self, tx: WriteTx, seen: Charge, customer: str) -> Outcome:
        signup = signups.of_stripe(tx, customer=customer)
        if signup is None:
            # A second payment's customer is not the kept one's.
            return "foreign"
        shown = []
        if seen.elsewhere:
            shown.append("charge.refunded")
        if seen.disputed:
            shown.append("charge.dispute.created")
        new = [
            kind
            for kind in shown
            if not events.noted_of(tx, signup.signup_id, kind, seen.charge)
        ]
        for kind in new:
            events.note(tx, signup.signup_id, kind, "stripe", seen.charge)
            moves.trouble(
                tx,
                signup.signup_id,
                f"{kind.rpartition('.')[0].replace('charge', 'money')}:{seen.charge}",
                f"Stripe says {kind} of {seen.charge}: look at it in Stripe's"
                " dashboard",
            )
        return "learnt" if new else "history"


def _tell_failed(tx: WriteTx, seen: Refund, customer: str) -> Outcome:
    # Also of a second payment, whose customer is another one of Stripe's.
    signup_id = sessions.paid_by(tx, customer)
    if signup_id is None:
        return "foreign"
    if events.noted_of(tx, signup_id, "refund.failed", seen.refund):
        return "history"
    events.note(tx, signup_id, "refund.failed", "stripe", seen.refund)
    amount = amount_in_words(seen.amount, seen.currency, ascii_only=True)
    moves.trouble(
        tx,
        signup_id,
        f"refund:{seen.refund}",
        f"the refund {seen.refund} of {amount} failed, and the money is back with us:"
        " ask the customer how else it can be paid; its credit note stands, since"
        " Stripe voids none of a paid invoice",
    )
    return "learnt"


def _known(tx: ReadTx, subscription: str) -> Lifecycle | None:
    return lifecycles.of_subscription(tx, subscription)
