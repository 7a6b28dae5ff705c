"""What the operators' mails about causes of trouble say: text alone, for any screen."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP

from attrs import define

from lae_flapp.mail.letters import Envelope, Sender, header_address, mail_templates
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
    section: str
    deployment: str


def render_notice(
    notice: Notice, sender: Sender, to: Address, message_id: str, now: datetime
) -> Envelope:
    """The notice as one message; *message_id* is fixed in the cause's row."""
    given = {
        "notice": notice,
        "environment": sender.environment,
        "begun": _moment(notice.begun_at),
        "over": None if notice.over_at is None else _moment(notice.over_at),
        "lasted": None
        if notice.over_at is None
        else _duration((notice.over_at - notice.begun_at).total_seconds()),
        "anchor": notice.section.lower(),
    }
    templates = mail_templates()
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = message_id
    message["Date"] = now
    message["From"] = header_address(sender.address, sender.name)
    message["To"] = header_address(to)
    message["Reply-To"] = header_address(sender.support)
    message["Subject"] = templates.get_template("notice.subject").render(given).strip()
    message["Auto-Submitted"] = "auto-generated"
    text = templates.get_template("notice.txt").render(given)
    message.set_content(text, cte="7bit" if text.isascii() else "quoted-printable")
    message["Content-Language"] = "en"
    envelope_sender = f"{sender.bounce_local}+notice@{sender.bounce_domain}"
    return Envelope(envelope_sender, to.for_smtp, message.as_bytes())


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "day"), (hours, "hour"), (minutes, "minute"))
    return " ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in parts if n)
