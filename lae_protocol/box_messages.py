"""What operators see of the inbox and the outbox: Stripe's events, and mails.

See :mod:`lae_protocol.messages` for what holds of all messages, and for the version.
"""

from __future__ import annotations

from datetime import datetime

from attrs import define

from lae_protocol.ids import SignupId
from lae_protocol.messages import Refused


@define(frozen=True)
class ListInbox:
    """A page of Stripe's events, newest first."""

    state: str | None = None
    cursor: str | None = None
    limit: int = 100


@define(frozen=True)
class InboxLine:
    """One event of Stripe's; *object_id* is what it was about, where it named that."""

    event_id: str
    kind: str
    object_id: str | None
    state: str
    received_at: datetime
    attempts: int
    next_try_at: datetime
    outcome: str | None
    settled_at: datetime | None
    request_id: str


@define(frozen=True)
class InboxPage:
    """One page; *cursor* is None on the last."""

    rows: tuple[InboxLine, ...]
    cursor: str | None


@define(frozen=True)
class EventNamed:
    """Which of Stripe's events is meant."""

    event_id: str


@define(frozen=True)
class ListOutbox:
    """A page of mails, newest first."""

    signup_id: SignupId | None = None
    state: str | None = None
    cursor: str | None = None
    limit: int = 100


@define(frozen=True)
class MailLine:
    """One mail: to whom it went, or would go now.  Its text is written when it is sent,
    so there is none to show.
    """

    number: int
    signup_id: SignupId
    kind: str
    occasion: str
    state: str
    to: str
    queued_at: datetime
    attempts: int
    next_try_at: datetime
    outcome: str | None
    settled_at: datetime | None
    message_id: str


@define(frozen=True)
class MailPage:
    """One page; *cursor* is None on the last."""

    rows: tuple[MailLine, ...]
    cursor: str | None


InboxAnswer = InboxPage | Refused
InboxEventAnswer = InboxLine | Refused
OutboxAnswer = MailPage | Refused
MailAnswer = MailLine | Refused
