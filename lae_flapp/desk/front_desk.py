"""The front desk: what a web site may ask.  Its holder can do no more than a visitor.

Whatever concerns one customer needs that customer's owner secret, but for progress,
which anybody may see who knows the id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import evolve
from foolscap.api import Referenceable
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from lae_flapp.desk.furls import CustomerFurls
from lae_flapp.desk.view import NOT_YOURS, see, see_as_owner
from lae_flapp.desk.wishes import Wishes
from lae_flapp.journal import signups
from lae_flapp.journal.errors import JournalClosed
from lae_flapp.journal.journal import Journal
from lae_flapp.money.checkout.desk import CheckoutDesk
from lae_flapp.money.checkout.settlement import Settlement
from lae_flapp.money.inbox.intake import Intake
from lae_protocol.ids import SIGNUP_ID, SignupId
from lae_protocol.messages import (
    VERSION,
    AskDoors,
    AskPulse,
    CorrectAddress,
    Done,
    DoneAnswer,
    DoorsAnswer,
    EventAnswer,
    MailedLink,
    Owner,
    Pulse,
    PulseAnswer,
    Refused,
    Register,
    RegisterAnswer,
    Registered,
    SignupView,
    StripeEvent,
    Taken,
    ViewAnswer,
    Watch,
)
from lae_protocol.process.answer import Refusal, answers
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.remote import RIFrontDesk

#: Seconds that one watch may wait; the caller then asks again.
LONGEST_WATCH = 20


@implementer(RIFrontDesk)  # type: ignore[misc]  # foolscap has no types
class FrontDesk(Referenceable):
    """See the module.  Every method is strict at its edge by ``answers``."""

    def __init__(
        self,
        clock: IReactorTime,
        journal: Journal,
        *,
        checkout: CheckoutDesk,
        settlement: Settlement,
        intake: Intake,
        wishes: Wishes,
        furls: CustomerFurls,
        pulse: Callable[[], Awaitable[Pulse]],
    ) -> None:
        self._pulse = pulse
        self._clock, self._journal = clock, journal
        self._checkout, self._settlement = checkout, settlement
        self._intake, self._wishes, self._furls = intake, wishes, furls

    @answers(VERSION, AskDoors, DoorsAnswer)
    async def remote_doors(self, asked: AskDoors, request_id: str) -> Any:
        """Whether signups are taken, and what is sold."""
        del asked, request_id
        return await self._wishes.doors()

    @answers(VERSION, AskPulse, PulseAnswer)
    async def remote_pulse(self, asked: AskPulse, request_id: str) -> Any:
        """How the daemon is, for whoever looks from outside."""
        del asked, request_id
        return await self._pulse()

    @answers(VERSION, Register, RegisterAnswer)
    async def remote_register(self, register: Register, request_id: str) -> Any:
        """Journal a signup and open its Checkout session."""
        del request_id
        if not SIGNUP_ID.match(register.signup_id):
            return Refused("malformed", "the signup id")
        doors = await self._wishes.doors()
        if not doors.signups_open:
            return Refused("paused", doors.reason or "We take no new signups now.")
        url = await self._checkout.register(register)
        owner = Owner(register.signup_id, register.owner_secret)
        return Registered(url, await self._view(owner, 0))

    @answers(VERSION, Owner, RegisterAnswer)
    async def remote_pay_again(self, owner: Owner, request_id: str) -> Any:
        """Open another session, the old one expired first."""
        del request_id
        await self._owned(owner)
        url = await self._checkout.pay_again(owner.signup_id)
        return Registered(url, await self._view(owner, 0))

    @answers(VERSION, StripeEvent, EventAnswer)
    async def remote_take_stripe_event(
        self, event: StripeEvent, request_id: str
    ) -> Any:
        """Commit the event's hint to the inbox, then answer."""
        return Taken(await self._intake.take(event.hint, request_id))

    @answers(VERSION, Owner, ViewAnswer)
    async def remote_returned_from_checkout(self, owner: Owner, request_id: str) -> Any:
        """The browser is back: fetch the session now, whatever the webhook does."""
        del request_id
        view = await self._view(owner, 0)
        asked_by_owner = owner.owner_secret is not None
        payable = {"registered", "paying", "expired", "ended"}
        if asked_by_owner and view.state in payable:
            await self._settlement.settle_open_ones(owner.signup_id, "return")
        return await self._view(owner, 0)

    @answers(VERSION, Watch, ViewAnswer)
    async def remote_watch(self, watch: Watch, request_id: str) -> Any:
        """What comes after an event's number; waits for it, but not for ever."""
        del request_id
        view = await self._view(watch.owner, watch.since)
        patience = min(watch.patience, LONGEST_WATCH)
        if view.progress or patience <= 0:
            return view
        await self._news(watch.owner.signup_id, watch.since, patience)
        return await self._view(watch.owner, watch.since)

    @answers(VERSION, Owner, DoneAnswer)
    async def remote_resend_mail(self, owner: Owner, request_id: str) -> Any:
        """Mail the furl once more."""
        await self._owned(owner)
        await self._wishes.resend(owner.signup_id, request_id)
        return Done(await self._view(owner, 0))

    @answers(VERSION, CorrectAddress, DoneAnswer)
    async def remote_correct_address(
        self, correct: CorrectAddress, request_id: str
    ) -> Any:
        """Use another address, while the present one is not confirmed."""
        owner = correct.owner
        await self._owned(owner)
        await self._wishes.correct_address(owner.signup_id, correct.email, request_id)
        return Done(await self._view(owner, 0))

    @answers(VERSION, Owner, DoneAnswer)
    async def remote_cancel(self, owner: Owner, request_id: str) -> Any:
        """End it: at once where nothing is paid, else with the paid period."""
        del request_id
        await self._owned(owner)
        await self._wishes.cancel(owner.signup_id)
        return Done(await self._view(owner, 0))

    @answers(VERSION, Owner, DoneAnswer)
    async def remote_stay(self, owner: Owner, request_id: str) -> Any:
        """Take a cancellation back."""
        del request_id
        await self._owned(owner)
        await self._wishes.stay(owner.signup_id)
        return Done(await self._view(owner, 0))

    @answers(VERSION, MailedLink, DoneAnswer)
    async def remote_cancel_by_link(self, link: MailedLink, request_id: str) -> Any:
        """End it, with the link of a mail in the place of the owner's secret."""
        del request_id
        await self._wishes.by_link(link, "cancel")
        await self._wishes.cancel(link.signup_id)
        return Done(await self._view(Owner(link.signup_id), 0))

    @answers(VERSION, MailedLink, RegisterAnswer)
    async def remote_return_by_link(self, link: MailedLink, request_id: str) -> Any:
        """Continue it, with the link of a mail: taken back, or paid for again."""
        del request_id
        signup = await self._wishes.by_link(link, "return")
        if signup.state == "active":
            await self._wishes.stay(link.signup_id)
        url = await self._checkout.pay_again(link.signup_id)
        return Registered(url, await self._view(Owner(link.signup_id), 0))

    async def _owned(self, owner: Owner) -> None:
        """Refuse whoever does not show the owner's secret."""
        if owner.owner_secret is None or not SIGNUP_ID.match(owner.signup_id):
            raise Refusal(NOT_YOURS)
        found = await self._journal.read(
            signups.owned, owner.signup_id, owner.owner_secret
        )
        if found is None:
            raise Refusal(NOT_YOURS)

    async def _view(self, owner: Owner, since: int) -> SignupView:
        signup_id, secret = owner.signup_id, owner.owner_secret
        if secret is None:
            return await self._journal.read(see, signup_id, since)
        if not SIGNUP_ID.match(signup_id):
            raise Refusal(NOT_YOURS)
        # All of it in one transaction: it is asked after each event of each signup.
        view, identity = await self._journal.read(
            see_as_owner, signup_id, secret, since
        )
        furl = await self._furls.within(identity)
        if furl is None or view.owner is None:
            return view
        owned = evolve(view.owner, introducer_furl=furl.reveal())
        return evolve(view, owner=owned)

    async def _news(self, signup_id: SignupId, since: int, patience: int) -> None:
        waiting = self._journal.watch(signup_id, since, public=True)
        try:
            await with_deadline(self._clock, patience, "watch", waiting)
        except (DeadlinePassed, CancelledError):
            return
        except JournalClosed:
            raise Refusal(Refused("try-later", "We are about to restart.")) from None
