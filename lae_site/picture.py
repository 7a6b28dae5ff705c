"""What a customer is told of a signup: pure functions of what the daemon told us."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, assert_never

from attrs import define

from lae_protocol.messages import Progress, SignupState, SignupView
from lae_protocol.plan_words import moment_in_words

#: The way of a signup when all goes well, in the order in which it happens: in words
#: for what is to be done, and for what was.
STEPS = {
    "registered": ("Write down your order", "Your order is written down"),
    "checkout-opened": ("Open the payment page", "The payment page is open"),
    "paid": ("Receive your payment", "Your payment arrived"),
    "identity-sealed": (
        "Give your grid its address",
        "Your grid has its address; its keys are sealed away",
    ),
    "bucket-ready": (
        "Make your own storage bucket",
        "Your own storage bucket is made, encrypted",
    ),
    "role-ready": ("Limit access to that bucket", "Access is limited to that bucket"),
    "instance-launched": ("Start your own server", "Your own server is started"),
    "address-ready": ("Set its network address", "Its network address is set"),
    "claimed": ("Hand its keys to the server", "The server took over its keys"),
    "self-test-passed": (
        "Store a test file and read it back",
        "A test file was stored and read back",
    ),
    "ready": ("Open your grid", "Your grid is ready"),
    "mail-accepted": (
        "Send the mail with the address",
        "The mail with the address is sent",
    ),
}
#: What else may happen.
NOTES = {
    "checkout-expired": "The payment page expired; nothing was charged.",
    "delayed": "A service that we depend on makes us wait. We go on by ourselves.",
    "troubled": "Something went wrong. One of us has been told and is looking at it.",
    "refunding": "We could not serve you; your money is on its way back.",
    "refunded": "Your money was sent back.",
    "address-corrected": "Your email address was corrected.",
    "mail-resent": "The mail was sent once more.",
    "cancelled": "It was cancelled.",
    "leaving": "You cancelled; it goes on until the end of what is paid.",
    "staying": "Your cancellation was taken back.",
    "past-due": "A payment failed. We mailed you how to pay.",
    "suspended": "Still not paid: nothing can be written any more.",
    "stopped": "Still not paid: your server is removed. Your files are kept.",
    "recovered": "Your payment arrived; everything goes on.",
    "ending": "Your subscription has ended. Nothing more is charged.",
    "ended": "Your server is removed. Your files are kept.",
    "deleting": "The time for which we keep your files is over.",
    "deleted": "Your files are deleted; we mailed you the receipt.",
}
_FINAL = ("refunded", "cancelled", "ended", "deleted")
#: Done once, however often somebody comes back.
_ORDERED = ("registered", "checkout-opened")
#: Of one server: done again for who pays after it was removed.
_OF_A_SERVER = ("instance-launched", "address-ready", "claimed", "self-test-passed")
#: Served, or would be if it were paid.
_RUNNING = ("active", "past-due", "suspended", "stopped")
_SERVED = ("active", "past-due", "suspended")


@define(frozen=True)
class Step:
    """One line of the list; *at* is when it was done."""

    title: str
    phase: Literal["done", "current", "waiting"]
    at: datetime | None


@define(frozen=True)
class Note:
    """Something beside the usual way; *pressing* ones stand at the top."""

    text: str
    at: datetime


@define(frozen=True)
class Picture:
    """All that the status page says but for the grid's address.

    *moving* says whether more is to come without the customer doing anything;
    *over* that nothing will come at all.
    """

    title: str
    headline: str
    steps: tuple[Step, ...]
    notes: tuple[Note, ...]
    moving: bool
    over: bool


@define(frozen=True)
class Offers:
    """What the owner can do now."""

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


def picture(view: SignupView, events: Sequence[Progress]) -> Picture:
    """What to show of *view*; *events* are all of the signup's, in order."""
    happened: dict[str, datetime] = {}
    for event in events:
        if event.kind == "paid" and "ended" in happened:
            # Who comes back is built for anew.
            happened = {k: at for k, at in happened.items() if k in _ORDERED}
        if event.kind == "stopped":
            happened = {k: at for k, at in happened.items() if k not in _OF_A_SERVER}
        happened.setdefault(event.kind, event.at)
    mailed = "mail-accepted" in happened
    again = is_built_again(view, events)
    title, headline = _words(view, mailed=mailed, again=again)
    underway = view.state in ("paying", "paid", "active")
    return Picture(
        title=title,
        headline=headline,
        steps=_steps(happened, still_to_come=underway),
        notes=tuple(Note(NOTES[e.kind], e.at) for e in events if e.kind in NOTES),
        moving=view.state in ("paying", "paid", "refunding", "ending", "deleting")
        or (view.state == "active" and not mailed)
        or again,
        over=view.state in _FINAL or (view.state in _RUNNING and mailed and not again),
    )


def is_built_again(view: SignupView, events: Sequence[Progress]) -> bool:
    """Whether a server is being built for who paid after theirs was removed."""
    turns = [e.kind for e in events if e.kind in {"stopped", "self-test-passed"}]
    return turns[-1:] == ["stopped"] and view.state in _SERVED


def _steps(happened: dict[str, datetime], *, still_to_come: bool) -> tuple[Step, ...]:
    """What was done, and, while there is hope of it, what is next and after that."""
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
    view: SignupView, *, mailed: bool, again: bool
) -> tuple[str, str]:
    """The page's title and the sentence under it: one for each state."""
    state: SignupState = view.state
    match state:
        case "registered":
            return "Not paid yet", "Your order is written down, but not paid."
        case "paying":
            return (
                "Waiting for your payment",
                "As soon as your payment arrives, we build your grid.",
            )
        case "paid":
            return "Building your grid", "Paid, thank you. We are building your grid."
        case "active" if view.ends_at is not None:
            until = moment_in_words(view.ends_at)
            return "Cancelled, and still running", f"It goes on until {until}."
        case "active" if again:
            return (
                "Building your server again",
                "Paid, thank you. That takes minutes.",
            )
        case "active" if view.joinable and mailed:
            return "Your grid is ready", "Joining works, and the mail is sent."
        case "active" if view.joinable:
            return "Your grid is ready", "Joining works. The mail is on its way."
        case "active":
            return "Your grid is being looked after", "Your grid is not reachable now."
        case "past-due":
            return "Please pay", "A payment failed. Your grid goes on for now."
        case "suspended":
            return "Read-only", "Not paid: your grid can be read, but not written to."
        case "stopped":
            return (
                "Shut down",
                "Not paid: your server is removed. Your files are kept.",
            )
        case "ending":
            return "Ended", "Nothing more is charged. Your server is being removed."
        case "ended":
            kept = view.kept_until
            until = "for now" if kept is None else f"until {moment_in_words(kept)}"
            return "Ended", f"Nothing more is charged. Your files are kept {until}."
        case "deleting":
            return "Being deleted", "Your files are being deleted, for good."
        case "deleted":
            return "Deleted", "Your files are deleted. We mailed you the receipt."
        case "refunding":
            return (
                "Your money is on its way back",
                "We could not build your grid. You will not be charged.",
            )
        case "refunded":
            return "Refunded", "We could not build your grid; your money was sent back."
        case "expired":
            return "Never paid", "This order was never paid, and nothing was charged."
        case "cancelled":
            return "Cancelled", "This order is cancelled, and nothing more is charged."
        case _:  # pragma: no cover
            assert_never(state)


def offers(view: SignupView) -> Offers:
    """What the owner of *view* can do now; nothing for anybody else."""
    owner, state = view.owner, view.state
    if owner is None:
        return Offers(None, False, False, False, False)  # noqa: FBT003
    return Offers(
        checkout_url=owner.checkout_url if state == "paying" else None,
        pay_again=state in ("registered", "expired"),
        resend=state == "active" and owner.mail_accepted,
        correct_address=owner.email_state != "confirmed"
        and state in ("registered", "paying", "paid", "active", "past-due"),
        # A session that is open could be paid a moment later.
        cancel=state in ("registered", "expired", "paid", "past-due", "suspended")
        or state == "stopped"
        or (state == "active" and view.ends_at is None),
        stay=state == "active" and view.ends_at is not None,
        pay_overdue=state in ("past-due", "suspended", "stopped"),
        come_back=state == "ended",
    )
