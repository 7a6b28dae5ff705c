"""What operators say to the daemon beyond looking at signups, and what it answers.

See :mod:`lae_protocol.messages` for what holds of all messages.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from attrs import define

from lae_protocol.box_messages import (
    ListInbox,
    ListOutbox,
    RetryInboxEvent,
    RetryMail,
    ShowInboxEvent,
    ShowMail,
)
from lae_protocol.cost_messages import ListCosts
from lae_protocol.ids import SignupId
from lae_protocol.looking_messages import (
    AskHealth,
    EventsSince,
    ListSignups,
    ListUsage,
    Page,
    ShowSignup,
)
from lae_protocol.messages import Done, Plan, SignupState
from lae_protocol.people_messages import (
    AddOperator,
    AskOperators,
    RenewFurl,
    RevokeOperator,
    ShowSecondFurl,
)
from lae_protocol.question import KB, Question
from lae_protocol.recovery_messages import AskSealedIdentity, GiveIdentity
from lae_protocol.refund_messages import AskLastPayment, RefundPayment
from lae_protocol.removal_messages import RemoveHints, RemoveUnpaid
from lae_protocol.rollout_messages import AskRollout, StartRollout, SteerRollout

SwitchWord = Literal["signups", "launches", "deletions", "mails"]


@define(frozen=True)
class RetrySignup(Question[Done]):
    """Try what is stuck now, not when its turn comes."""

    signup_id: SignupId


@define(frozen=True)
class Resend(Question[Done]):
    """Mail the furl once more, to *email* from now on where it is given.

    *seen* is the address that the operator saw: if it is another by now, nothing
    changes.
    """

    LARGEST: ClassVar[int] = 2 * KB

    signup_id: SignupId
    seen: str
    email: str | None = None


@define(frozen=True)
class Cancel(Question[Done]):
    """End it.  *seen* is the state that the operator saw; *at_once* is without waiting
    for the end of what is paid.
    """

    LARGEST: ClassVar[int] = 8 * KB

    signup_id: SignupId
    seen: SignupState
    why: str
    at_once: bool = False


@define(frozen=True)
class Reactivate(Question[Done]):
    """Take a cancellation back, or, of what has ended, mail its owner the way back.

    *seen* is as in :class:`Cancel`.
    """

    LARGEST: ClassVar[int] = 8 * KB

    signup_id: SignupId
    seen: SignupState
    why: str


@define(frozen=True)
class DeleteData(Question[Done]):
    """Delete now what is kept of an ended one.  *seen* is as in :class:`Cancel`."""

    LARGEST: ClassVar[int] = 8 * KB

    signup_id: SignupId
    seen: SignupState
    why: str


@define(frozen=True)
class LogOut(Question[Done]):
    """Let every browser forget whose it is: the owner secret is replaced by one that
    nobody has.  *mail_link*: the owner gets a link that makes one browser theirs.
    """

    LARGEST: ClassVar[int] = 8 * KB

    signup_id: SignupId
    why: str
    mail_link: bool = False


@define(frozen=True)
class ReplaceHost(Question[Done]):
    """Replace the host of a served customer by another with the same identity.

    *seen* is the instance that the operator saw: if it is another by now, nothing
    changes.
    """

    LARGEST: ClassVar[int] = 8 * KB

    signup_id: SignupId
    seen: str | None
    why: str


@define(frozen=True)
class GiveFree(Question[Done]):
    """A subscription free of charge; *until* is when it ends, None for no end.

    *signup_id* is the caller's, so that the same message again is one subscription.
    """

    LARGEST: ClassVar[int] = 8 * KB

    signup_id: SignupId
    email: str
    plan_id: str
    why: str
    until: datetime | None = None


@define(frozen=True)
class Plans:
    """What can be given."""

    plans: tuple[Plan, ...]


@define(frozen=True)
class AskPlans(Question[Plans]):
    """Ask what can be given."""


@define(frozen=True)
class HostLine:
    """One host, as the journal knows it; *report* is what it said last, as JSON."""

    signup_id: SignupId
    generation: int
    state: str
    grid_label: str
    instance_id: str | None
    address: str | None
    launched_at: datetime | None
    reported_at: datetime | None
    changed_at: datetime
    report: str | None


@define(frozen=True)
class ListHosts(Question[Page[HostLine]]):
    """A page of the journal's hosts; *state* None is every one that is not gone."""

    LARGEST_ANSWER: ClassVar[int] = 4096 * KB

    state: str | None = None
    cursor: str | None = None
    limit: int = 100


@define(frozen=True)
class Console:
    """The cloud's copy, furls and keys in it replaced; *at* is when it was made.

    *text* is None where the cloud has none yet.  *cut* says that its beginning was
    left out.
    """

    instance_id: str
    text: str | None
    at: datetime | None
    cut: bool = False


@define(frozen=True)
class AskConsole(Question[Console]):
    """What the live host of a signup wrote to its console."""

    LARGEST_ANSWER: ClassVar[int] = 256 * KB

    signup_id: SignupId


@define(frozen=True)
class EffectLine:
    """What was asked of whom, and what came of it; without the request."""

    number: int
    signup_id: SignupId
    generation: int
    step: str
    purpose: str
    attempt: int
    state: str
    outcome: str | None
    begun_at: datetime
    changed_at: datetime
    tries: int


@define(frozen=True)
class ListEffects(Question[Page[EffectLine]]):
    """A page of effects, newest first."""

    LARGEST_ANSWER: ClassVar[int] = 1024 * KB

    signup_id: SignupId | None = None
    state: str | None = None
    step: str | None = None
    cursor: str | None = None
    limit: int = 100


@define(frozen=True)
class EffectWhole:
    """One effect with its request, as the journal keeps it until it is forgotten.

    *request* is None where it was forgotten, or is sealed since it holds a secret:
    then *sealed* says so, and it is never shown.
    """

    line: EffectLine
    token: str
    sealed: bool
    size: int
    request: str | None


@define(frozen=True)
class ShowEffect(Question[EffectWhole]):
    """One effect, with its request unless that is sealed."""

    LARGEST_ANSWER: ClassVar[int] = 256 * KB

    number: int


@define(frozen=True)
class PauseLine:
    """What is paused."""

    name: SwitchWord
    paused_at: datetime
    who: str
    why: str


@define(frozen=True)
class Switches:
    """All that is paused now."""

    paused: tuple[PauseLine, ...]


@define(frozen=True)
class AskSwitches(Question[Switches]):
    """Ask what is paused."""


@define(frozen=True)
class Pause(Question[Switches]):
    """Pause one thing; *why* is for people, and the site may say it."""

    LARGEST: ClassVar[int] = 8 * KB

    name: SwitchWord
    why: str


@define(frozen=True)
class Resume(Question[Switches]):
    """Let one thing go on."""

    name: SwitchWord


@define(frozen=True)
class BackupState:
    """How far it is: pages of SQLite's, and where the copy is once it is *done*."""

    done: bool
    pages: int
    of_pages: int
    path: str
    size: int


@define(frozen=True)
class BackUp(Question[BackupState]):
    """Copy the journal beside itself, on the daemon's machine.

    *name* is the copy's, made by the caller: the same again asks how far it is.
    """

    name: str


@define(frozen=True)
class Resealed:
    """One batch: rows looked at and rows sealed anew, of so many in all."""

    looked: int
    sealed: int
    of_rows: int
    cursor: str | None


@define(frozen=True)
class Reseal(Question[Resealed]):
    """Seal anew, under the newest key, at most *limit* rows after *cursor*."""

    cursor: str | None = None
    limit: int = 200


#: All that a named operator may ask.
OperatorQuestion = (
    ListSignups
    | ListUsage
    | ListCosts
    | ShowSignup
    | EventsSince
    | AskHealth
    | RetrySignup
    | Resend
    | Cancel
    | Reactivate
    | DeleteData
    | AskLastPayment
    | RefundPayment
    | AskPlans
    | LogOut
    | ReplaceHost
    | GiveFree
    | ListHosts
    | AskConsole
    | ListEffects
    | ShowEffect
    | ListInbox
    | ShowInboxEvent
    | RetryInboxEvent
    | RemoveHints
    | AskRollout
    | StartRollout
    | SteerRollout
    | RemoveUnpaid
    | ListOutbox
    | ShowMail
    | RetryMail
    | AskSwitches
    | Pause
    | Resume
    | AskOperators
    | AddOperator
    | RenewFurl
    | RevokeOperator
    | ShowSecondFurl
    | BackUp
    | Reseal
    | AskSealedIdentity
    | GiveIdentity
)
