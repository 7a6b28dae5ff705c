"""What became of a Checkout session: decided from what Stripe shows now, alone.

A webhook, the browser's return, the hourly reconciliation and a start all end here,
in whatever order they come, however often.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Literal, assert_never

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_flapp.effects.payments import CheckoutSession
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import capacity, effects, events, sessions, signups
from lae_flapp.journal.effects import Effect
from lae_flapp.journal.errors import JournalClosed
from lae_flapp.journal.sessions import Session
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.money import payment
from lae_flapp.money.checkout.customer_name import STEP as NAMING
from lae_flapp.money.checkout.customer_name import CustomerName
from lae_protocol.ids import SignupId
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.process.keyed_lock import KeyedLock
from lae_provision.errors import ProvisionError

#: The step of effects that open Checkout sessions.
CHECKOUT = "checkout"
#: Who reads Stripe, in the events.
WHO = "reconciliation"
#: By then Stripe has ended every session that a request can have opened.
UNHEARD = timedelta(hours=1)

#: Of a paid session that the journal did not know: its signup has a row by now; its
#: payment went back; a person must decide.
Adopted = Literal["row", "paid-back", "undecided"]
Outcome = Literal["kept", "surplus", "unpaid", "expired", "foreign", "unknown"]


class Settlement:
    """Fetches sessions and journals what they have become.

    *adopt* takes in a signup that the journal does not know
    (:class:`lae_flapp.restored.adoption.Adoption`).
    """

    _log = Logger()

    def __init__(
        self,
        shop: Workshop,
        adopt: Callable[[CheckoutSession], Awaitable[Adopted]],
    ) -> None:
        self._shop, self._adopt = shop, adopt
        self._name = CustomerName(shop)
        self._in_order = KeyedLock()
        #: Sessions of which Stripe did not say, at the last look, what they are.
        self._unsure: set[str] = set()

    def may_be_paid(self, session_id: str) -> bool:
        """Whether somebody looked whether this session is paid, and Stripe did not
        answer since: then nobody is offered its page, who may have paid there.
        """
        return session_id in self._unsure

    async def settle(self, session_id: str, who: str) -> Outcome:
        """Fetch the session, journal what it shows; raises what the door raises.

        Webhook and return mostly come together: the second waits for the first, and
        what is over by then is not fetched again.
        """
        return await self._in_order.run(
            session_id, lambda: self._settle(session_id, who)
        )

    async def _settle(self, session_id: str, who: str) -> Outcome:
        shop = self._shop
        known = await shop.journal.read(sessions.find, session_id)
        if known is not None and known.state != "open":
            return _of_closed(known)
        if known is not None:
            self._unsure.add(session_id)
        session: CheckoutSession | None = await shop.payments.fetch_session(session_id)
        self._unsure.discard(session_id)
        if session is None:
            return "foreign"
        taken = await payment.take(shop, session)
        if taken == "unknown":
            taken = await self._take_in(session)
        if taken == "unpaid":
            return await shop.journal.write(self._unpaid, session, who)
        if taken == "kept" and session.signup_id is not None:
            self._in_the_background(self._name.write(session.signup_id))
        if taken == "unknown":
            self._log.critical(
                "Stripe has a paid session of this deployment for {signup_id}, which"
                " the journal does not know, and which cannot be adopted",
                signup_id=session.signup_id,
            )
        return taken

    async def _take_in(self, session: CheckoutSession) -> payment.Taken:
        match await self._adopt(session):
            case "row":
                return await payment.take(self._shop, session)
            case "paid-back":
                return "surplus"
            case "undecided":
                return "unknown"
            case never:
                assert_never(never)

    async def settle_open_ones(self, signup_id: SignupId, who: str) -> None:
        """Look at every session of one signup that may still be open."""
        for session in await self._shop.journal.read(sessions.of, signup_id):
            if session.state == "open":
                await self.settle(session.session_id, who)

    async def reconcile(self) -> None:
        """Ask Stripe about what is open: a webhook may be lost, or we were away.

        1. Sessions that were open when we last heard; 2. sessions whose id we never
        heard, since the reply was lost.  A session that cannot be settled now waits
        for the next look, and holds up no other.
        """
        for session in await self._shop.journal.read(sessions.open_ones):
            await self._in_its_turn(self.settle(session.session_id, WHO))
        for effect in await self._shop.journal.read(effects.unfinished):
            if effect.key.step == CHECKOUT:
                await self._in_its_turn(self._settle_unheard(effect))
            if effect.key.step == NAMING:
                await self._name.write(effect.key.signup_id, later=0.0)

    def _in_the_background(self, work: Coroutine[Any, Any, None]) -> None:
        """The customer does not wait for it; the journal says what is left to do."""

        def failed(failure: Failure) -> None:
            if not failure.check(JournalClosed):  # type: ignore[no-untyped-call]
                self._log.failure("in the background", failure)

        Deferred.fromCoroutine(work).addErrback(failed)

    async def _in_its_turn(self, settling: Awaitable[object]) -> None:
        try:
            await settling
        except (ProvisionError, DeadlinePassed) as e:
            self._log.warn("not settled this time: {problem}", problem=str(e))

    async def _settle_unheard(self, effect: Effect) -> None:
        shop, signup_id = self._shop, effect.key.signup_id
        found: tuple[CheckoutSession, ...] = await shop.payments.find_sessions(
            signup_id
        )
        outcomes = {await self.settle(s.session_id, WHO) for s in found}
        if "unpaid" not in outcomes:
            await shop.journal.write(self._give_up_unheard, effect.number)

    @staticmethod
    def _give_up_unheard(tx: WriteTx, number: int) -> None:
        """End an effect whose request can open no session any more.

        Otherwise its session would be looked for for ever, and the registration could
        never be purged.
        """
        effect = effects.get(tx, number)
        if effect.state == "begun" and effect.changed_at <= tx.now - UNHEARD:
            effects.fail(tx, number, "nobody came back for it")

    @staticmethod
    def _unpaid(tx: WriteTx, session: CheckoutSession, who: str) -> Outcome:
        """Journal that a session ended and nobody paid it."""
        signup_id = session.signup_id
        if session.status != "expired" or signup_id is None:
            return "unpaid"
        if sessions.find(tx, session.session_id) is None:
            return "expired"
        if not sessions.expired(tx, session.session_id):
            return "expired"
        if any(s.state == "open" for s in sessions.of(tx, signup_id)):
            return "expired"
        capacity.release(tx, signup_id)
        state = signups.get(tx, signup_id).state
        if state == "ended":
            events.tell(tx, signup_id, "checkout-expired", who)
        if state == "paying":
            signups.move(
                tx, signup_id, {"paying"}, "expired", kind="checkout-expired", who=who
            )
        return "expired"


def _of_closed(session: Session) -> Outcome:
    """What a session came to that is over: no session is ever opened again."""
    if session.state == "expired":
        return "expired"
    return "kept" if session.kept or session.state == "over" else "surplus"
