"""The front desk's twin in memory: for tests, and to look at pages without a daemon.

It keeps the promises that pages rely on (one id is one signup, an owner's secret
decides, a watch waits) and nothing is behind it: :meth:`MemoryDesk.happen` says what
happens next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from lae_flapp.grid.steps import STEPS, StepName
from lae_protocol.address import AddressRefused, parse_address
from lae_protocol.ids import OwnerSecret, SignupId
from lae_protocol.messages import (
    CorrectAddress,
    Done,
    DoneAnswer,
    Doors,
    DoorsAnswer,
    EventAnswer,
    MailedLink,
    Owner,
    OwnerView,
    Plan,
    Progress,
    Pulse,
    PulseAnswer,
    Refused,
    Register,
    RegisterAnswer,
    Registered,
    SignupState,
    SignupView,
    StripeEvent,
    Taken,
    UsageView,
    ViewAnswer,
    Watch,
)
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.secret import Secret
from lae_site.front_desk import DeskAway

#: The way of a paid signup, for tests that walk it.
BUILT = tuple(
    facts.tells for step, facts in STEPS.items() if step is not StepName.IDENTITY
)
_STATES: dict[str, SignupState] = {
    "checkout-opened": "paying",
    "paid": "paid",
    "ready": "active",
    "checkout-expired": "expired",
    "refunding": "refunding",
    "refunded": "refunded",
    "cancelled": "cancelled",
    "past-due": "past-due",
    "suspended": "suspended",
    "stopped": "stopped",
    "recovered": "active",
    "ending": "ending",
    "ended": "ended",
    "deleting": "deleting",
    "deleted": "deleted",
}
#: Of a host: it serves, or is ended.
_TURNS = ("self-test-passed", "stopped")
#: A page that pays for what was served before.
_PAYABLE = ("registered", "paying", "expired", "ended")
_UNKNOWN = Refused("unknown-signup", "no such signup")


@define
class _Signup:
    register: Register
    checkout: int = 0
    email: str = ""
    email_state: Literal["unconfirmed", "confirmed", "bouncing"] = "unconfirmed"
    state: SignupState = "registered"
    events: list[Progress] = field(factory=list)
    watchers: list[Deferred[None]] = field(factory=list)


@define
class MemoryDesk:
    """Implements :class:`lae_site.front_desk.FrontDesk`."""

    reactor: IReactorTime
    plans: tuple[Plan, ...]
    furl: str
    checkout_origin: str = "https://checkout.stripe.com"
    site_url: str = "https://s4.example.org"
    #: None when open, else the refusal of new signups.
    closed: Refused | None = None
    slower: str | None = None
    #: Whether nothing answers.
    down: bool = False
    #: What it says of itself.
    healthy: bool = True
    events_taken: list[StripeEvent] = field(factory=list)
    #: Signups whose payment Stripe knows, and we not yet.
    paid_unseen: set[SignupId] = field(factory=set)
    #: What every grid's host told last.
    usage: UsageView | None = None
    _signups: dict[SignupId, _Signup] = field(factory=dict)
    _numbers: int = 0

    def happen(self, signup_id: SignupId, *kinds: str) -> None:
        """These happen, one after the other."""
        signup = self._signups[signup_id]
        for kind in kinds:
            self._numbers += 1
            at = datetime.fromtimestamp(self.reactor.seconds(), UTC)
            signup.events.append(Progress(self._numbers, kind, at))
            signup.state = _STATES.get(kind, signup.state)
        watchers, signup.watchers = signup.watchers, []
        for watcher in watchers:
            watcher.callback(None)

    def confirm(
        self, signup_id: SignupId, state: Literal["confirmed", "bouncing"] = "confirmed"
    ) -> None:
        """The mail address proves to be good, or not."""
        self._signups[signup_id].email_state = state

    def ids(self) -> Sequence[SignupId]:
        """Every signup."""
        return list(self._signups)

    def registered_as(self, signup_id: SignupId) -> Register:
        """What the site sent."""
        return self._signups[signup_id].register

    def state(self, signup_id: SignupId) -> SignupState:
        """What is true of a signup now."""
        return self._signups[signup_id].state

    def ends_at(self, signup_id: SignupId) -> datetime | None:
        """When a signup that was cancelled ends."""
        return self._ends_at(self._signups[signup_id])

    def email(self, signup_id: SignupId) -> str:
        """The address, as far as it was corrected."""
        return self._signups[signup_id].email

    async def doors(self) -> DoorsAnswer:
        """See FrontDesk."""
        self._answer()
        reason = self.closed.message if self.closed else self.slower
        return Doors(self.closed is None, reason, self.plans, "local")

    async def pulse(self) -> PulseAnswer:
        """See FrontDesk."""
        self._answer()
        return Pulse("memory", 60, self.healthy)

    async def register(self, register: Register) -> RegisterAnswer:
        """See FrontDesk."""
        self._answer()
        signup = self._signups.get(register.signup_id)
        if signup is None:
            if self.closed:
                return self.closed
            if register.plan not in self.plans:
                return Refused("plan-changed", "Our plans have changed.", "plan")
            signup = _Signup(register, email=register.email)
            self._signups[register.signup_id] = signup
            self.happen(register.signup_id, "registered", "checkout-opened")
        elif signup.register.owner_secret != register.owner_secret:
            return _UNKNOWN
        return self._registered(signup)

    async def take_stripe_event(self, event: StripeEvent) -> EventAnswer:
        """See FrontDesk."""
        self._answer()
        self.events_taken.append(event)
        return Taken(known=True)

    async def returned_from_checkout(self, owner: Owner) -> ViewAnswer:
        """See FrontDesk."""
        signup = self._owned(owner)
        if signup is None:
            return _UNKNOWN
        if owner.signup_id in self.paid_unseen:
            self.paid_unseen.discard(owner.signup_id)
            self.happen(owner.signup_id, "paid", "identity-sealed")
        return self._view(signup, 0, owned=True)

    async def pay_again(self, owner: Owner) -> RegisterAnswer:
        """See FrontDesk."""
        signup = self._owned(owner)
        if signup is None:
            return _UNKNOWN
        if signup.state not in _PAYABLE:
            return self._registered(signup)
        signup.checkout += 1
        if signup.state != "ended":
            self.happen(owner.signup_id, "checkout-opened")
        return self._registered(signup)

    async def watch(self, watch: Watch) -> ViewAnswer:
        """See FrontDesk."""
        self._answer()
        signup = self._signups.get(watch.owner.signup_id)
        secret: OwnerSecret | None = watch.owner.owner_secret
        if signup is None or secret not in (None, signup.register.owner_secret):
            return _UNKNOWN
        last = signup.events[-1].number
        if watch.patience and last <= watch.since:
            news: Deferred[None] = Deferred(signup.watchers.remove)
            signup.watchers.append(news)
            try:
                await with_deadline(self.reactor, watch.patience, "news", news)
            except DeadlinePassed:
                self._answer()
        return self._view(signup, watch.since, owned=secret is not None)

    async def resend_mail(self, owner: Owner) -> DoneAnswer:
        """See FrontDesk."""
        signup = self._owned(owner)
        if signup is None:
            return _UNKNOWN
        self.happen(owner.signup_id, "mail-resent")
        return Done(self._view(signup, 0, owned=True))

    async def correct_address(self, correct: CorrectAddress) -> DoneAnswer:
        """See FrontDesk."""
        signup = self._owned(correct.owner)
        if signup is None:
            return _UNKNOWN
        if signup.email_state == "confirmed":
            return Refused("confirmed", "This address is confirmed.", "email")
        try:
            parse_address(correct.email)
        except AddressRefused as e:
            return Refused("bad-address", str(e), "email")
        signup.email = correct.email
        signup.email_state = "unconfirmed"
        self.happen(correct.owner.signup_id, "address-corrected")
        return Done(self._view(signup, 0, owned=True))

    async def cancel(self, owner: Owner) -> DoneAnswer:
        """See FrontDesk."""
        signup = self._owned(owner)
        if signup is None:
            return _UNKNOWN
        return self._cancelled(signup, owned=True)

    async def stay(self, owner: Owner) -> DoneAnswer:
        """See FrontDesk."""
        signup = self._owned(owner)
        if signup is None:
            return _UNKNOWN
        if signup.state != "active":
            return Refused("not-now", "This subscription has ended; subscribe again.")
        self.happen(owner.signup_id, "staying")
        return Done(self._view(signup, 0, owned=True))

    async def cancel_by_link(self, link: MailedLink) -> DoneAnswer:
        """See FrontDesk; :meth:`link` makes the tokens that are good."""
        self._answer()
        signup = self._signups.get(link.signup_id)
        if signup is None or link.token != self.link(link.signup_id, "cancel"):
            return _UNKNOWN
        return self._cancelled(signup, owned=False)

    async def return_by_link(self, link: MailedLink) -> RegisterAnswer:
        """See FrontDesk."""
        self._answer()
        signup = self._signups.get(link.signup_id)
        if signup is None or link.token != self.link(link.signup_id, "return"):
            return _UNKNOWN
        if signup.state == "active":
            self.happen(link.signup_id, "staying")
        return Registered(
            self._checkout_url(signup), self._view(signup, 0, owned=False)
        )

    def link(self, signup_id: SignupId, purpose: str) -> Secret:
        """What a mail's link has behind the ``#``."""
        return Secret(f"{purpose}-{signup_id}")

    def _cancelled(self, signup: _Signup, *, owned: bool) -> DoneAnswer:
        signup_id = signup.register.signup_id
        match signup.state:
            case "registered" | "expired":
                self.happen(signup_id, "cancelled")
            case "paying":
                return Refused("not-now", "A payment page is open for this order.")
            case "paid":
                self.happen(signup_id, "refunding")
            case "active":
                self.happen(signup_id, "leaving")
            case "past-due" | "suspended" | "stopped":
                self.happen(signup_id, "ending")
            case _:
                pass
        return Done(self._view(signup, 0, owned=owned))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.reactor.seconds(), UTC)

    def _ends_at(self, signup: _Signup) -> datetime | None:
        kinds = [e.kind for e in signup.events if e.kind in ("leaving", "staying")]
        leaving = signup.state == "active" and kinds[-1:] == ["leaving"]
        return self._now() + timedelta(days=12) if leaving else None

    def _answer(self) -> None:
        if self.down:
            raise DeskAway("not connected")

    def _owned(self, owner: Owner) -> _Signup | None:
        self._answer()
        signup = self._signups.get(owner.signup_id)
        known = signup is not None and (
            signup.register.owner_secret == owner.owner_secret
        )
        return signup if known else None

    def _registered(self, signup: _Signup) -> Registered:
        view = self._view(signup, 0, owned=True)
        assert view.owner is not None
        return Registered(self._checkout_url(signup), view)

    def _checkout_url(self, signup: _Signup) -> str:
        signup_id = signup.register.signup_id
        if signup.state in ("past-due", "suspended", "stopped"):
            return f"{self.checkout_origin}/i/{signup_id}"
        if signup.state not in _PAYABLE:
            return f"{self.site_url}/signup/{signup_id}"
        return f"{self.checkout_origin}/c/pay/{signup_id}-{signup.checkout}"

    def _view(self, signup: _Signup, since: int, *, owned: bool) -> SignupView:
        kinds = [e.kind for e in signup.events]
        happened = set(kinds)
        view = SignupView(
            signup_id=signup.register.signup_id,
            state=signup.state,
            plan=signup.register.plan,
            joinable="ready" in happened
            and signup.state in ("active", "past-due", "suspended")
            and [k for k in kinds if k in _TURNS][-1:] != ["stopped"],
            last_number=signup.events[-1].number,
            progress=tuple(e for e in signup.events if e.number > since),
            owner=None,
            ends_at=self._ends_at(signup),
            kept_until=self._now() + timedelta(days=30)
            if signup.state in ("ending", "ended")
            else None,
        )
        if not owned:
            return view
        owner = OwnerView(
            email=signup.email,
            email_state=signup.email_state,
            introducer_furl=self.furl if "identity-sealed" in happened else None,
            nickname=f"S4 {signup.register.signup_id[2:8]}",
            checkout_url=self._checkout_url(signup)
            if signup.state == "paying"
            else None,
            mail_accepted="mail-accepted" in happened,
            usage=self.usage,
        )
        return evolve(view, owner=owner)
