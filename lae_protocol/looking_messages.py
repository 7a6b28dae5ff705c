"""What operators see of signups and of the daemon: lists, one whole, events, health.

See :mod:`lae_protocol.messages` for what holds of all messages.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Generic, Literal, TypeVar

from attrs import define

from lae_protocol.ids import SignupId
from lae_protocol.messages import Plan, UsageView
from lae_protocol.question import KB, Question

R = TypeVar("R")


@define(frozen=True)
class Page(Generic[R]):
    """Rows of a list; *cursor* is where the next page begins, None on the last."""

    rows: tuple[R, ...]
    cursor: str | None


@define(frozen=True)
class SignupRow:
    """One line of an operator's list.  *leaving*: it is cancelled and still served, and
    ends at *ends_at* where that is known.  *awaits_confirmation*: the address was
    corrected and is not confirmed, so mails are held.
    """

    signup_id: SignupId
    state: str
    email: str
    email_state: str
    plan_id: str
    grid_label: str
    instance_id: str | None
    created_at: datetime
    changed_at: datetime
    problem: str | None
    leaving: bool = False
    ends_at: datetime | None = None
    awaits_confirmation: bool = False


@define(frozen=True)
class ListSignups(Question[Page[SignupRow]]):
    """A page of signups, newest first, after *cursor*.

    *text* is a part of an address, or the start of an id or label; *since* and *until*
    bound the time of registration; *waiting* leaves those that have a problem,
    *leaving* those that are cancelled and still served.
    """

    LARGEST: ClassVar[int] = 2 * KB
    LARGEST_ANSWER: ClassVar[int] = 1024 * KB

    state: str | None = None
    text: str | None = None
    cursor: str | None = None
    limit: int = 100
    plan_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    waiting: bool = False
    leaving: bool = False


@define(frozen=True)
class UsageLine:
    """What one subscription holds and sent this month, of what was agreed; in bytes.

    *stored* and *told_on* (the last day that its host told of) are None before that.
    """

    signup_id: SignupId
    state: str
    email: str
    plan_id: str
    stored: int | None
    quota: int
    sent: int
    traffic: int
    told_on: str | None


@define(frozen=True)
class ListUsage(Question[Page[UsageLine]]):
    """A page of subscriptions' usage, newest first; *near* leaves those that hold or
    sent nine tenths of what was agreed.
    """

    LARGEST_ANSWER: ClassVar[int] = 1024 * KB

    state: str | None = None
    cursor: str | None = None
    limit: int = 100
    plan_id: str | None = None
    near: bool = False


@define(frozen=True)
class EffectRow:
    """What was asked of whom, and what came of it; never with secrets."""

    step: str
    purpose: str
    attempt: int
    state: str
    outcome: str | None
    at: datetime


@define(frozen=True)
class EventRow:
    """One line of the event log."""

    number: int
    signup_id: SignupId | None
    kind: str
    at: datetime
    who: str
    why: str | None


@define(frozen=True)
class SignupDetail:
    """All that an operator sees of one signup."""

    row: SignupRow
    plan: Plan
    effects: tuple[EffectRow, ...]
    events: tuple[EventRow, ...]
    usage: UsageView | None = None


@define(frozen=True)
class ShowSignup(Question[SignupDetail]):
    """Everything about one signup."""

    LARGEST_ANSWER: ClassVar[int] = 1024 * KB

    signup_id: SignupId


@define(frozen=True)
class EventPage:
    """Events after a number; *last_number* is where to go on."""

    events: tuple[EventRow, ...]
    last_number: int


@define(frozen=True)
class EventsSince(Question[EventPage]):
    """The events of one signup (or of all) after *since*; waits up to *patience* s."""

    LARGEST_ANSWER: ClassVar[int] = 1024 * KB

    signup_id: SignupId | None
    since: int = 0
    patience: int = 0


@define(frozen=True)
class Need:
    """One thing that needs somebody: what, about what, since when (None: since the
    daemon saw it last), the page of the manual, and the commands to begin with.
    """

    kind: str
    subject: str
    what: str
    since: datetime | None
    severity: Literal["page", "ticket"]
    page: str
    commands: tuple[str, ...]


@define(frozen=True)
class Health:
    """The daemon, now.  *closed_because* is in operators' words."""

    environment: str
    release: str
    started_at: datetime
    epoch: int
    signups_open: bool
    canary_opened: bool
    oldest_unserved_seconds: int | None
    inbox_waiting: int
    outbox_waiting: int
    closed_because: str | None = None
    needs: tuple[Need, ...] = ()


@define(frozen=True)
class AskHealth(Question[Health]):
    """Ask how the daemon is, and what needs somebody now."""

    LARGEST_ANSWER: ClassVar[int] = 1024 * KB
