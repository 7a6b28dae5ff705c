"""The front desk's twin in memory: for tests, and to look at pages without a daemon.

It keeps the promises that pages rely on (one id is one signup, an owner's secret
decides, a watch waits) and nothing is behind it: :meth:`MemoryDesk.happen` says what
happens next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, assert_never

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from lae_flapp.grid.steps import STEPS, StepName
from lae_protocol.address import AddressRefused, parse_address
from lae_protocol.ids import OwnerSecret, SignupId
from lae_protocol.messages import (
    OWNED,
    AskDoors,
    AskPulse,
    ConfirmByLink,
    CorrectAddress,
    Done,
    Doors,
    FrontDeskQuestion,
    Leave,
    LeaveByLink,
    LogInByLink,
    MailedLink,
    MailLogIn,
    Owner,
    OwnerView,
    PayAgain,
    Plan,
    Progress,
    Pulse,
    Refused,
    Register,
    Registered,
    ResendMail,
    ReturnByLink,
    ReturnedFromCheckout,
    SignupState,
    SignupView,
    Stay,
    StripeEvent,
    Taken,
    UsageView,
    Watch,
)
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.question import A, Question
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
    "withdrawn": "refunding",
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
    #: Of what has ended: a payment page is open that brings it back.
    coming_back: bool = False
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
    #: Whether it takes too long to say even whether signups are open.
    hangs: bool = False
    #: What it says of itself.
    healthy: bool = True
    events_taken: list[StripeEvent] = field(factory=list)
    #: Whose owner had a link mailed that makes a browser theirs.
    log_ins_mailed: list[SignupId] = field(factory=list)
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
            signup.coming_back &= kind not in ("paid", "checkout-expired")
            if not (signup.state == "ended" and kind.startswith("checkout-")):
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

    def kinds(self, signup_id: SignupId) -> list[str]:
        """What happened to a signup, in order."""
        return [e.kind for e in self._signups[signup_id].events]

    def email(self, signup_id: SignupId) -> str:
        """The address, as far as it was corrected."""
        return self._signups[signup_id].email

    async def ask(
        self, question: Question[A], request_id: str | None = None
    ) -> A | Refused:
        """See FrontDesk."""
        del request_id
        if self.down or (self.hangs and isinstance(question, AskDoors)):
            raise DeskAway("not connected")
        asked: Any = question
        told: A | Refused = await self._told(asked)
        return told

    async def _told(self, question: FrontDeskQuestion) -> Any:  # noqa: PLR0911  (a case for each question)
        match question:
            case AskDoors():
                reason = self.closed.message if self.closed else self.slower
                return Doors(self.closed is None, reason, self.plans, "local")
            case AskPulse():
                return Pulse("memory", 60, self.healthy)
            case Register():
                return self._register(question)
            case StripeEvent():
                self.events_taken.append(question)
                return Taken(known=True)
            case Watch():
                return await self._watch(question)
            case LeaveByLink() | ReturnByLink() | ConfirmByLink():
                return self._by_link(question)
            case MailLogIn(signup_id):
                signup = self._signups.get(signup_id)
                return _UNKNOWN if signup is None else self._log_in_mailed(signup)
            case LogInByLink():
                return self._logged_in(question)
            case _:
                signup = self._owned(question.owner)
                return _UNKNOWN if signup is None else self._by_owner(question, signup)

    def _by_link(
        self, question: LeaveByLink | ReturnByLink | ConfirmByLink
    ) -> Registered | Done | Refused:
        match question:
            case LeaveByLink(link):
                signup = self._linked(link, "cancel")
                return _UNKNOWN if signup is None else self._left(signup, owned=False)
            case ReturnByLink(link):
                signup = self._linked(link, "return")
                return _UNKNOWN if signup is None else self._returned_by_link(signup)
            case ConfirmByLink(link):
                signup = self._linked(link, "confirm")
                return _UNKNOWN if signup is None else self._confirmed(signup)
            case _:
                assert_never(question)

    def _by_owner(
        self,
        question: ReturnedFromCheckout
        | PayAgain
        | ResendMail
        | CorrectAddress
        | Leave
        | Stay,
        signup: _Signup,
    ) -> SignupView | Registered | Done | Refused:
        match question:
            case ReturnedFromCheckout():
                return self._returned(signup)
            case PayAgain():
                return self._paying_again(signup)
            case ResendMail():
                self.happen(question.owner.signup_id, "mail-resent")
                return Done(self._view(signup, 0, owned=True))
            case CorrectAddress(_, email):
                return self._corrected(signup, email)
            case Leave():
                return self._left(signup, owned=True)
            case Stay():
                return self._stayed(signup)
            case _:
                assert_never(question)

    def _register(self, register: Register) -> Registered | Refused:
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

    def _returned(self, signup: _Signup) -> SignupView:
        signup_id = signup.register.signup_id
        if signup_id in self.paid_unseen:
            self.paid_unseen.discard(signup_id)
            self.happen(signup_id, "paid", "identity-sealed")
        return self._view(signup, 0, owned=True)

    def _paying_again(self, signup: _Signup) -> Registered:
        if signup.state in _PAYABLE:
            signup.checkout += 1
            signup.coming_back = signup.state == "ended"
            self.happen(signup.register.signup_id, "checkout-opened")
        return self._registered(signup)

    async def _watch(self, watch: Watch) -> SignupView | Refused:
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
                if self.down:
                    raise DeskAway("not connected") from None
        if secret not in (None, signup.register.owner_secret):
            # Another browser was logged in meanwhile.
            return _UNKNOWN
        return self._view(signup, watch.since, owned=secret is not None)

    def _corrected(self, signup: _Signup, email: str) -> Done | Refused:
        if signup.email_state == "confirmed":
            return Refused("confirmed", "This address is confirmed.", "email")
        try:
            parse_address(email)
        except AddressRefused as e:
            return Refused("bad-address", str(e), "email")
        signup.email = email
        signup.email_state = "unconfirmed"
        self.happen(signup.register.signup_id, "address-corrected")
        return Done(self._view(signup, 0, owned=True))

    def _confirmed(self, signup: _Signup) -> Done:
        if signup.email_state != "confirmed":
            signup.email_state = "confirmed"
            self.happen(signup.register.signup_id, "address-confirmed")
        return Done(self._view(signup, 0, owned=False))

    def _log_in_mailed(self, signup: _Signup) -> Done | Refused:
        if signup.state not in OWNED:
            return Refused("not-now", "There is nothing to see of it for its owner.")
        self.log_ins_mailed.append(signup.register.signup_id)
        return Done(self._view(signup, 0, owned=False))

    def _logged_in(self, question: LogInByLink) -> Done | Refused:
        signup = self._signups.get(question.link.signup_id)
        if signup is None:
            return _UNKNOWN
        register = signup.register
        if register.owner_secret != question.owner_secret:
            if self._linked(question.link, "log-in") is None:
                return _UNKNOWN
            signup.register = evolve(register, owner_secret=question.owner_secret)
            self.happen(register.signup_id, "logged-in")
        return Done(self._view(signup, 0, owned=False))

    def _stayed(self, signup: _Signup) -> Done | Refused:
        if signup.state != "active":
            return Refused("not-now", "This subscription has ended; subscribe again.")
        self.happen(signup.register.signup_id, "staying")
        return Done(self._view(signup, 0, owned=True))

    def _returned_by_link(self, signup: _Signup) -> Registered:
        if signup.state == "active":
            self.happen(signup.register.signup_id, "staying")
        url = self._paying_again(signup).checkout_url
        return Registered(url, self._view(signup, 0, owned=False))

    def _linked(self, link: MailedLink, purpose: str) -> _Signup | None:
        """The signup of a good link; :meth:`link` makes the tokens that are good."""
        signup = self._signups.get(link.signup_id)
        if signup is None or link.token != self.link(link.signup_id, purpose):
            return None
        return signup

    def link(self, signup_id: SignupId, purpose: str) -> Secret:
        """What a mail's link has behind the ``#``; another for a corrected address, and
        another to log in with after somebody did.
        """
        kinds = self.kinds(signup_id)
        others = kinds.count("address-corrected")
        others += kinds.count("logged-in") if purpose == "log-in" else 0
        return Secret(f"{purpose}-{signup_id}" + f"-{others}" * bool(others))

    def _left(self, signup: _Signup, *, owned: bool) -> Done | Refused:
        signup_id = signup.register.signup_id
        match signup.state:
            case "registered" | "expired":
                self.happen(signup_id, "cancelled")
            case "paying":
                return Refused("not-now", "A payment page is open for this order.")
            case "paid":
                self.happen(signup_id, "withdrawn")
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

    def _owned(self, owner: Owner) -> _Signup | None:
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
            awaits_payment=signup.state == "paying" or signup.coming_back,
            awaits_confirmation="address-corrected" in happened
            and signup.email_state != "confirmed",
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
            furl_known_elsewhere="mail-accepted" in happened
            and "address-corrected" in kinds[kinds.index("mail-accepted") :],
        )
        return evolve(view, owner=owner)
