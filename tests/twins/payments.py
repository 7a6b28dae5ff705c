"""A payment service in memory, the twin behind :class:`IPayments`.

It keeps what Stripe keeps (sessions, subscriptions, charges, idempotency keys), so
that a test can ask at the end what the customer was charged.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from attrs import Factory, define, evolve
from twisted.internet.interfaces import IReactorTime

from lae_flapp.effects.payments import (
    Charge,
    CheckoutRequest,
    CheckoutSession,
    GiveBack,
    GivenBack,
    IPayments,
    LastPayment,
    NameCustomer,
    Purpose,
    Refund,
    SetEnd,
    Subscription,
    payment_key,
)
from lae_protocol.ids import SignupId
from lae_provision.errors import Refused
from tests.twins.weather import Weather, exposed, fair

T = TypeVar("T")
#: When everything was charged, as far as the twin tells.
PAID_AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


@define
class MemoryRefund:
    """One refund of ours; *key* is its effect's, of goodwill alone.  *credited* is
    what its credit note says, once there is one.
    """

    subscription: str
    amount: int
    key: str | None = None
    failed: bool = False
    purpose: Purpose = "goodwill"
    credited: int | None = None


@define
class Account:
    """An account at the payment service: plain data that outlives its callers."""

    sessions: dict[str, CheckoutSession] = Factory(dict)
    prices: dict[str, int] = Factory(dict)
    keys: dict[str, tuple[CheckoutRequest, str]] = Factory(dict)
    #: Live subscriptions, and what was charged and given back of each.
    subscriptions: set[str] = Factory(set)
    charged: dict[str, int] = Factory(dict)
    refunded: dict[str, int] = Factory(dict)
    #: What of that the product gave back, refund by refund; the rest is somebody's else.
    refunds: dict[str, MemoryRefund] = Factory(dict)
    #: Why no credit note is taken, if none is.
    notes_refused: str | None = None
    #: Of charges that are not in euros.
    currencies: dict[str, str] = Factory(dict)
    #: Charges that a customer's bank asked back.
    disputed: set[str] = Factory(set)
    #: The signup that each customer's metadata names.
    names: dict[str, str] = Factory(dict)
    #: Every subscription that was ever made, with what became of it.
    known: dict[str, Subscription] = Factory(dict)

    def pay(self, session_id: str) -> CheckoutSession:
        """Play the customer: pay an open session."""
        session = self.sessions[session_id]
        if session.status != "open":
            raise Refused("session-not-open", session.status)
        number = len(self.charged) + 1
        paid = evolve(
            session,
            status="complete",
            payment_status="paid",
            url=None,
            subscription=f"sub_{number}",
            customer=f"cus_{number}",
        )
        self.sessions[session_id] = paid
        self.subscriptions.add(f"sub_{number}")
        self.charged[f"sub_{number}"] = self.prices[session_id]
        self.known[f"sub_{number}"] = Subscription(
            f"sub_{number}",
            "active",
            session.signup_id,
            session.deployment,
            livemode=False,
            paid_until=session.expires_at + timedelta(days=30),
            ends_at=None,
        )
        return paid

    def become(self, subscription: str, **changed: Any) -> None:
        """Play Stripe: a payment fails, a period ends, somebody uses the dashboard."""
        known = self.known[subscription] = evolve(self.known[subscription], **changed)
        if known.status == "canceled":
            self.subscriptions.discard(subscription)

    def refund(
        self,
        subscription: str,
        amount: int,
        key: str | None = None,
        purpose: Purpose = "goodwill",
    ) -> str:
        """Give so much back; the refund's name."""
        name = f"re_{len(self.refunds) + 1}"
        self.refunds[name] = MemoryRefund(subscription, amount, key, purpose=purpose)
        before = self.refunded.get(subscription, 0)
        self.refunded[subscription] = before + amount
        return name

    def fail(self, refund: str) -> None:
        """Play the customer's bank: it does not take a refund, days later."""
        made = self.refunds[refund]
        made.failed = True
        self.refunded[made.subscription] -= made.amount

    def credit(self, subscription: str) -> str | None:
        """Write the credit notes that lack; why that is refused, where it is.

        A note of a refund that failed stays, and its part of the invoice with it.
        """
        of_it = [r for r in self.refunds.values() if r.subscription == subscription]
        left = self.charged[subscription] - sum(r.credited or 0 for r in of_it)
        for made in of_it:
            amount = min(made.amount, left)
            if made.failed or made.credited is not None or not amount:
                continue
            if self.notes_refused is not None:
                return self.notes_refused
            made.credited = amount
            left -= amount
        return None

    def refunded_by_us(self, subscription: str) -> int:
        """What the product gave back of it."""
        every = self.refunds.values()
        mine = (r for r in every if r.subscription == subscription and not r.failed)
        return sum(refund.amount for refund in mine)

    def kept(self) -> dict[str, int]:
        """What was charged and not given back, by subscription."""
        left = {s: n - self.refunded.get(s, 0) for s, n in self.charged.items()}
        return {s: n for s, n in left.items() if n}


@define(frozen=True)
class MemoryPayments(IPayments):
    """See :class:`IPayments`."""

    account: Account
    clock: IReactorTime
    weather: Weather = fair
    late: float = 20.0
    saved: Callable[[], object] = lambda: None

    async def open_checkout(self, request: CheckoutRequest) -> CheckoutSession:
        """See there."""

        def effect() -> CheckoutSession:
            account = self.account
            key = payment_key(request.signup_id, "checkout", request.attempt)
            if key not in account.keys:
                session = _opened(request, len(account.sessions) + 1)
                account.keys[key] = (request, session.session_id)
                account.sessions[session.session_id] = session
                account.prices[session.session_id] = request.price
            first, session_id = account.keys[key]
            if first != request:
                raise Refused("idempotency_error", "same key, other parameters")
            return account.sessions[session_id]

        return await self._call("payments.open_checkout", effect)

    async def fetch_session(self, session_id: str) -> CheckoutSession | None:
        """See there."""
        return await self._call(
            "payments.fetch_session", lambda: self.account.sessions.get(session_id)
        )

    async def find_sessions(self, signup_id: SignupId) -> tuple[CheckoutSession, ...]:
        """See there."""

        def look() -> tuple[CheckoutSession, ...]:
            every = self.account.sessions.values()
            return tuple(s for s in every if s.signup_id == signup_id)

        return await self._call("payments.find_sessions", look)

    async def expire_session(self, session_id: str) -> CheckoutSession:
        """See there."""

        def effect() -> CheckoutSession:
            session = self.account.sessions.get(session_id)
            if session is None:
                raise Refused("resource_missing", session_id)
            if session.status == "open":
                session = evolve(session, status="expired", url=None)
                self.account.sessions[session_id] = session
            return session

        return await self._call("payments.expire_session", effect)

    async def give_back(self, request: GiveBack) -> GivenBack:
        """See there."""

        def effect() -> GivenBack:
            account = self.account
            session = account.sessions.get(request.session_id)
            subscription = request.subscription
            if request.purpose == "goodwill":
                return _give_part_back(account, request)
            if subscription is None and session is not None:
                subscription = session.subscription
            if subscription is None:
                return GivenBack(None, None, 0)
            account.become(subscription, status="canceled")
            amount = account.charged.get(subscription, 0)
            left = amount - account.refunded.get(subscription, 0)
            if left:
                account.refund(subscription, left, purpose=request.purpose)
            refused = account.credit(subscription) if amount else None
            mine = [n for n, r in account.refunds.items() if not r.failed]
            named = [n for n in mine if account.refunds[n].subscription == subscription]
            newest = named[-1] if named else None
            return GivenBack(subscription, newest, amount, refused)

        return await self._call("payments.give_back", effect)

    async def fetch_subscription(self, subscription: str) -> Subscription | None:
        """See there."""
        return await self._call(
            "payments.fetch_subscription",
            lambda: self.account.known.get(subscription),
        )

    async def set_end(self, request: SetEnd) -> Subscription:
        """See there."""

        def effect() -> Subscription:
            account, name = self.account, request.subscription
            known = account.known.get(name)
            if known is None:
                raise Refused("resource_missing", name)
            if known.status != "canceled":
                match request.wish:
                    case "stay":
                        account.become(name, ends_at=None, cancelled_at=None)
                    case "leave" if known.ends_at is None:
                        at = datetime.fromtimestamp(self.clock.seconds(), UTC)
                        account.become(name, ends_at=known.paid_until, cancelled_at=at)
                    case "end":
                        account.become(name, status="canceled", pay_url=None)
            return account.known[name]

        return await self._call("payments.set_end", effect)

    async def fetch_charge(self, charge: str) -> Charge | None:
        """See there; ``ch_1`` charged ``cus_1`` for ``sub_1``."""

        def look() -> Charge | None:
            account, customer = self.account, charge.replace("ch_", "cus_")
            if all(s.customer != customer for s in account.sessions.values()):
                return None
            name = charge.replace("ch_", "sub_")
            given_back = account.refunded.get(name, 0)
            elsewhere = given_back > account.refunded_by_us(name)
            disputed = charge in account.disputed
            return Charge(charge, customer, given_back > 0, disputed, elsewhere)

        return await self._call("payments.fetch_charge", look)

    async def fetch_refund(self, refund: str) -> Refund | None:
        """See there."""

        def look() -> Refund | None:
            made = self.account.refunds.get(refund)
            if made is None:
                return None
            customer = made.subscription.replace("sub_", "cus_")
            return Refund(refund, customer, made.amount, "eur", made.failed)

        return await self._call("payments.fetch_refund", look)

    async def last_payment(self, subscription: str) -> LastPayment | None:
        """See there; ``pi_1`` paid for ``sub_1``."""

        def look() -> LastPayment | None:
            account = self.account
            if subscription not in account.charged:
                return None
            return LastPayment(
                subscription.replace("sub_", "pi_"),
                account.charged[subscription],
                account.refunded.get(subscription, 0),
                account.currencies.get(subscription, "eur"),
                PAID_AT,
            )

        return await self._call("payments.last_payment", look)

    async def name_customer(self, request: NameCustomer) -> None:
        """See there."""

        def effect() -> None:
            if all(
                s.customer != request.customer for s in self.account.sessions.values()
            ):
                raise Refused("resource_missing", request.customer)
            self.account.names[request.customer] = request.signup_id

        return await self._call("payments.name_customer", effect)

    async def _call(self, name: str, effect: Callable[[], T]) -> T:
        def kept() -> T:
            try:
                return effect()
            finally:
                self.saved()

        return await exposed(self.clock, self.weather, self.late, name, kept)


def _give_part_back(account: Account, request: GiveBack) -> GivenBack:
    """Once for each attempt, as its key says."""
    assert request.payment_intent is not None
    assert request.amount is not None
    subscription = request.payment_intent.replace("pi_", "sub_")
    key = payment_key(request.signup_id, request.purpose, request.attempt)
    for name, made in account.refunds.items():
        if made.key == key:
            if made.failed:
                raise Refused("refund-failed", name)
            refused = account.credit(subscription)
            return GivenBack(request.subscription, name, made.amount, refused)
    left = account.charged[subscription] - account.refunded.get(subscription, 0)
    if not left:
        raise Refused("charge_already_refunded", subscription)
    if request.amount > left:
        raise Refused("bad-request", "more than is left")
    name = account.refund(subscription, request.amount, key)
    refused = account.credit(subscription)
    return GivenBack(request.subscription, name, request.amount, refused)


def _opened(request: CheckoutRequest, number: int) -> CheckoutSession:
    return CheckoutSession(
        session_id=f"cs_{number}",
        url=f"https://pay.invalid/cs_{number}",
        status="open",
        payment_status="unpaid",
        signup_id=request.signup_id,
        deployment=request.deployment,
        subscription=None,
        customer=None,
        livemode=False,
        expires_at=request.expires_at.astimezone(UTC),
    )
