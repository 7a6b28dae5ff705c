"""A signup as its customer reads it: pure functions of what the daemon answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, assert_never

from attrs import define, evolve

from lae_protocol.messages import Progress, SignupState, SignupView
from lae_protocol.plan_words import amount_in_words, moment_in_words

#: What happens to a signup when all goes well, in order: before it is done, and after.
STEPS = {
    "registered": ("Record your order", "Your order is recorded"),
    "checkout-opened": ("Open the payment page", "The payment page is open"),
    "paid": ("Receive your payment", "Your payment arrived"),
    "identity-sealed": (
        "Give your grid its furl",
        "Your grid has its furl; its keys are safely stored",
    ),
    "bucket-ready": (
        "Make your own storage bucket",
        "Your own storage bucket is made, encrypted",
    ),
    "role-ready": ("Limit access to that bucket", "Access is limited to that bucket"),
    "instance-launched": ("Start your own server", "Your own server is started"),
    "address-ready": ("Make it reachable", "It is reachable by name"),
    "claimed": ("Give the server its keys", "The server has its keys"),
    "self-test-passed": (
        "Store a test file and read it back",
        "A test file was stored and read back",
    ),
    "ready": ("Open your grid", "Your grid is ready"),
    "mail-accepted": (
        "Send the mail with the furl",
        "The mail with the furl is sent",
    ),
}
#: What else may happen, as notes beside the steps.
NOTES = {
    "checkout-expired": "The payment page expired; nothing was charged.",
    "delayed": "A service that we depend on is slow. We will continue soon.",
    "troubled": "Something went wrong. We have been alerted and are looking into it.",
    "refunding": "We could not build your grid. You are being refunded.",
    "withdrawn": "You cancelled before your grid was built. You are being refunded.",
    "refunded": "Your payment was refunded.",
    "address-corrected": "Your email address was corrected.",
    "address-confirmed": "Your email address is confirmed.",
    "mail-resent": "The mail was sent again.",
    "logged-in": "A browser was logged in by a mailed link; all others are logged out.",
    "cancelled": "Your order was cancelled.",
    "leaving": "You cancelled; your grid runs until the end of the paid period.",
    "staying": "You withdrew your cancellation.",
    "past-due": "A payment failed. We mailed you how to pay.",
    "suspended": "Still not paid: your grid is read-only.",
    "stopped": "Still not paid: your server was removed. Your files are kept.",
    "recovered": "Your payment arrived; your subscription continues.",
    "ending": "Your subscription has ended. Nothing more is charged.",
    "ended": "Your server was removed. Your files are kept.",
    "deleting": "The time for which we keep your files is over. We are deleting them.",
    "deleted": "Your files are deleted; we mailed you the receipt.",
}
#: Not "ended": it may be paid again, in another browser, too.
_FINAL = ("refunded", "cancelled", "deleted")
#: Done once, however often a customer comes back.
_ORDERED = ("registered", "checkout-opened")
#: Done again when a customer pays after the server was removed.
_OF_A_SERVER = ("instance-launched", "address-ready", "claimed", "self-test-passed")
#: The subscription runs, paid or not.
_RUNNING = ("active", "past-due", "suspended", "stopped")
_SERVED = ("active", "past-due", "suspended")


@define(frozen=True)
class Step:
    """One line of the list of steps; *at* is when the step was done."""

    title: str
    phase: Literal["done", "current", "waiting"]
    at: datetime | None


@define(frozen=True)
class Note:
    """Something that happened beside the steps."""

    text: str
    at: datetime


@define(frozen=True)
class Description:
    """What the status page says, apart from the grid's furl.

    *moving*: more will happen without the customer doing anything.  *over*: nothing
    more will happen.
    """

    title: str
    headline: str
    steps: tuple[Step, ...]
    notes: tuple[Note, ...]
    moving: bool
    over: bool


@define(frozen=True)
class Offers:
    """What the owner can do now, each a button or a link of the page."""

    checkout_url: str | None
    pay_again: bool
    resend: bool
    correct_address: bool
    cancel: bool
    stay: bool = False
    pay_overdue: bool = False
    come_back: bool = False

    def __bool__(self) -> bool:
        return bool(
            self.checkout_url
            or self.pay_again
            or self.resend
            or self.correct_address
            or self.cancel
            or self.stay
            or self.pay_overdue
            or self.come_back
        )


def describe(view: SignupView, events: Sequence[Progress]) -> Description:
    """Describe *view*; *events* are all events of the signup, in order."""
    happened: dict[str, datetime] = {}
    for event in events:
        if event.kind == "paid" and "ended" in happened:
            # For a customer who comes back everything is built again.
            happened = {k: at for k, at in happened.items() if k in _ORDERED}
        if event.kind == "stopped":
            happened = {k: at for k, at in happened.items() if k not in _OF_A_SERVER}
        happened.setdefault(event.kind, event.at)
    mailed = "mail-accepted" in happened
    rebuilt = is_rebuilt(view, events)
    withdrawn = _was_withdrawn(events)
    title, headline = _words(view, mailed=mailed, rebuilt=rebuilt, withdrawn=withdrawn)
    underway = view.state in ("paying", "paid", "active")
    return Description(
        title=title,
        headline=headline,
        steps=_steps(happened, still_to_come=underway),
        notes=tuple(Note(NOTES[e.kind], e.at) for e in events if e.kind in NOTES),
        moving=view.state in ("paying", "paid", "refunding", "ending", "deleting")
        or (view.state == "active" and not mailed)
        or rebuilt
        or view.awaits_payment,
        over=view.state in _FINAL
        or (
            view.state in _RUNNING
            and mailed
            and not rebuilt
            and not view.awaits_confirmation
        ),
    )


def describe_return(shown: Description) -> Description:
    """Say to a browser that comes from the payment page what is under way."""
    return evolve(
        shown,
        title="Your payment is arriving",
        headline="Thank you. This page goes on by itself when your payment is here,"
        " mostly within seconds.",
    )


def is_rebuilt(view: SignupView, events: Sequence[Progress]) -> bool:
    """Whether a server is being built for a customer who paid after losing theirs."""
    turns = [e.kind for e in events if e.kind in {"stopped", "self-test-passed"}]
    return turns[-1:] == ["stopped"] and view.state in _SERVED


def _was_withdrawn(events: Sequence[Progress]) -> bool:
    """Whether the customer cancelled while the grid was being built."""
    turns = [e.kind for e in events if e.kind in {"paid", "refunding", "withdrawn"}]
    return turns[-1:] == ["withdrawn"]


def _steps(happened: dict[str, datetime], *, still_to_come: bool) -> tuple[Step, ...]:
    """List the steps that were done, then the current one and those to come, if any."""
    done = [Step(STEPS[k][1], "done", at) for k, at in happened.items() if k in STEPS]
    open_steps = [words for k, (words, _) in STEPS.items() if k not in happened]
    if not still_to_come or not open_steps:
        return tuple(done)
    current, *waiting = open_steps
    return (
        *done,
        Step(current, "current", None),
        *(Step(words, "waiting", None) for words in waiting),
    )


def _words(  # noqa: C901, PLR0911, PLR0912  (one branch for each state)
    view: SignupView, *, mailed: bool, rebuilt: bool, withdrawn: bool
) -> tuple[str, str]:
    """Return the page's title and the sentence below it."""
    state: SignupState = view.state
    match state:
        case "registered":
            return "Not paid yet", "Your order is recorded, but not paid."
        case "paying":
            return (
                "Waiting for your payment",
                "As soon as your payment arrives, we build your grid.",
            )
        case "paid":
            return (
                "Building your grid",
                "Thank you for your payment. We are building your grid.",
            )
        case "active" if view.ends_at is not None:
            until = moment_in_words(view.ends_at)
            return "Cancelled, and still running", f"Your grid runs until {until}."
        case "active" if rebuilt:
            return (
                "Building your server again",
                "Thank you for your payment. A new server takes a few minutes.",
            )
        case "active" if view.joinable and view.awaits_confirmation:
            return (
                "Your grid is ready",
                "You can join now. Please confirm your new email address.",
            )
        case "active" if view.joinable and mailed:
            return "Your grid is ready", "You can join now. We mailed you how."
        case "active" if view.joinable:
            return "Your grid is ready", "You can join now. The mail is on its way."
        case "active":
            return "Your grid is not reachable", "We are repairing it."
        case "past-due":
            return "Please pay", "A payment failed. Your grid keeps running for now."
        case "suspended":
            return "Read-only", "Not paid: you can read from your grid, but not write."
        case "stopped":
            return (
                "Shut down",
                "Not paid: your server was removed. Your files are kept.",
            )
        case "ending":
            return "Ended", "Nothing more is charged. Your server is being removed."
        case "ended" if view.awaits_payment:
            return (
                "Waiting for your payment",
                (
                    "Your subscription has ended. As soon as your payment arrives, we"
                    " build your server again."
                ),
            )
        case "ended":
            kept = view.kept_until
            until = "for now" if kept is None else f"until {moment_in_words(kept)}"
            return "Ended", f"Nothing more is charged. Your files are kept {until}."
        case "deleting":
            return "Being deleted", "Your files are being deleted for good."
        case "deleted":
            return "Deleted", "Your files are deleted. We mailed you the receipt."
        case "refunding" if withdrawn:
            return "Cancelled", f"Cancelled as you asked. {_back(view)} is going back."
        case "refunded" if withdrawn:
            return (
                "Cancelled",
                (
                    f"Cancelled as you asked. {_back(view)} went back; your bank may"
                    " take up to ten days to show it."
                ),
            )
        case "refunding":
            return (
                "Being refunded",
                "We could not build your grid. You are being refunded in full.",
            )
        case "refunded":
            return (
                "Refunded",
                "We could not build your grid. You were refunded in full.",
            )
        case "expired":
            return "Never paid", "This order was never paid. Nothing was charged."
        case "cancelled":
            return "Cancelled", "This order is cancelled. Nothing more is charged."
        case _:  # pragma: no cover
            assert_never(state)


def _back(view: SignupView) -> str:
    """What goes back, in words."""
    paid = amount_in_words(view.plan.price, view.plan.currency)
    return f"Everything that you paid ({paid})"


def find_offers(view: SignupView) -> Offers:
    """Find what the owner of *view* can do now; any other visitor can do nothing."""
    owner, state = view.owner, view.state
    if owner is None:
        return Offers(None, False, False, False, False)  # noqa: FBT003
    return Offers(
        checkout_url=owner.checkout_url if state == "paying" else None,
        pay_again=state in ("registered", "expired"),
        resend=state in ("paid", "active", "past-due")
        if view.awaits_confirmation
        else state == "active" and owner.mail_accepted,
        correct_address=owner.email_state != "confirmed"
        and state in ("registered", "paying", "paid", "active", "past-due"),
        # Not while paying: an open session could be paid a moment later.
        cancel=state in ("registered", "expired", "paid", "past-due", "suspended")
        or state == "stopped"
        or (state == "active" and view.ends_at is None),
        stay=state == "active" and view.ends_at is not None,
        pay_overdue=state in ("past-due", "suspended", "stopped"),
        come_back=state == "ended",
    )
