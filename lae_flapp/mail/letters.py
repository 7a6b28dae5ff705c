"""What the mails say: a kind, what it is about, and one message of text and HTML.

A mail is rendered when it is sent, so that no copy of anybody's data lies waiting.
A template that asks for something it was not given fails loudly.
"""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from typing import Any, Literal

from attrs import asdict, define, field
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from lae_protocol.address import Address
from lae_protocol.furl import Furl
from lae_protocol.grid_file import grid_json
from lae_protocol.messages import Plan
from lae_protocol.plan_words import (
    moment_in_words,
    price_in_words,
    size_in_words,
    span_in_words,
)
from lae_protocol.process.resources import template_folder

#: RFC 5321, 4.5.3.1.6, without the CRLF.
LONGEST_LINE = 998


@define(frozen=True)
class Sender:
    """Who writes: what stands in the headers, and where bounces go.

    *bounce_local* and *bounce_domain* make the VERP envelope sender
    ``LOCAL+SIGNUP@DOMAIN``, so that a bounce names its signup whatever it quotes.
    """

    name: str
    address: Address
    support: Address
    bounce_local: str
    bounce_domain: str
    site_url: str
    environment: str


@define(frozen=True)
class Active:
    """The storage is ready: the furl, and how to join."""

    kind = "active"
    signup_id: str
    plan: Plan
    nickname: str
    furl: Furl
    status_url: str | None
    cancel_url: str | None = field(default=None, repr=False)


@define(frozen=True)
class Refunded:
    """We could not serve; the money goes back."""

    kind = "refunded"
    signup_id: str
    plan: Plan


@define(frozen=True)
class PaidTwice:
    """A payment that a signup could not take goes back."""

    kind = "paid-twice"
    signup_id: str
    plan: Plan


@define(frozen=True)
class Troubled:
    """To an operator: a signup needs a person.  *problem* holds no secret."""

    kind = "troubled"
    signup_id: str
    state: str
    problem: str


@define(frozen=True)
class Leaving:
    """It was cancelled and ends with the period that is paid."""

    kind = "leaving"
    signup_id: str
    plan: Plan
    ends_at: datetime
    kept_until: datetime
    return_url: str = field(repr=False)


@define(frozen=True)
class Staying:
    """A cancellation was taken back."""

    kind = "staying"
    signup_id: str
    plan: Plan
    cancel_url: str = field(repr=False)


@define(frozen=True)
class Ended:
    """It is over and the data is kept; or (a reminder) not for much longer.

    *return_url* is None of what was given: it has no price to pay.
    """

    kind: Literal["ended", "reminder"]
    signup_id: str
    plan: Plan
    kept_until: datetime
    return_url: str | None = field(repr=False)


@define(frozen=True)
class Deleted:
    """The receipt: the data is gone.  *used_bytes* is None where nobody knows."""

    kind = "deleted"
    signup_id: str
    plan: Plan
    receipt: int
    bucket: str
    deleted_at: datetime
    used_bytes: int | None


@define(frozen=True)
class Overdue:
    """A payment failed; *then* is when the next thing happens.  *pay_url* is Stripe's
    page, None where it is paid by now.
    """

    kind: Literal["past-due", "suspended", "stopped"]
    signup_id: str
    plan: Plan
    then: datetime
    pay_url: str | None = field(repr=False)
    cancel_url: str = field(repr=False)


@define(frozen=True)
class Recovered:
    """It is paid again."""

    kind = "recovered"
    signup_id: str
    plan: Plan


LifeLetter = Leaving | Staying | Ended | Deleted | Overdue | Recovered
Letter = Active | Refunded | PaidTwice | Troubled | LifeLetter


@define(frozen=True)
class Envelope:
    """A rendered mail.  *message* is bytes with CRLF, ASCII alone."""

    sender: str
    recipient: str
    message: bytes


@cache
def mail_templates() -> Environment:
    """The templates of all mails."""
    made = Environment(
        loader=FileSystemLoader(template_folder() / "mail"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["moment"] = moment_in_words
    return made


def _attachment(letter: Active) -> str:
    return letter.nickname.replace(" ", "-") + ".json"


def join_commands(furl: Furl) -> list[str]:
    """What a person types, a line each, to join with the tahoe of PyPI."""
    tahoe, shares = (
        "tahoe/bin/tahoe",
        "--shares-needed 1 --shares-happy 1 --shares-total 1",
    )
    return [
        "python3 -m venv tahoe && tahoe/bin/pip install tahoe-lafs",
        f"{tahoe} create-client {shares} --introducer {furl.reveal()} my-client",
        f"{tahoe} run my-client",
    ]


def _given(letter: Letter, sender: Sender) -> dict[str, Any]:
    given = asdict(letter, recurse=False) | {
        "site_url": sender.site_url,
        "support": sender.support.as_typed,
        "environment": sender.environment,
    }
    if not isinstance(letter, Troubled):
        given["price"] = price_in_words(letter.plan, ascii_only=True)
        given["quota"] = size_in_words(letter.plan.quota)
        given["kept_for"] = span_in_words(letter.plan.data_kept)
    if isinstance(letter, Deleted):
        used = letter.used_bytes
        given["used"] = None if used is None else size_in_words(used)
    if not isinstance(letter, Active):
        given["status_url"] = f"{sender.site_url}/signup/{letter.signup_id}"
    if isinstance(letter, Active):
        given["furl"] = letter.furl.reveal()
        given["attachment"] = _attachment(letter)
        given["join_commands"] = join_commands(letter.furl)
    return given


def render(
    letter: Letter, sender: Sender, to: Address, message_id: str, now: datetime
) -> Envelope:
    """The letter as one message; *message_id* is fixed in the outbox's row."""
    given = _given(letter, sender)
    templates = mail_templates()

    def text(part: str, **more: str) -> str:
        return templates.get_template(f"{letter.kind}.{part}").render(given | more)

    subject = text("subject").strip()
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = message_id
    message["Date"] = now
    message["From"] = header_address(sender.address, sender.name)
    message["To"] = header_address(to)
    message["Reply-To"] = header_address(sender.support)
    message["Subject"] = subject
    message["Auto-Submitted"] = "auto-generated"
    plain, html = text("txt"), text("html", subject=subject)
    message.set_content(plain, cte=_encoding(plain))
    message.add_alternative(html, subtype="html", cte=_encoding(html))
    if isinstance(letter, Active):
        message.add_attachment(
            grid_json(letter.nickname, letter.furl).encode("ascii"),
            maintype="application",
            subtype="json",
            filename=_attachment(letter),
        )
    # Last, since what is set before a part is added becomes the part's.
    message["Content-Language"] = "en"
    envelope_sender = f"{sender.bounce_local}+{letter.signup_id}@{sender.bounce_domain}"
    return Envelope(envelope_sender, to.for_smtp, message.as_bytes())


def _encoding(text: str) -> str:
    """Leave ASCII as it is, so that a furl is on one line even in the raw message."""
    longest = max(map(len, text.splitlines()))
    return "7bit" if text.isascii() and longest <= LONGEST_LINE else "quoted-printable"


def header_address(address: Address, name: str = "") -> HeaderAddress:
    """In a header too, the domain is the A-label: not every server has SMTPUTF8."""
    return HeaderAddress(name, address.local, address.domain_a_label)
