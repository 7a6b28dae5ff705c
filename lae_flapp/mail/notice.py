"""What the operators' mails about causes of trouble say: text alone, for any screen."""

from __future__ import annotations

from datetime import datetime

from attrs import define

from lae_flapp.mail.letters import mail_templates
from lae_flapp.mail.message import Content, Envelope, Sender, build_message
from lae_protocol.address import Address


@define(frozen=True)
class Notice:
    """One cause; *first* is the first mail of it, which may be over by now."""

    kind: str
    subject: str
    what: str
    begun_at: datetime
    over_at: datetime | None
    first: bool
    page: str
    commands: tuple[str, ...]
    deployment: str


def render_notice(
    notice: Notice, sender: Sender, to: Address, message_id: str, now: datetime
) -> Envelope:
    """The notice as one message; *message_id* is the cause's."""
    given = {
        "notice": notice,
        "headline": notice.what.partition("\n")[0],
        "environment": sender.environment,
        "begun": _write_moment(notice.begun_at),
        "over": None if notice.over_at is None else _write_moment(notice.over_at),
        "lasted": None
        if notice.over_at is None
        else _write_duration((notice.over_at - notice.begun_at).total_seconds()),
    }
    templates = mail_templates()
    subject = templates.get_template("notice.subject").render(given)
    content = Content(
        # A header is one line, and a cause may quote what has several.
        subject=" ".join(subject.split()),
        text=templates.get_template("notice.txt").render(given),
        about="notice",
    )
    return build_message(content, sender, to, message_id, now)


def _write_moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _write_duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "day"), (hours, "hour"), (minutes, "minute"))
    return " ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in parts if n)
