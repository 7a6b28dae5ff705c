"""The door to the payment service, and what it is asked.

The payment service is where a customer's money is; so everything here can be asked
twice.  Idempotency key = signup id + purpose + attempt (:func:`payment_key`): the
same key with the same request has one effect however often it is sent, and the whole
request stands in the journal before it goes out.  Keys are forgotten by Stripe after
24 hours, therefore each method *also* looks at what is there first: cancelling what
is cancelled and refunding what is refunded is success.

Who retries: an implementation retries what is safe (429, 5xx, lost connections) for
some seconds, within its own deadline, and then raises
:class:`lae_provision.errors.TryLater`; the worker does the patient retrying.
:class:`lae_provision.errors.Refused` is for what will be refused again.

The twin is :mod:`tests.twins.payments`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol

from attrs import define

from lae_flapp.settings import CheckoutOptions
from lae_protocol.ids import SignupId
from lae_protocol.secret import Secret


def payment_key(signup_id: str, purpose: str, attempt: int) -> str:
    """Name one effect at the payment service: the idempotency key."""
    return f"{signup_id}:{purpose}:{attempt}"


@define(frozen=True)
class CheckoutRequest:
    """One hosted Checkout session, whole; sent again it must be byte-identical.

    *lookup_key* finds the price (it is the plan's id); *price* (smallest unit),
    *currency* and *interval* are what was agreed, and an implementation raises
    ``Refused("price-differs", …)`` when the price found is another one.  *email* is
    personal, so a secret here: the effect is sealed in the journal.
    """

    signup_id: SignupId
    attempt: int
    deployment: str
    lookup_key: str
    price: int
    currency: str
    interval: Literal["month", "year"]
    email: Secret
    language: str
    success_url: str
    cancel_url: str
    expires_at: datetime
    options: CheckoutOptions = CheckoutOptions()  # noqa: RUF009  (frozen)


@define(frozen=True)
class CheckoutSession:
    """A Checkout session as the payment service shows it now.

    *signup_id* and *deployment* come from its metadata and are None on a session
    that is none of ours.  *url* is None once it is not open.  *subscription* and
    *customer* are ids, None until it is complete; *invoice* and
    *payment_intent* where they are known.
    """

    session_id: str
    url: str | None
    status: Literal["open", "complete", "expired"]
    payment_status: Literal["paid", "unpaid", "no_payment_required"]
    signup_id: SignupId | None
    deployment: str | None
    subscription: str | None
    customer: str | None
    livemode: bool
    expires_at: datetime
    invoice: str | None = None
    payment_intent: str | None = None

    @property
    def paid(self) -> bool:
        """Whether to build: paid, or nothing to pay; never merely complete."""
        return self.status == "complete" and self.payment_status != "unpaid"


#: Why money goes back: it was paid twice; nothing can be served for it; an operator
#: gives it back to a customer who was served.
Purpose = Literal["second-session", "unserved", "goodwill"]


@define(frozen=True)
class GiveBack:
    """Cancel a subscription at once, without proration, and refund its first charge;
    or, of goodwill, refund *amount* of what *payment_intent* brought, and no more.

    *purpose* and *attempt* make the keys (an implementation appends ``:cancel`` and
    ``:refund``).  *session_id* says where to look when *subscription* is not known yet.
    """

    signup_id: SignupId
    purpose: Purpose
    attempt: int
    session_id: str
    subscription: str | None
    payment_intent: str | None = None
    amount: int | None = None


@define(frozen=True)
class GivenBack:
    """This was refunded (0: nothing was charged), and, unless it was of goodwill, the
    subscription is cancelled.

    Each refund has a credit note for the invoice that was paid; *uncredited* says why
    the payment service refuses one for good, where it does.
    """

    subscription: str | None
    refund_id: str | None
    amount: int
    uncredited: str | None = None


@define(frozen=True)
class LastPayment:
    """What a subscription was charged last: *amount* and what of it went back, in the
    smallest unit; a refund that failed gave nothing back.
    """

    payment_intent: str
    amount: int
    given_back: int
    currency: str
    paid_at: datetime

    @property
    def left(self) -> int:
        """What can still be given back."""
        return max(0, self.amount - self.given_back)


#: Stripe's words for a subscription.
Status = Literal[
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "canceled",
    "paused",
]


@define(frozen=True)
class SetEnd:
    """Say when a subscription ends: ``stay`` is never, ``leave`` with the period that
    is paid, ``end`` at once, without proration; then no invoice of it can be paid.
    """

    signup_id: SignupId
    wish: Literal["stay", "leave", "end"]
    attempt: int
    subscription: str


@define(frozen=True)
class Subscription:
    """A subscription as the payment service shows it now.

    *signup_id* and *deployment* come from its metadata.  *paid_until* is the end of
    the present period, *ends_at* when it was cancelled for, and *cancelled_at* when
    somebody did that.  *pay_url* is the hosted page of the invoice that is not paid,
    where there is one; *paid_at* is when the newest invoice was paid, where it is.
    """

    subscription: str
    status: Status
    signup_id: SignupId | None
    deployment: str | None
    livemode: bool
    paid_until: datetime | None
    ends_at: datetime | None
    pay_url: Secret | None = None
    paid_at: datetime | None = None
    cancelled_at: datetime | None = None


@define(frozen=True)
class Charge:
    """A charge as the payment service shows it now.

    *refunded*: some of it, or all, was given back; *elsewhere*: not all of that by us.
    *disputed*: the customer's bank asked for it back, however that ended.
    """

    charge: str
    customer: str | None
    refunded: bool
    disputed: bool
    elsewhere: bool = False


@define(frozen=True)
class Refund:
    """A refund as the payment service shows it now.

    *failed*: the money came back to us, days later, since the customer's bank did not
    take it; or somebody has cancelled the refund.
    """

    refund: str
    customer: str | None
    amount: int
    currency: str
    failed: bool


@define(frozen=True)
class NameCustomer:
    """Write our metadata to the customer that Checkout has made."""

    signup_id: SignupId
    attempt: int
    deployment: str
    customer: str


class IPayments(Protocol):
    """Stripe, or its twin."""

    async def open_checkout(self, request: CheckoutRequest) -> CheckoutSession:
        """Open a session; the same request again gives the same session.

        The caller has expired the signup's earlier session before.  Raises TryLater,
        after which the session may exist, and Refused.
        """

    async def fetch_session(self, session_id: str) -> CheckoutSession | None:
        """Tell how it is now; None when there is no such session."""

    async def find_sessions(self, signup_id: SignupId) -> tuple[CheckoutSession, ...]:
        """All sessions of a signup, by metadata, oldest first: the way back after a
        lost reply whose key is forgotten, a webhook that never came, or a restored
        journal.
        """

    async def expire_session(self, session_id: str) -> CheckoutSession:
        """Expire it if it is open; the session as it is afterwards.

        It may have been completed a moment before: the caller looks at the answer.
        """

    async def give_back(self, request: GiveBack) -> GivenBack:
        """Give a customer their money back; see :class:`GiveBack`.

        Idempotent by what is there, not by key alone: a cancelled subscription stays
        cancelled, a charge is refunded once, and so is each attempt of goodwill; a
        refund is credited once.
        Raises Refused for more than is left of a payment.
        """

    async def last_payment(self, subscription: str) -> LastPayment | None:
        """Tell what was charged last; None where nothing ever was."""

    async def fetch_subscription(self, subscription: str) -> Subscription | None:
        """Tell how it is now; None when there is no such subscription."""

    async def set_end(self, request: SetEnd) -> Subscription:
        """Say when it ends; the subscription as it is afterwards.

        Idempotent by what is there, not by key alone: of a subscription that is over
        only ``end`` does anything, namely void what could still be paid.
        """

    async def fetch_charge(self, charge: str) -> Charge | None:
        """Tell how it is now; None when there is no such charge."""

    async def fetch_refund(self, refund: str) -> Refund | None:
        """Tell how it is now; None when there is no such refund."""

    async def name_customer(self, request: NameCustomer) -> None:
        """Write the signup's id and the deployment to the customer's metadata."""
