"""One message, to a customer or to an operator: its headers, its encoding, its sender.

Every mail of S4 is built here, so that what RFC 5322 asks for is kept in one place.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.policy import SMTP

from attrs import define

from lae_protocol.address import Address

#: RFC 5322, 2.1.1, without the CRLF.
LONGEST_LINE = 998  # bytes


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
class Attachment:
    """A file of JSON that goes with a message."""

    name: str
    content: str


@define(frozen=True)
class Content:
    """What a message says.  *about* names the signup, or else the sort of mail, in the
    address that a bounce comes back to.
    """

    subject: str
    text: str
    about: str
    html: str | None = None
    attachment: Attachment | None = None


@define(frozen=True)
class Envelope:
    """A rendered mail.  *message* is bytes with CRLF, ASCII alone."""

    sender: str
    recipient: str
    message: bytes


def build_message(
    content: Content, sender: Sender, to: Address, message_id: str, now: datetime
) -> Envelope:
    """Build the message to one recipient; *message_id* is the left half."""
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = f"<{message_id}@{sender.address.domain_a_label}>"
    message["Date"] = now
    message["From"] = header_address(sender.address, sender.name)
    message["To"] = header_address(to)
    message["Reply-To"] = header_address(sender.support)
    message["Subject"] = content.subject
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(content.text, cte=_choose_encoding(content.text))
    if content.html is not None:
        message.add_alternative(
            content.html, subtype="html", cte=_choose_encoding(content.html)
        )
    if content.attachment is not None:
        message.add_attachment(
            content.attachment.content.encode("ascii"),
            maintype="application",
            subtype="json",
            filename=content.attachment.name,
        )
    # Last, since what is set before a part is added becomes the part's.
    message["Content-Language"] = "en"
    envelope_sender = f"{sender.bounce_local}+{content.about}@{sender.bounce_domain}"
    return Envelope(envelope_sender, to.for_smtp, message.as_bytes())


def _choose_encoding(text: str) -> str:
    """Leave ASCII as it is, so that a furl is on one line even in the raw message."""
    longest = max(map(len, re.split(r"\r\n|\r|\n", text)))
    return "7bit" if text.isascii() and longest <= LONGEST_LINE else "quoted-printable"


def header_address(address: Address, name: str = "") -> HeaderAddress:
    """In a header too, the domain is the A-label: not every server has SMTPUTF8."""
    return HeaderAddress(name, address.local, address.domain_a_label)
