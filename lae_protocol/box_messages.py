"""What operators see of the inbox and the outbox: Stripe's events, and mails.

See :mod:`lae_protocol.messages` for what holds of all messages.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from attrs import define

from lae_protocol.ids import SignupId
from lae_protocol.looking_messages import Page
from lae_protocol.question import KB, Question


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
class ListInbox(Question[Page[InboxLine]]):
    """A page of Stripe's events, newest first."""

    LARGEST_ANSWER: ClassVar[int] = 1024 * KB

    state: str | None = None
    cursor: str | None = None
    limit: int = 100


@define(frozen=True)
class ShowInboxEvent(Question[InboxLine]):
    """One event of Stripe's."""

    event_id: str


@define(frozen=True)
class RetryInboxEvent(Question[InboxLine]):
    """Work it off now, also one that was ignored."""

    event_id: str


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
class ListOutbox(Question[Page[MailLine]]):
    """A page of mails, newest first."""

    LARGEST_ANSWER: ClassVar[int] = 1024 * KB

    signup_id: SignupId | None = None
    state: str | None = None
    cursor: str | None = None
    limit: int = 100


@define(frozen=True)
class ShowMail(Question[MailLine]):
    """One mail."""

    number: int


@define(frozen=True)
class RetryMail(Question[MailLine]):
    """Send it now, also one that was refused."""

    number: int
