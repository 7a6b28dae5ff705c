"""What follows from a Checkout session as Stripe shows it now.  Pure.

The event that made us look says nothing here: it may be old, doubled or out of order.
What counts is the session fetched, and what the journal knows of its signup.
"""

from __future__ import annotations

from typing import Literal

from attrs import define

from lae_flapp.signup.doors import CheckoutSession
from lae_protocol.ids import SignupId
from lae_protocol.messages import SignupState

#: A signup that a payment may begin.
_WAITING = frozenset({"registered", "paying", "expired"})


@define(frozen=True)
class Ours:
    """Which deployment we are, and in which of Stripe's modes."""

    deployment: str
    livemode: bool


@define(frozen=True)
class KnownSignup:
    """What the journal has of a signup; *kept* is the session whose payment it keeps
    (served, or on its way back because it cannot be served).
    """

    signup_id: SignupId
    state: SignupState
    kept: str | None


@define(frozen=True)
class Foreign:
    """None of ours: 200, and ignored."""

    why: Literal["gone", "no-metadata", "other-deployment", "other-mode"]


@define(frozen=True)
class Adopt:
    """Ours by its metadata, but the journal does not know the signup: an older backup
    was restored.  Take it up and tell an operator.
    """

    session: CheckoutSession


@define(frozen=True)
class Serve:
    """Paid, or nothing to pay: build."""

    session: CheckoutSession
    nothing_to_pay: bool


@define(frozen=True)
class KeptAlready:
    """Known, and being served (or given back) already."""

    session_id: str


@define(frozen=True)
class GiveBackThis:
    """Paid, but another payment is kept, or the signup can take none any more."""

    session_id: str
    why: Literal["second-payment", "too-late"]


@define(frozen=True)
class NotYet:
    """Open, or completed with a payment that is still on its way: build nothing."""

    on_its_way: bool


@define(frozen=True)
class Expired:
    """Ended without a payment."""

    session_id: str


Decision = Foreign | Adopt | Serve | KeptAlready | GiveBackThis | NotYet | Expired


def decide(
    ours: Ours, session: CheckoutSession | None, signup: KnownSignup | None
) -> Decision:
    """Decide; *signup* is the journal's row of the session's signup id."""
    foreign = _foreign(ours, session)
    if foreign is not None:
        return foreign
    assert session is not None, "a session that is gone is foreign"
    if session.paid:
        return _paid(session, signup)
    if session.status == "expired":
        return Expired(session.session_id)
    return NotYet(on_its_way=session.status == "complete")


def _paid(session: CheckoutSession, signup: KnownSignup | None) -> Decision:
    if signup is None:
        return Adopt(session)
    if signup.kept == session.session_id:
        return KeptAlready(session.session_id)
    if signup.kept is not None:
        return GiveBackThis(session.session_id, "second-payment")
    if signup.state not in _WAITING:
        return GiveBackThis(session.session_id, "too-late")
    return Serve(session, session.payment_status == "no_payment_required")


def _foreign(ours: Ours, session: CheckoutSession | None) -> Foreign | None:
    if session is None:
        return Foreign("gone")
    if session.signup_id is None or session.deployment is None:
        return Foreign("no-metadata")
    if session.deployment != ours.deployment:
        return Foreign("other-deployment")
    if session.livemode != ours.livemode:
        return Foreign("other-mode")
    return None
