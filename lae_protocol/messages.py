"""What the site and the operators say to the daemon, and what it answers.

Every answer is a value; a refusal is a value too, since the text of an exception
would travel.  Times are aware UTC datetimes, prices are in the currency's smallest
unit, sizes are bytes.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar, Literal

from attrs import define, field

from lae_protocol.ids import OwnerSecret, SignupId
from lae_protocol.question import KB, Question
from lae_protocol.secret import Secret
from lae_protocol.stripe_hints import StripeHint

DAY = 86_400

RefusalCode = Literal[
    "not-known-here",  # this facet, or its release, does not know the question
    "version",  # the peer knows another version of this question
    "malformed",  # the message could not be read
    "too-large",  # the question, or its answer, has more bytes than it may
    "unknown-signup",  # no such signup, or not yours: the same answer for both
    "bad-address",  # the mail address cannot be used; `message` says why
    "unknown-plan",
    "plan-changed",  # the site showed other terms than the daemon would agree to
    "paused",  # an operator paused signups
    "full",  # no capacity is left in any cell
    "confirmed",  # the address is confirmed and cannot be corrected here
    "not-now",  # not possible in the signup's present state
    "try-later",  # something of ours failed; nothing is lost
    "unknown-operator",
    "unknown",  # no such effect, mail, event, operator or host
    "changed",  # it is not any more as the operator saw it
    "no-answer",  # what would have to be asked outside does not answer
]

SignupState = Literal[
    "registered",  # known; no Checkout session is open (it expired, or is being made)
    "paying",  # a Checkout session is open
    "paid",  # paid; the host is being built
    "active",  # built, and proved by a write and a read
    "past-due",  # a payment failed; it is served while the grace lasts
    "suspended",  # the grace is over: it can be read, not written
    "stopped",  # not paid for longer: there is no host, the data is kept
    "ending",  # the subscription is over; host, role and record are going
    "ended",  # they are gone; the data is kept for the period that was agreed
    "deleting",  # that period is over, or the owner asked: one way
    "deleted",  # the data is gone, and a receipt says so
    "refunding",  # could not be served; on its one way back
    "refunded",
    "expired",  # never paid
    "cancelled",
]

#: Of these there is something that an owner's browser shows, and somebody was mailed.
OWNED: frozenset[SignupState] = frozenset(
    {"paid", "active", "past-due", "suspended", "stopped", "ending", "ended"}
)


@define(frozen=True)
class Refused:
    """No.  *message* is for people; *field* names the form's field it is about."""

    code: RefusalCode
    message: str
    field: str | None = None


@define(frozen=True)
class Plan:
    """What is sold: shown by the site, agreed to by the customer, kept in the row."""

    plan_id: str
    name: str
    price: int
    currency: str
    interval: Literal["month", "year"]
    quota: int
    traffic: int
    terms_version: str
    #: Seconds after a payment failed in which all goes on; then in which nothing can
    #: be written; then in which the host is shut down; then it ends.
    grace: int = 14 * DAY
    read_only: int = 7 * DAY
    stopped: int = 14 * DAY
    #: Seconds that the data is kept after the end.
    data_kept: int = 30 * DAY


@define(frozen=True)
class Owner:
    """Who asks, and the proof; without the secret only progress is told."""

    signup_id: SignupId
    owner_secret: OwnerSecret | None = None


@define(frozen=True)
class Progress:
    """One event of a signup's log, as customers see it; *number* orders the log."""

    number: int
    kind: str
    at: datetime


@define(frozen=True)
class Requests:
    """Operations of a bucket of one kind, as ``put`` or ``list``."""

    kind: str
    count: int


@define(frozen=True)
class UsageDay:
    """What a grid did on a day (UTC), and what it held at its end, or now.

    *received* and *sent* are bytes from and to clients, *requests* operations of the
    bucket by kind; *noncurrent* is None where it is not known.
    """

    day: date
    stored: int
    noncurrent: int | None
    received: int
    sent: int
    requests: tuple[Requests, ...]


@define(frozen=True)
class UsageView:
    """What a grid holds and did, as its host told at *told_at*.

    *sent_this_month* counts against the plan's traffic; *slowed* says that it is used
    up.  *days* has the last days that were told of, newest first.
    """

    told_at: datetime
    stored: int
    noncurrent: int | None
    shares: int
    advisories: int
    sent_this_month: int
    slowed: bool
    days: tuple[UsageDay, ...]


@define(frozen=True)
class OwnerView:
    """What only the owner sees."""

    email: str
    email_state: Literal["unconfirmed", "confirmed", "bouncing"]
    # Rights, not only facts: they stand in no log and no error.
    introducer_furl: str | None = field(repr=False)
    nickname: str
    checkout_url: str | None = field(repr=False)
    mail_accepted: bool
    usage: UsageView | None = None
    #: A mail with the furl went to an email address that was corrected since.
    furl_known_elsewhere: bool = False


@define(frozen=True)
class SignupView:
    """A signup, now.  *progress* has the events after the number asked for.

    *joinable* says whether the host has proved itself, so that joining works.
    """

    signup_id: SignupId
    state: SignupState
    plan: Plan
    joinable: bool
    last_number: int
    progress: tuple[Progress, ...]
    owner: OwnerView | None
    #: It was cancelled, and ends then; what is left can be kept until then.
    ends_at: datetime | None = None
    kept_until: datetime | None = None
    #: A payment page is open; what has ended comes back when it is paid there.
    awaits_payment: bool = False
    #: The email address was corrected, and mails wait until its reader confirms it.
    awaits_confirmation: bool = False


@define(frozen=True)
class MailedLink:
    """A link of one purpose, as a mail has it: who holds it, may do that one thing."""

    signup_id: SignupId
    token: Secret


@define(frozen=True)
class Done:
    """What was asked for is journaled and will happen."""

    view: SignupView


@define(frozen=True)
class Registered:
    """Journaled; *checkout_url* is Stripe's page for this signup."""

    checkout_url: str
    view: SignupView


@define(frozen=True)
class Register(Question[Registered]):
    """A form was submitted.  Repeating it with the same ids is the same signup."""

    LARGEST: ClassVar[int] = 8 * KB

    signup_id: SignupId
    owner_secret: OwnerSecret
    email: str
    plan: Plan
    language: str


@define(frozen=True)
class Watch(Question[SignupView]):
    """Tell me what comes after *since*; wait up to *patience* seconds for it (≤ 20)."""

    owner: Owner
    since: int
    patience: int


@define(frozen=True)
class Taken:
    """Committed to the inbox (or there already, or none of ours): answer Stripe 200."""

    known: bool


@define(frozen=True)
class StripeEvent(Question[Taken]):
    """The hint of an event whose signature the site has checked."""

    LARGEST: ClassVar[int] = 2 * KB

    hint: StripeHint


@define(frozen=True)
class ReturnedFromCheckout(Question[SignupView]):
    """The browser is back, perhaps before the webhook: fetch the session now."""

    owner: Owner


@define(frozen=True)
class PayAgain(Question[Registered]):
    """Open another payment page, after the old session is expired."""

    owner: Owner


@define(frozen=True)
class ResendMail(Question[Done]):
    """Mail the furl once more."""

    owner: Owner


@define(frozen=True)
class Leave(Question[Done]):
    """End the subscription, or give up an unpaid signup."""

    owner: Owner


@define(frozen=True)
class Stay(Question[Done]):
    """Take a cancellation back."""

    owner: Owner


@define(frozen=True)
class LeaveByLink(Question[Done]):
    """End it, by the link of a mail in the place of the owner's secret."""

    LARGEST: ClassVar[int] = 2 * KB

    link: MailedLink


@define(frozen=True)
class ReturnByLink(Question[Registered]):
    """Continue it, by the link of a mail: taken back, or paid for again."""

    LARGEST: ClassVar[int] = 2 * KB

    link: MailedLink


@define(frozen=True)
class ConfirmByLink(Question[Done]):
    """A corrected address is the customer's, says whoever got the link that was mailed
    there: what waits is mailed.
    """

    LARGEST: ClassVar[int] = 2 * KB

    link: MailedLink


@define(frozen=True)
class MailLogIn(Question[Done]):
    """Mail the owner a link that makes one browser the owner's; anybody may ask."""

    signup_id: SignupId


@define(frozen=True)
class LogInByLink(Question[Done]):
    """Take this owner secret in the place of the present one, which every browser loses
    by it.  The link is good once; the same question again changes nothing.
    """

    LARGEST: ClassVar[int] = 2 * KB

    link: MailedLink
    owner_secret: OwnerSecret


@define(frozen=True)
class CorrectAddress(Question[Done]):
    """The owner typed another address; allowed while the old one is unconfirmed.  The
    other one gets a link to confirm it, before anything secret is mailed there.
    """

    LARGEST: ClassVar[int] = 2 * KB

    owner: Owner
    email: str


@define(frozen=True)
class Doors:
    """What the site asks first: is anything closed?

    *reason* says why, or, while signups are open, what takes longer than usual.
    """

    signups_open: bool
    reason: str | None
    plans: tuple[Plan, ...]
    environment: str


@define(frozen=True)
class AskDoors(Question[Doors]):
    """Ask whether signups are open."""


@define(frozen=True)
class Pulse:
    """The daemon lives: since when, of which release, and whether it can work."""

    release: str
    seconds_since_start: int
    healthy: bool


@define(frozen=True)
class AskPulse(Question[Pulse]):
    """Ask how the daemon is."""


#: All that a site may ask: no more than a visitor may.
FrontDeskQuestion = (
    AskDoors
    | AskPulse
    | Register
    | StripeEvent
    | ReturnedFromCheckout
    | PayAgain
    | Watch
    | ResendMail
    | CorrectAddress
    | Leave
    | Stay
    | LeaveByLink
    | ReturnByLink
    | ConfirmByLink
    | MailLogIn
    | LogInByLink
)
