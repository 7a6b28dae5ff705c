"""What became of a Checkout session: decided from what Stripe shows now, alone.

A webhook, the browser's return, the hourly reconciliation and a start all end here,
in whatever order they come, however often.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from twisted.logger import Logger

from lae_flapp.journal import capacity, events, sessions, signups
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.signups import Payment
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.signup.doors import CheckoutSession, IPayments
from lae_protocol.ids import SignupId
from lae_protocol.process.crash import crash_point, declare

Outcome = Literal["paid", "unpaid", "expired", "foreign", "unknown", "surplus"]

BEFORE_PAID = declare(
    "settlement.before-paid", "Stripe shows the payment, the journal does not"
)
AFTER_PAID = declare(
    "settlement.after-paid", "the journal has `paid`, nothing is built"
)


class Settlement:
    """Fetches sessions and journals what they have become.

    *nudge* wakes the routine's worker for one signup.
    """

    _log = Logger()

    def __init__(
        self,
        journal: Journal,
        payments: IPayments,
        deployment: str,
        livemode: bool,  # noqa: FBT001  (Stripe's own word)
        nudge: Callable[[SignupId], object],
    ) -> None:
        self._journal, self._payments = journal, payments
        self._deployment, self._livemode = deployment, livemode
        self._nudge = nudge

    async def settle(self, session_id: str, who: str) -> Outcome:
        """Fetch the session, journal what it shows; raises what the door raises."""
        session = await self._payments.fetch_session(session_id)
        if session is None or not self._ours(session):
            return "foreign"
        if session.paid:
            crash_point(BEFORE_PAID)
        outcome = await self._journal.write(self._journaled, session, who)
        if outcome in {"paid", "surplus"} and session.signup_id is not None:
            crash_point(AFTER_PAID)
            self._nudge(session.signup_id)
        if outcome == "unknown":
            self._log.critical(
                "Stripe has a session of this deployment for {signup_id}, which the"
                " journal does not know: was an older backup restored?",
                signup_id=session.signup_id,
            )
        return outcome

    async def settle_open_ones(self, signup_id: SignupId, who: str) -> None:
        """Look at every session of one signup that may still be open."""
        for session in await self._journal.read(sessions.of, signup_id):
            if session.state == "open":
                await self.settle(session.session_id, who)

    async def reconcile(self) -> None:
        """Look at all open sessions: webhooks are lost, and we may have been away."""
        for session in await self._journal.read(sessions.open_ones):
            await self.settle(session.session_id, "reconciliation")

    def _ours(self, session: CheckoutSession) -> bool:
        return (
            session.signup_id is not None
            and session.deployment == self._deployment
            and session.livemode == self._livemode
        )

    def _journaled(self, tx: WriteTx, session: CheckoutSession, who: str) -> Outcome:
        assert session.signup_id is not None, "it is ours"
        signup = signups.find(tx, session.signup_id)
        if signup is None:
            events.note(tx, None, "unknown-session", who, session.session_id)
            return "unknown"
        if sessions.find(tx, session.session_id) is None:
            # Its reply was lost; Stripe's metadata says whose it is.
            sessions.opened(
                tx,
                signup.signup_id,
                session.session_id,
                session.url or "",
                session.expires_at,
            )
        if session.paid:
            return self._paid(tx, session, signup.signup_id, who)
        if session.status == "expired":
            return self._expired(tx, session, signup.signup_id, who)
        return "unpaid"

    def _paid(
        self, tx: WriteTx, session: CheckoutSession, signup_id: SignupId, who: str
    ) -> Outcome:
        payment = Payment(
            session=session.session_id,
            customer=session.customer,
            subscription=session.subscription,
            invoice=None,
            payment_intent=None,
            paid_at=tx.now,
        )
        match sessions.paid(tx, signup_id, payment):
            case "kept":
                signup = signups.move(
                    tx,
                    signup_id,
                    {"registered", "paying", "expired"},
                    "paid",
                    kind="paid",
                    who=who,
                )
                # Paid for, so no quota says no: an operator sees that it is exceeded.
                capacity.hold(tx, signup_id, signup.cell.name, limits={}, until=None)
                return "paid"
            case "kept-already":
                return "paid"
            case "surplus":
                events.note(tx, signup_id, "paid-twice", who, session.session_id)
                return "surplus"

    def _expired(
        self, tx: WriteTx, session: CheckoutSession, signup_id: SignupId, who: str
    ) -> Outcome:
        if not sessions.expired(tx, session.session_id):
            return "expired"
        others = [s for s in sessions.of(tx, signup_id) if s.state == "open"]
        if not others and signups.get(tx, signup_id).state == "paying":
            signups.move(
                tx, signup_id, {"paying"}, "expired", kind="checkout-expired", who=who
            )
            capacity.release(tx, signup_id)
        return "expired"
