"""Stripe behind the routine's door."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import stripe
from attrs import define, field

from lae_flapp.effects.payments import (
    Charge,
    CheckoutRequest,
    CheckoutSession,
    GiveBack,
    GivenBack,
    IPayments,
    LastPayment,
    NameCustomer,
    Refund,
    SetEnd,
    Subscription,
    payment_key,
)
from lae_flapp.money.stripe import crediting, giving_back
from lae_flapp.money.stripe.calls import StripeCalls
from lae_flapp.money.stripe.checkout_session import checkout_parameters
from lae_flapp.money.stripe.errors import FailsAgain
from lae_flapp.money.stripe.prices import FoundPrice, agreed_price, look_up
from lae_flapp.money.stripe.reading import (
    ATTEMPT,
    DEPLOYMENT,
    SIGNUP_ID,
    charge_from,
    plain,
    refund_from,
    session_from,
)
from lae_flapp.money.stripe.subscriptions import retrieve, set_end
from lae_protocol.ids import SignupId
from lae_protocol.stripe_hints import SUBJECTS, StripeHint, hint_of
from lae_provision.errors import Refused

#: How long a price is believed before it is looked up again.
_PRICE_SECONDS = 300.0
#: How far back sessions are looked through: Stripe repeats webhooks for three days,
#: and a signup nobody asked about for longer has no open session.
_LOOK_BACK = timedelta(days=4)
_PAGE = 100


@define(eq=False)
class StripePayments(IPayments):
    """See :class:`IPayments`; *now* tells an aware UTC time."""

    calls: StripeCalls
    now: Callable[[], datetime]
    _prices: dict[str, tuple[float, FoundPrice]] = field(factory=dict)

    async def open_checkout(self, request: CheckoutRequest) -> CheckoutSession:
        """Open it: 1. the price; 2. the session; 3. what became of a first try.

        Stripe keeps a 500 under the idempotency key for 24 hours.  Then the session
        is looked for, and only where there is none another key is used.
        """
        parameters = checkout_parameters(request, await self._price(request))
        key = payment_key(request.signup_id, "checkout", request.attempt)
        try:
            return await self._create(parameters, key)
        except FailsAgain:
            for session in await self._matching(
                request.signup_id, str(request.attempt)
            ):
                return session
            return await self._create(parameters, f"{key}:again")

    async def fetch_charge(self, charge: str) -> Charge | None:
        """See there."""

        def fetch(client: stripe.StripeClient) -> Charge:
            found = plain(client.v1.charges.retrieve(charge))
            refunds = client.v1.refunds.list({"charge": charge, "limit": _PAGE})
            return charge_from(found, map(plain, refunds.auto_paging_iter()))

        try:
            return await self.calls.ask("charge", fetch)
        except Refused as e:
            if e.code == "resource_missing":
                return None
            raise

    async def fetch_refund(self, refund: str) -> Refund | None:
        """See there."""

        def fetch(client: stripe.StripeClient) -> Refund:
            found = client.v1.refunds.retrieve(refund, {"expand": ["charge"]})
            return refund_from(plain(found))

        try:
            return await self.calls.ask("refund", fetch)
        except Refused as e:
            if e.code == "resource_missing":
                return None
            raise

    async def name_customer(self, request: NameCustomer) -> None:
        """See there."""
        metadata = {SIGNUP_ID: request.signup_id, DEPLOYMENT: request.deployment}
        key = payment_key(request.signup_id, "name-customer", request.attempt)

        def update(client: stripe.StripeClient) -> None:
            client.v1.customers.update(
                request.customer, {"metadata": metadata}, {"idempotency_key": key}
            )

        await self.calls.ask("name customer", update)

    async def _create(self, parameters: Any, key: str) -> CheckoutSession:
        def create(client: stripe.StripeClient) -> tuple[dict[str, Any], bool]:
            made = client.v1.checkout.sessions.create(
                parameters, {"idempotency_key": key}
            )
            response = made.last_response
            headers = {} if response is None else dict(response.headers)
            lower = {name.lower(): value for name, value in headers.items()}
            return plain(made), lower.get("idempotent-replayed") == "true"

        answer, replayed = await self.calls.ask("open checkout", create)
        session = session_from(answer)
        if replayed:
            # The answer is of then: it may be paid or expired by now.
            return await self.fetch_session(session.session_id) or session
        return session

    async def _price(self, request: CheckoutRequest) -> str:
        key = request.lookup_key
        now = self.calls.reactor.seconds()
        kept = self._prices.get(key)
        fresh = kept is not None and now - kept[0] < _PRICE_SECONDS
        found = kept[1] if kept is not None and fresh else None
        if found is None:
            prices = await self.calls.ask("price", lambda c: look_up(c, [key]))
            found = prices.get(key)
            if found is not None:
                self._prices[key] = (now, found)
        try:
            return agreed_price(
                found, key, request.price, request.currency, request.interval
            )
        except Refused:
            # So that a price that is mended at Stripe counts at once.
            self._prices.pop(key, None)
            raise

    async def fetch_session(self, session_id: str) -> CheckoutSession | None:
        """See there."""

        def fetch(client: stripe.StripeClient) -> dict[str, Any]:
            return plain(client.v1.checkout.sessions.retrieve(session_id))

        try:
            return session_from(await self.calls.ask("fetch session", fetch))
        except Refused as e:
            if e.code == "resource_missing":
                return None
            raise

    async def find_sessions(self, signup_id: SignupId) -> tuple[CheckoutSession, ...]:
        """See there."""
        return tuple(reversed(await self._matching(signup_id, None)))

    async def _matching(
        self, signup_id: SignupId, attempt: str | None
    ) -> list[CheckoutSession]:
        """Newest first, by metadata: Stripe's lists cannot be asked for that."""
        since = int((self.now() - _LOOK_BACK).timestamp())

        def look(client: stripe.StripeClient) -> list[dict[str, Any]]:
            pages = client.v1.checkout.sessions.list(
                {"created": {"gte": since}, "limit": _PAGE}
            )
            every = (plain(session) for session in pages.auto_paging_iter())
            return [
                session
                for session in every
                if (session.get("metadata") or {}).get(SIGNUP_ID) == signup_id
                and attempt in (None, session["metadata"].get(ATTEMPT))
            ]

        return [session_from(s) for s in await self.calls.ask("find sessions", look)]

    async def expire_session(self, session_id: str) -> CheckoutSession:
        """See there."""

        def expire(client: stripe.StripeClient) -> dict[str, Any]:
            return plain(client.v1.checkout.sessions.expire(session_id))

        session = await self.fetch_session(session_id)
        if session is None:
            raise Refused("resource_missing", f"no session {session_id}")
        if session.status != "open":
            return session
        try:
            return session_from(await self.calls.ask("expire session", expire))
        except Refused:
            # It was completed, or its time came, between our look and our call.
            after = await self.fetch_session(session_id)
            if after is None or after.status == "open":
                raise
            return after

    async def give_back(self, request: GiveBack) -> GivenBack:
        """Give back: 1. nothing more can be paid; 2. cancelled; 3. refunded;
        4. credited.

        Of goodwill, the last two alone.
        """
        if request.purpose == "goodwill":
            return await self._give_part_back(request)
        subscription = request.subscription
        if subscription is None:
            session = await self.fetch_session(request.session_id)
            if session is not None and session.status == "open":
                session = await self.expire_session(request.session_id)
            subscription = None if session is None else session.subscription
        if subscription is None:
            return GivenBack(None, None, 0)
        known = subscription
        key = payment_key(request.signup_id, request.purpose, request.attempt)
        await self.calls.ask("cancel", lambda c: giving_back.cancel(c, known, key))
        intents = await self.calls.ask(
            "first charge", lambda c: giving_back.first_intents(c, known)
        )
        refund_id, amount, uncredited = None, 0, None
        for intent in intents:
            done = await self._refund(intent, request, key)
            refund_id = done.refund_id or refund_id
            amount += done.amount
            uncredited = await self._credit(intent, key) or uncredited
        return GivenBack(subscription, refund_id, amount, uncredited)

    async def _refund(
        self, intent: str, request: GiveBack, key: str
    ) -> giving_back.Refunded:
        def refund(
            client: stripe.StripeClient, again: str = ""
        ) -> giving_back.Refunded:
            return giving_back.refund(client, intent, request.purpose, key + again)

        return await self._refunded(refund)

    async def _refunded(
        self, refund: Callable[..., giving_back.Refunded]
    ) -> giving_back.Refunded:
        try:
            return await self.calls.ask("refund", refund)
        except FailsAgain:
            # Stripe keeps its own failure under that key.  What was given back is
            # looked at anew before the next key is used, so nothing is paid twice.
            return await self.calls.ask("refund", lambda c: refund(c, ":again"))

    async def _give_part_back(self, request: GiveBack) -> GivenBack:
        intent, amount = request.payment_intent, request.amount
        assert intent is not None
        assert amount is not None
        key = payment_key(request.signup_id, request.purpose, request.attempt)

        def refund(
            client: stripe.StripeClient, again: str = ""
        ) -> giving_back.Refunded:
            return giving_back.refund_part(client, intent, amount, key, key + again)

        done = await self._refunded(refund)
        uncredited = await self._credit(intent, key)
        return GivenBack(request.subscription, done.refund_id, done.amount, uncredited)

    async def _credit(self, intent: str, key: str) -> str | None:
        """Write the credit notes; why Stripe refused one for good, where it did.

        The money is back by now, which no refusal of a note may hold up.
        """
        try:
            try:
                await self.calls.ask(
                    "credit note", lambda c: crediting.credit(c, intent, key)
                )
            except FailsAgain:
                await self.calls.ask(
                    "credit note",
                    lambda c: crediting.credit(c, intent, f"{key}:again"),
                )
        except Refused as e:
            return f"{e.code}: {e.message}"
        return None

    async def last_payment(self, subscription: str) -> LastPayment | None:
        """See there."""
        return await self.calls.ask(
            "last payment", lambda c: giving_back.last_payment(c, subscription)
        )

    async def fetch_subscription(self, subscription: str) -> Subscription | None:
        """See there."""
        try:
            return await self.calls.ask(
                "subscription", lambda c: retrieve(c, subscription)
            )
        except Refused as e:
            if e.code == "resource_missing":
                return None
            raise

    async def set_end(self, request: SetEnd) -> Subscription:
        """See there."""
        key = payment_key(request.signup_id, f"end-{request.wish}", request.attempt)
        try:
            return await self.calls.ask("set end", lambda c: set_end(c, request, key))
        except FailsAgain:
            # Stripe keeps its own failure under that key; what is done is looked at.
            return await self.calls.ask(
                "set end", lambda c: set_end(c, request, f"{key}:again")
            )

    async def hints_since(self, since: datetime) -> tuple[StripeHint, ...]:
        """The events since then that may change a signup, oldest first.

        For what no webhook brought; Stripe keeps them for 30 days.
        """

        def look(client: stripe.StripeClient) -> list[dict[str, Any]]:
            return [plain(event) for event in _events(client, since)]

        found = await self.calls.ask("events", look)
        hints = [hint for event in found if (hint := hint_of(event)) is not None]
        return tuple(reversed(hints))


def _events(client: stripe.StripeClient, since: datetime) -> Any:
    return client.v1.events.list(
        {
            "created": {"gte": int(since.timestamp())},
            "types": sorted(SUBJECTS),
            "limit": _PAGE,
        }
    ).auto_paging_iter()
