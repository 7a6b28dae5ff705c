"""The front desk: what a web site may ask.  Its holder can do no more than a visitor.

Whatever concerns one customer needs that customer's owner secret, but for progress,
which anybody may see who knows the id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, assert_never

from attrs import evolve
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lae_flapp.desk.view import NOT_YOURS, see, see_as_owner
from lae_flapp.desk.wishes import Wishes
from lae_flapp.flood import HourlyLimit
from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.journal import signups
from lae_flapp.journal.errors import JournalClosed
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.threads import asked_by
from lae_flapp.money.checkout.checkout import Checkout
from lae_flapp.money.checkout.settlement import Settlement
from lae_flapp.money.inbox.intake import Intake
from lae_protocol.ids import SIGNUP_ID, SignupId
from lae_protocol.messages import (
    AskDoors,
    AskPulse,
    ConfirmByLink,
    CorrectAddress,
    Done,
    FrontDeskQuestion,
    Leave,
    LeaveByLink,
    LogInByLink,
    MailedLink,
    MailLogIn,
    Owner,
    PayAgain,
    Pulse,
    Refused,
    Register,
    Registered,
    ResendMail,
    ReturnByLink,
    ReturnedFromCheckout,
    SignupView,
    Stay,
    StripeEvent,
    Taken,
    Watch,
)
from lae_protocol.process.answer import Answering, Refusal
from lae_protocol.process.budget import CallShare
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.remote import FRONT_DESK
from lae_protocol.stripe_hints import StripeHint
from lae_provision.errors import ProvisionError

#: Seconds that one watch may wait; the caller then asks again.
LONGEST_WATCH = 20


class FrontDesk:
    """See the module."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        journal: Journal,
        *,
        checkout: Checkout,
        settlement: Settlement,
        intake: Intake,
        wishes: Wishes,
        furls: CustomerFurls,
        pulse: Callable[[], Awaitable[Pulse]],
        hint_limit: HourlyLimit,
    ) -> None:
        self._pulse, self._hint_limit = pulse, hint_limit
        self._clock, self._journal = clock, journal
        self._checkout, self._settlement = checkout, settlement
        self._intake, self._wishes, self._furls = intake, wishes, furls

    def facet(self, share: CallShare | None = None) -> Answering:
        """What a site's furl names."""
        return Answering(FRONT_DESK, asked_by("sites", self.answer), share)

    async def answer(  # noqa: PLR0911  (a case for each question)
        self, question: FrontDeskQuestion, request_id: str
    ) -> Any:
        """The answer to any question of a site; raises :class:`Refusal`."""
        match question:
            case AskDoors():
                return await self._wishes.doors()
            case AskPulse():
                return await self._pulse()
            case Register():
                return await self._register(question)
            case StripeEvent(hint):
                return await self._take(hint, request_id)
            case ReturnedFromCheckout(owner):
                return await self._returned(owner)
            case Watch():
                return await self._watch(question)
            case PayAgain() | ResendMail() | CorrectAddress() | Leave() | Stay():
                return await self._by_owner(question, request_id)
            case LeaveByLink() | ReturnByLink() | ConfirmByLink() | LogInByLink():
                return await self._by_link(question)
            case MailLogIn(signup_id):
                await self._wishes.mail_log_in(signup_id, request_id)
                return Done(await self._view(Owner(signup_id), 0))
            case _:
                assert_never(question)

    async def _by_link(
        self, question: LeaveByLink | ReturnByLink | ConfirmByLink | LogInByLink
    ) -> Registered | Done:
        """What whoever has a mail's link may wish, with no cookie."""
        link = question.link
        match question:
            case LeaveByLink():
                await self._wishes.by_link(link, "cancel")
                await self._wishes.cancel(link.signup_id)
            case ReturnByLink():
                return await self._return_by_link(link)
            case ConfirmByLink():
                await self._wishes.confirm_address(link)
            case LogInByLink():
                await self._wishes.log_in(link, question.owner_secret)
            case _:
                assert_never(question)
        return Done(await self._view(Owner(link.signup_id), 0))

    async def _by_owner(
        self,
        question: PayAgain | ResendMail | CorrectAddress | Leave | Stay,
        request_id: str,
    ) -> Registered | Done:
        """What only the owner may wish."""
        owner = question.owner
        await self._raise_unless_owned(owner)
        signup_id = owner.signup_id
        match question:
            case PayAgain():
                url = await self._checkout.pay_again(signup_id)
                return Registered(url, await self._view(owner, 0))
            case ResendMail():
                await self._wishes.resend(signup_id, request_id)
            case CorrectAddress(_, email):
                await self._wishes.correct_address(signup_id, email, request_id)
            case Leave():
                await self._wishes.cancel(signup_id)
            case Stay():
                await self._wishes.stay(signup_id)
            case _:
                assert_never(question)
        return Done(await self._view(owner, 0))

    async def _register(self, register: Register) -> Registered | Refused:
        """Journal a signup and open its Checkout session."""
        if not SIGNUP_ID.match(register.signup_id):
            return Refused("malformed", "the signup id")
        if not register.owner_secret.is_long_enough():
            return Refused("malformed", "the owner's secret is too short")
        doors = await self._wishes.doors()
        if not doors.signups_open:
            return Refused("paused", doors.reason or "We take no new signups now.")
        url = await self._checkout.register(register)
        owner = Owner(register.signup_id, register.owner_secret)
        return Registered(url, await self._view(owner, 0))

    async def _take(self, hint: StripeHint, request_id: str) -> Taken | Refused:
        """Take an event, unless too many came: Stripe sends it again, and the daemon
        reads from Stripe what no webhook told.
        """
        if not hint.is_well_named():
            return Refused("malformed", "no names of Stripe's")
        if hint.is_followed() and not self._hint_limit.take():
            return Refused("try-later", "too many events")
        return Taken(await self._intake.take(hint, request_id))

    async def _returned(self, owner: Owner) -> SignupView:
        """The browser is back: fetch the session now, whatever the webhook does."""
        view = await self._view(owner, 0)
        asked_by_owner = owner.owner_secret is not None
        payable = {"registered", "paying", "expired", "ended"}
        if asked_by_owner and view.state in payable:
            try:
                await self._settlement.settle_open_ones(owner.signup_id, "return")
            except (ProvisionError, DeadlinePassed) as e:
                # The webhook tells it, or the next look at Stripe.
                self._log.warn(
                    "Stripe cannot be asked about {signup_id}: {problem}",
                    signup_id=owner.signup_id,
                    problem=str(e),
                )
        return await self._view(owner, 0)

    async def _watch(self, watch: Watch) -> SignupView:
        """What comes after an event's number; waits for it, but not for ever."""
        view = await self._view(watch.owner, watch.since)
        patience = min(watch.patience, LONGEST_WATCH)
        if view.progress or patience <= 0:
            return view
        await self._news(watch.owner.signup_id, watch.since, patience)
        return await self._view(watch.owner, watch.since)

    async def _return_by_link(self, link: MailedLink) -> Registered:
        """Continue it: a cancellation is taken back, or it is paid for again."""
        signup = await self._wishes.by_link(link, "return")
        if signup.state == "active":
            await self._wishes.stay(link.signup_id)
        url = await self._checkout.pay_again(link.signup_id)
        return Registered(url, await self._view(Owner(link.signup_id), 0))

    async def _raise_unless_owned(self, owner: Owner) -> None:
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
            see_as_owner, signup_id, secret, since, self._settlement.may_be_paid
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
