"""Payment services to try things on: Stripe's stand-in behind the real client."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Protocol

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed

from lae_flapp.effects.payments import CheckoutRequest
from lae_flapp.money.stripe.calls import StripeCalls, connect
from lae_flapp.money.stripe.stripe_payments import StripePayments
from lae_flapp.money.stripe.threads import make_stripe_lane
from lae_localcloud.stripe import money, payment
from lae_localcloud.stripe.cards import Card
from lae_localcloud.stripe.operations import DAEMON_RIGHTS
from lae_localcloud.stripe.service import LocalStripe
from lae_protocol.ids import SignupId, signup_id_of_form
from lae_protocol.messages import Plan
from lae_protocol.process.lane import ThreadLane
from lae_protocol.secret import Secret

PLAN = Plan("small", "Small grid", 900, "eur", "month", 10**10, 10**11, "2026-11")
CARD = Card("4242424242424242", 12, 2099)
SECRET_KEY, RESTRICTED_KEY = Secret("sk_test_secret"), Secret("rk_test_restricted")


def signup(number: int = 1) -> SignupId:
    """A signup's id."""
    return signup_id_of_form(b"form %d" % number)


def request(**other: Any) -> CheckoutRequest:
    """A request for a session of PLAN."""
    given: dict[str, Any] = {
        "signup_id": signup(),
        "attempt": 1,
        "deployment": "demo",
        "lookup_key": PLAN.plan_id,
        "price": PLAN.price,
        "currency": PLAN.currency,
        "interval": PLAN.interval,
        "email": Secret("o'neil+x&co@xn--exmple-cua.org"),
        "language": "de-AT",
        "success_url": "http://127.0.0.1:1/signup/x?returned=1",
        "cancel_url": "http://127.0.0.1:1/signup/x?stopped=1",
        "expires_at": datetime.fromtimestamp(int(time.time()), UTC)
        + timedelta(minutes=31),
    }
    return CheckoutRequest(**{**given, **other})


class Bench(Protocol):
    """An account, the door to it, and its customers."""

    payments: Any

    def pay(self, session_id: str) -> Awaitable[object]:
        """Play the customer: pay an open session."""

    def kept(self) -> dict[str, int]:
        """What was charged and not given back, by subscription."""

    def live(self) -> set[str]:
        """The subscriptions that are not cancelled."""

    def name_of(self, customer: str) -> str | None:
        """The signup that a customer's metadata names."""

    def charge_of(self, customer: str) -> str:
        """The charge of a customer."""

    def dispute(self, charge: str) -> None:
        """Play the customer's bank: ask a charge back."""

    def fail(self, refund: str) -> None:
        """Play the customer's bank: do not take a refund, days later."""

    def refund_elsewhere(self, charge: str, amount: int) -> None:
        """Play an operator in the dashboard."""

    def credited(self) -> list[tuple[str, int, str]]:
        """The credit notes, oldest first: the refund, how much, Stripe's reason."""

    def refuse_notes(self) -> None:
        """Play an account whose key may write no credit notes."""


@define(eq=False)
class StripeBench:
    """The local Stripe on a port of its own; the client is the real one."""

    timeouts: tuple[float, float] = (2.0, 5.0)
    keys: tuple[Secret, ...] = (RESTRICTED_KEY,)
    local: LocalStripe = field(init=False)
    threads: ThreadLane = field(init=False)
    calls: StripeCalls = field(init=False)
    payments: StripePayments = field(init=False)

    def start(self) -> None:
        """Listen, and make the client's threads."""
        loop: Any = reactor
        self.local = LocalStripe(loop, SECRET_KEY, RESTRICTED_KEY)
        self.local.sell((PLAN,))
        self.local.startService()
        self.threads = make_stripe_lane(loop)
        self.threads.start()
        clients = [connect(key, self.local.url, self.timeouts) for key in self.keys]
        self.calls = StripeCalls(
            loop, self.threads, clients, Random(1), deadline=8.0, base=0.02
        )
        self.payments = StripePayments(self.calls, lambda: datetime.now(UTC))

    def stop(self) -> Deferred[Any]:
        """End it all."""
        self.threads.abandon()
        stopped: Deferred[Any] = self.local.stopService()
        return stopped

    def pay(self, session_id: str) -> Deferred[Any]:
        """See :class:`Bench`."""
        return succeed(
            payment.complete(self.local.account, session_id, CARD, time.time())
        )

    def kept(self) -> dict[str, int]:
        """See :class:`Bench`."""
        account = self.local.account
        left: dict[str, int] = {}
        for charge in account.all("charge"):
            if charge["paid"]:
                intent = charge["payment_intent"]
                paid = next(
                    p
                    for p in account.all("invoice_payment")
                    if p["payment"]["payment_intent"] == intent
                )
                invoice = account.get("invoice", paid["invoice"])
                name = invoice["parent"]["subscription_details"]["subscription"]
                amount = charge["amount"] - charge["amount_refunded"]
                left[name] = left.get(name, 0) + amount
        return {name: amount for name, amount in left.items() if amount}

    def live(self) -> set[str]:
        """See :class:`Bench`."""
        every = self.local.account.all("subscription")
        return {s["id"] for s in every if s["status"] != "canceled"}

    def name_of(self, customer: str) -> str | None:
        """See :class:`Bench`."""
        metadata = self.local.account.get("customer", customer)["metadata"]
        name: str | None = metadata.get("s4_signup_id")
        return name

    def charge_of(self, customer: str) -> str:
        """See :class:`Bench`."""
        every = self.local.account.all("charge")
        found: str = next(c["id"] for c in every if c["customer"] == customer)
        return found

    def dispute(self, charge: str) -> None:
        """See :class:`Bench`."""
        money.dispute(self.local.account, charge)

    def fail(self, refund: str) -> None:
        """See :class:`Bench`."""
        money.fail_refund(self.local.account, refund)

    def refund_elsewhere(self, charge: str, amount: int) -> None:
        """See :class:`Bench`."""
        asked = {"charge": charge, "amount": amount}
        money.create_refund(self.local.account, asked)

    def credited(self) -> list[tuple[str, int, str]]:
        """See :class:`Bench`."""
        return [
            (note["refunds"][0]["refund"], note["amount"], note["reason"])
            for note in reversed(list(self.local.account.all("credit_note")))
        ]

    def refuse_notes(self) -> None:
        """See :class:`Bench`."""
        rights = {k: v for k, v in DAEMON_RIGHTS.items() if k != "credit_notes"}
        self.local.api.keys[RESTRICTED_KEY] = rights
