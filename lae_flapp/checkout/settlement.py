"""What became of a Checkout session: decided from what Stripe shows now, alone.

A webhook, the browser's return, the hourly reconciliation and a start all end here,
in whatever order they come, however often.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from twisted.logger import Logger

from lae_flapp.journal import capacity, events, sessions, signups
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.signup import payment
from lae_flapp.signup.doors import CheckoutSession
from lae_flapp.signup.workshop import Workshop
from lae_protocol.ids import SignupId

Outcome = Literal["kept", "surplus", "unpaid", "expired", "foreign", "unknown"]


class Settlement:
    """Fetches sessions and journals what they have become.

    *nudge* wakes the routine's worker for one signup.
    """

    _log = Logger()

    def __init__(self, shop: Workshop, nudge: Callable[[SignupId], object]) -> None:
        self._shop, self._nudge = shop, nudge

    async def settle(self, session_id: str, who: str) -> Outcome:
        """Fetch the session, journal what it shows; raises what the door raises."""
        shop = self._shop
        session: CheckoutSession | None = await shop.outside(
            "payments.fetch_session", lambda: shop.payments.fetch_session(session_id)
        )
        if session is None:
            return "foreign"
        taken = await payment.take(shop, session)
        if taken == "unpaid":
            return await shop.journal.write(self._unpaid, session, who)
        if taken in {"kept", "surplus"} and session.signup_id is not None:
            self._nudge(session.signup_id)
        if taken == "unknown":
            await shop.journal.write(
                events.note, None, "unknown-session", who, session.session_id
            )
            self._log.critical(
                "Stripe has a paid session of this deployment for {signup_id}, which"
                " the journal does not know: was an older backup restored?",
                signup_id=session.signup_id,
            )
        return taken

    async def settle_open_ones(self, signup_id: SignupId, who: str) -> None:
        """Look at every session of one signup that may still be open."""
        for session in await self._shop.journal.read(sessions.of, signup_id):
            if session.state == "open":
                await self.settle(session.session_id, who)

    async def reconcile(self) -> None:
        """Look at all open sessions: webhooks are lost, and we may have been away."""
        for session in await self._shop.journal.read(sessions.open_ones):
            await self.settle(session.session_id, "reconciliation")

    @staticmethod
    def _unpaid(tx: WriteTx, session: CheckoutSession, who: str) -> Outcome:
        """Journal the end of a session that nobody paid."""
        signup_id = session.signup_id
        if session.status != "expired" or signup_id is None:
            return "unpaid"
        if sessions.find(tx, session.session_id) is None:
            return "expired"
        if not sessions.expired(tx, session.session_id):
            return "expired"
        others = [s for s in sessions.of(tx, signup_id) if s.state == "open"]
        if not others and signups.get(tx, signup_id).state == "paying":
            signups.move(
                tx, signup_id, {"paying"}, "expired", kind="checkout-expired", who=who
            )
            capacity.release(tx, signup_id)
        return "expired"
