"""What the mails about a signup say: one class for what each has to tell, and the
message of text and HTML that comes of it.

A mail is rendered when it is sent, so that no copy of anybody's data lies waiting.
A template that asks for something it was not given fails loudly.  Which kind of mail
is which letter stands in :mod:`lae_flapp.mail.kinds`.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from attrs import asdict, define, field
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from lae_flapp.journal.outbox import MailKind
from lae_flapp.mail.message import (
    Attachment,
    Content,
    Sender,
)
from lae_protocol import joining
from lae_protocol.furl import Furl
from lae_protocol.grid_file import grid_json
from lae_protocol.messages import Plan
from lae_protocol.plan_words import (
    amount_in_words,
    moment_in_words,
    price_in_words,
    size_in_words,
    span_in_words,
    used_in_words,
)
from lae_protocol.process.resources import template_folder


@define(frozen=True)
class Letter:
    """What any mail about a signup knows."""

    signup_id: str


@define(frozen=True)
class Troubled(Letter):
    """To the operators: a signup needs a person.  *problem* holds no secret."""

    state: str
    problem: str


@define(frozen=True)
class CustomerLetter(Letter):
    """What any mail to a customer knows: the plan that was agreed."""

    plan: Plan


@define(frozen=True)
class Active(CustomerLetter):
    """The storage is ready: the furl, and how to join.  *furl_known_elsewhere*: an
    earlier mail with it went to another email address.
    """

    nickname: str
    furl: Furl
    status_url: str | None
    cancel_url: str | None = field(default=None, repr=False)
    furl_known_elsewhere: bool = False


@define(frozen=True)
class Confirm(CustomerLetter):
    """To a corrected address, whose reader may be a stranger: is it the customer's?
    *good_for* is for how long the link is.
    """

    confirm_url: str = field(repr=False)
    good_for: str


@define(frozen=True)
class LogIn(CustomerLetter):
    """A link that makes one browser the owner's; *good_for* is for how long."""

    log_in_url: str = field(repr=False)
    good_for: str


@define(frozen=True)
class Plain(CustomerLetter):
    """What needs no more than the plan: a second payment, or that it is paid again."""


@define(frozen=True)
class PaidBack(CustomerLetter):
    """What was charged goes back: *as_asked*, or because we could not build it."""

    as_asked: bool


@define(frozen=True)
class Goodwill(CustomerLetter):
    """An operator gave so much of the last payment back; nothing else changes."""

    given_back: int


@define(frozen=True)
class Leaving(CustomerLetter):
    """The subscription was cancelled and ends with the period that is paid."""

    ends_at: datetime
    kept_until: datetime
    return_url: str = field(repr=False)


@define(frozen=True)
class Staying(CustomerLetter):
    """A cancellation was taken back."""

    cancel_url: str = field(repr=False)


@define(frozen=True)
class Ended(CustomerLetter):
    """The subscription is over, and the data is kept until then.

    *return_url* is None for a gift: it has no price to pay.
    """

    kept_until: datetime
    return_url: str | None = field(repr=False)


@define(frozen=True)
class Deleted(CustomerLetter):
    """The receipt: the data is gone.  *used_bytes* is None where nobody knows."""

    receipt: int
    bucket: str
    deleted_at: datetime
    used_bytes: int | None


@define(frozen=True)
class Overdue(CustomerLetter):
    """The subscription is not paid; *then* is when the next thing happens.  *pay_url*
    is Stripe's page, None where it is paid by now.
    """

    then: datetime
    pay_url: str | None = field(repr=False)
    cancel_url: str = field(repr=False)


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


def render(kind: MailKind, letter: Letter, sender: Sender) -> Content:
    """Render what the letter says, with the templates of its *kind*."""
    given = _given(letter, sender)
    templates = mail_templates()

    def text(form: str, **more: str) -> str:
        return templates.get_template(f"{kind}.{form}").render(given | more)

    subject = text("subject").strip()
    return Content(
        subject=subject,
        text=text("txt"),
        html=text("html", subject=subject),
        attachment=_make_attachment(letter),
        about=letter.signup_id,
    )


def _make_attachment(letter: Letter) -> Attachment | None:
    if not isinstance(letter, Active):
        return None
    name = letter.nickname.replace(" ", "-") + ".json"
    return Attachment(name, grid_json(letter.nickname, letter.furl))


def _given(letter: Letter, sender: Sender) -> dict[str, Any]:
    given: dict[str, Any] = {
        "site_url": sender.site_url,
        "support": sender.support.as_typed,
        "environment": sender.environment,
        "status_url": f"{sender.site_url}/signup/{letter.signup_id}",
    }
    given |= asdict(letter, recurse=False)
    if isinstance(letter, CustomerLetter):
        given["price"] = price_in_words(letter.plan, ascii_only=True)
        given["amount"] = amount_in_words(
            letter.plan.price, letter.plan.currency, ascii_only=True
        )
        given["quota"] = size_in_words(letter.plan.quota)
        given["kept_for"] = span_in_words(letter.plan.data_kept)
    if isinstance(letter, Goodwill):
        given["given_back"] = amount_in_words(
            letter.given_back, letter.plan.currency, ascii_only=True
        )
    if isinstance(letter, Deleted):
        used = letter.used_bytes
        given["used"] = None if used is None else used_in_words(used)
    attachment = _make_attachment(letter)
    if isinstance(letter, Active) and attachment is not None:
        given["furl"] = letter.furl.reveal()
        given["attachment"] = attachment.name
        file = f"the file that is attached to this mail, {attachment.name}"
        given["gridsync_steps"] = joining.gridsync_steps(file)
        given["second_gridsync"] = joining.SECOND_GRIDSYNC
        given["tahoe_steps"] = joining.tahoe_steps(letter.furl.reveal())
        given["needed"] = joining.NEEDED
    return given
