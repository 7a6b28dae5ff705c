"""Registrations, and the Checkout sessions opened for them.

No session is opened that the journal does not know: the signup, its capacity and the
whole request are committed first.  The old session of a signup is expired before
another is opened, since both could be paid.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import datetime, timedelta

from twisted.logger import Logger

from lae_flapp.effects.carrying_out import Effects, Points, Rendered
from lae_flapp.effects.payments import CheckoutRequest, CheckoutSession, IPayments
from lae_flapp.flood import HourlyLimit
from lae_flapp.journal import (
    capacity,
    cells,
    contacts,
    effects,
    events,
    lifecycles,
    sessions,
    signups,
    switches,
)
from lae_flapp.journal.effects import Effect, EffectKey, Ticket
from lae_flapp.journal.errors import HeldByOthers, NoRoom, NotOwner
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.sessions import Session
from lae_flapp.journal.signups import Agreement, Signup
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.money.checkout.offer import Accepted, consider
from lae_flapp.money.checkout.selling import Selling
from lae_flapp.money.checkout.settlement import CHECKOUT, Settlement
from lae_protocol import wire
from lae_protocol.ids import SignupId, new_grid_label
from lae_protocol.messages import Refused, Register, SignupState
from lae_protocol.process.answer import Refusal
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.process.keyed_lock import KeyedLock
from lae_protocol.secret import Secret
from lae_provision.doors import Sealer
from lae_provision.errors import ProvisionError
from lae_provision.errors import Refused as DoorRefused

#: How long a session can be paid; Stripe's shortest is 30 minutes, counted from when
#: Stripe makes the session.
SESSION_LIVES = timedelta(minutes=31)
#: How long capacity is held: a little longer, for a payment at the last moment.
HOLD_FOR = SESSION_LIVES + timedelta(minutes=4)
#: How long after its registration an order can be paid.  No session is opened later, so
#: a place is never held longer than this and HOLD_FOR, however often that is asked for.
PAY_WITHIN = timedelta(hours=24)

#: A signup that may be paid for; a former customer's may be, too.
UNPAID: frozenset[SignupState] = frozenset({"registered", "paying", "expired"})
PAYABLE: frozenset[SignupState] = UNPAID | {"ended"}
#: A renewal was not paid: Stripe has a page for that invoice.
OVERDUE: frozenset[SignupState] = frozenset({"past-due", "suspended", "stopped"})

#: What a customer is told when Stripe does not answer.
STRIPE_AWAY = (
    "The payment service does not answer. Please try again in a few minutes; whatever"
    " you have paid is safe."
)

OPENING = Points.declared("checkout", "opening")


def _no(code: object, message: str) -> Refusal:
    return Refusal(Refused(code, message))  # type: ignore[arg-type]


def _no_room(error: NoRoom) -> Refusal:
    if isinstance(error, HeldByOthers):
        return _no(
            "full",
            "Others are paying for all the places that we sell at one time. Please try"
            " again in half an hour.",
        )
    return _no("full", "All places are taken at the moment.")


def _has_overdue(tx: ReadTx, signup_id: SignupId) -> bool:
    """Whether a session is open in the journal that Stripe has ended by now."""
    known = sessions.of(tx, signup_id)
    return any(s.state == "open" and s.expires_at <= tx.now for s in known)


def _refuse_paused(tx: ReadTx) -> None:
    """Take no more money while an operator has paused signups."""
    pause = switches.paused(tx, "signups")
    if pause is not None:
        raise _no("paused", f"We take no new signups at the moment: {pause.why}.")


class Checkout:
    """Takes registrations and opens sessions, as many as *limit* lets through; one at
    a time for each signup.
    """

    _log = Logger()

    def __init__(
        self,
        journal: Journal,
        payments: IPayments,
        sealer: Sealer,
        settlement: Settlement,
        selling: Selling,
        *,
        limit: HourlyLimit,
    ) -> None:
        self._journal, self._payments = journal, payments
        self._effects = Effects(journal, sealer)
        self._settlement, self._selling = settlement, selling
        self._limit = limit
        self._in_order = KeyedLock()

    async def register(self, register: Register) -> str:
        """Journal the signup and open its session; where the browser goes next.

        The same form again finds the same signup.  Raises
        :class:`~lae_protocol.process.answer.Refusal`.
        """
        considered = consider(register, self._selling.plans)
        if isinstance(considered, Refused):
            raise Refusal(considered)

        async def turn() -> str:
            new = await self._journal.read(signups.find, register.signup_id) is None
            if new:
                await self._raise_if_flooded()
            try:
                signup = await self._journal.write(
                    self._journaled, register, considered
                )
            except NoRoom as e:
                raise _no_room(e) from None
            except NotOwner:
                raise _no("unknown-signup", "There is no such signup.") from None
            if await self._journal.read(_has_overdue, signup.signup_id):
                # No news came of its end: it may even have been paid.
                await self._expire_open_ones(signup.signup_id)
                signup = await self._journal.write(self._held_again, signup.signup_id)
            return await self._way_on(signup, counted=new)

        return await self._in_order.run(register.signup_id, turn)

    async def expire_sessions(self, signup_id: SignupId) -> None:
        """Expire every session that could still be paid; raises :class:`Refusal`."""
        await self._in_order.run(signup_id, lambda: self._expire_open_ones(signup_id))

    async def pay_again(self, signup_id: SignupId) -> str:
        """Where the browser goes to pay: another session, the old one expired; for a
        renewal that was not paid, Stripe's page of that invoice.

        A former customer's session brings everything back.  What is paid leads to the
        signup's own page.
        """

        async def turn() -> str:
            known = await self._journal.read(signups.get, signup_id)
            if known.state in OVERDUE and known.payment is not None:
                return await self._invoice_page(known.payment.subscription, signup_id)
            if known.state in PAYABLE:
                await self._raise_if_flooded()
            await self._expire_open_ones(signup_id)
            signup = await self._journal.write(self._held_again, signup_id)
            return await self._way_on(signup, PAYABLE, counted=True)

        return await self._in_order.run(signup_id, turn)

    def _journaled(self, tx: WriteTx, register: Register, offer: Accepted) -> Signup:
        if signups.find(tx, register.signup_id) is None:
            _refuse_paused(tx)
        cells.put(tx, self._selling.cell)
        signup, _ = signups.register(
            tx,
            register.signup_id,
            register.owner_secret,
            grid_label=new_grid_label(),
            cell=self._selling.cell,
            agreement=Agreement(offer.plan, tx.now, offer.language),
        )
        if signup.state in UNPAID:
            # Also of a form that is sent again: its place may have lapsed since.
            self._hold(tx, signup)
        contacts.put(
            tx, signup.signup_id, offer.address.as_typed, offer.address.for_smtp
        )
        return signup

    def _held_again(self, tx: WriteTx, signup_id: SignupId) -> Signup:
        signup = signups.get(tx, signup_id)
        until = lifecycles.get(tx, signup_id).kept_until
        if signup.state == "ended" and until is not None and tx.now >= until:
            raise _no("not-now", "The time in which this could be continued is over.")
        if signup.state in PAYABLE:
            _refuse_paused(tx)
            try:
                self._hold(tx, signup)
            except NoRoom as e:
                raise _no_room(e) from None
        return signup

    async def _invoice_page(self, subscription: str | None, signup_id: SignupId) -> str:
        if subscription is not None:
            with self._asking_stripe(signup_id):
                seen = await self._payments.fetch_subscription(subscription)
            if seen is not None and seen.pay_url is not None:
                return seen.pay_url.reveal()
        return f"{self._selling.site_url}/signup/{signup_id}"

    def _hold(self, tx: WriteTx, signup: Signup) -> None:
        """Hold its place for one session more; a former customer's beside the share."""
        new = signup.state in UNPAID
        if new and tx.now >= signup.created_at + PAY_WITHIN:
            raise _no(
                "not-now",
                "This order was not paid within a day, and nothing was charged. Please"
                " fill in the form again.",
            )
        capacity.hold(
            tx,
            signup.signup_id,
            limits=self._selling.quotas,
            until=tx.now + HOLD_FOR,
            share=self._selling.unpaid_share if new else 1.0,
        )

    async def _raise_if_flooded(self) -> None:
        if not await self._limit.take_in_turn():
            raise _no(
                "full",
                "More people sign up just now than we can take. Nothing was charged."
                " Please try again in a few minutes.",
            )

    async def _way_on(
        self,
        signup: Signup,
        payable: AbstractSet[SignupState] = UNPAID,
        *,
        counted: bool,
    ) -> str:
        """The open session's page, a new one's, or, once paid, the status page.

        *counted* says that the session is counted already.
        """
        if signup.state not in payable:
            return f"{self._selling.site_url}/signup/{signup.signup_id}"
        page = f"{self._selling.site_url}/signup/{signup.signup_id}"
        for session in await self._journal.read(sessions.of, signup.signup_id):
            if session.state == "open" and session.url is not None:
                unsure = self._settlement.may_be_paid(session.session_id)
                return page if unsure else session.url
        if not counted:
            await self._raise_if_flooded()
        return await self._open(signup)

    async def _expire_open_ones(self, signup_id: SignupId) -> None:
        """Expire the old session first: two open ones could both be paid."""
        for session in await self._journal.read(sessions.of, signup_id):
            if session.state == "open":
                await self._expire(session)

    async def _expire(self, session: Session) -> None:
        with self._asking_stripe(session.signup_id):
            await self._payments.expire_session(session.session_id)
            # It may have been paid a moment before: decide from what it is now.
            await self._settlement.settle(session.session_id, "owner")

    @contextmanager
    def _asking_stripe(
        self, signup_id: SignupId, *but: type[Exception]
    ) -> Iterator[None]:
        """Tell Stripe's failure as Stripe's, to the customer and in the log; *but* what
        the caller tells.
        """
        try:
            yield
        except but:
            raise
        except (ProvisionError, DeadlinePassed) as e:
            self._log.warn(
                "Stripe cannot be asked about {signup_id}: {problem}",
                signup_id=signup_id,
                problem=str(e),
            )
            raise _no("no-answer", STRIPE_AWAY) from None

    async def _open(self, signup: Signup) -> str:
        """Journal the request, send it, journal the session.

        A request without an answer is sent again as it stands; where it is refused by
        now (its end is too near), the next attempt follows.
        """
        key = EffectKey(signup.signup_id, CHECKOUT, "open")
        read = self._journal.read

        async def render(ticket: Ticket) -> Rendered:
            request = await read(self._render, signup, ticket.attempt)
            return Rendered(wire.encode(request), secret=True)

        async def send(request: bytes) -> CheckoutSession:
            return await self._payments.open_checkout(
                wire.decode(CheckoutRequest, request)
            )

        try:
            with self._asking_stripe(signup.signup_id, DoorRefused):
                session = await self._effects.carry_out(
                    key, render, send, self._opened, OPENING
                )
        except DoorRefused as e:
            self._log.error(
                "Stripe opens no Checkout session for {signup_id}: {problem}",
                signup_id=signup.signup_id,
                problem=str(e),
            )
            failed = await read(effects.last, key)
            if failed is not None and failed.tries:
                await self._expire_unheard(signup.signup_id)
                return await self._open(signup)
            raise _no(
                "no-answer", "The payment service refused; we look at it."
            ) from None
        return session.url or f"{self._selling.site_url}/signup/{signup.signup_id}"

    async def _expire_unheard(self, signup_id: SignupId) -> None:
        """Find the session that an earlier try opened, if its reply was lost."""
        with self._asking_stripe(signup_id):
            for session in await self._payments.find_sessions(signup_id):
                if session.status == "open":
                    await self._payments.expire_session(session.session_id)
                await self._settlement.settle(session.session_id, "owner")

    def _render(self, tx: ReadTx, signup: Signup, attempt: int) -> CheckoutRequest:
        plan = signup.agreement.plan
        page = f"{self._selling.site_url}/signup/{signup.signup_id}"
        return CheckoutRequest(
            signup_id=signup.signup_id,
            attempt=attempt,
            deployment=signup.cell.deployment,
            lookup_key=plan.plan_id,
            price=plan.price,
            currency=plan.currency,
            interval=plan.interval,
            email=Secret(contacts.current(tx, signup.signup_id).smtp),
            language=signup.agreement.language,
            success_url=f"{page}?returned=1",
            cancel_url=f"{page}?stopped=1",
            expires_at=(self._correct_time(tx.now) + SESSION_LIVES).replace(
                microsecond=0
            ),
            options=self._selling.options,
        )

    def _correct_time(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._selling.ahead())

    @staticmethod
    def _opened(tx: WriteTx, effect: Effect, session: CheckoutSession) -> str:
        signup_id = effect.key.signup_id
        if session.url is None:
            # Paid or expired while our answer was under way; the inbox settles it.
            return session.session_id
        sessions.opened(
            tx, signup_id, session.session_id, session.url, session.expires_at
        )
        state = signups.get(tx, signup_id).state
        if state in {"registered", "expired"}:
            signups.move(
                tx, signup_id, {state}, "paying", kind="checkout-opened", who="daemon"
            )
        if state == "ended":
            # It comes back when it is paid, which its open pages then await.
            events.tell(tx, signup_id, "checkout-opened", "daemon")
        return session.session_id
