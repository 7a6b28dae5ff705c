"""A customer's mailbox: reads a Maildir, and what a mail tells a person to do."""

from __future__ import annotations

import email
import shlex
import time
from email import policy
from email.message import EmailMessage
from pathlib import Path

from attrs import define

_LOOK_AGAIN = 0.05


class NoMail(Exception):
    """The mail did not come in time."""


@define(frozen=True)
class ReadyMail:
    """What the mail says, and nothing else.  *recipe* has the commands of tahoe, to be
    typed one after the other; *create_client* is the one of them that makes the client.
    """

    furl: str
    recipe: tuple[str, ...]
    create_client: list[str]
    grid_file: bytes
    arrived: float


def mails_to(maildir: Path, address: str) -> list[tuple[float, EmailMessage]]:
    """All mails delivered to an address, oldest first, with the time of delivery."""
    found = []
    for path in sorted((maildir / "new").iterdir()):
        message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
        if message["Delivered-To"] == address:
            found.append((path.stat().st_mtime, message))
    return sorted(found, key=lambda one: one[0])


def wait_for_mail(
    maildir: Path, address: str, seconds: float
) -> tuple[float, EmailMessage]:
    """Look into the mailbox from time to time, as people do; raises NoMail."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = mails_to(maildir, address)
        if found:
            return found[-1]
        time.sleep(_LOOK_AGAIN)
    raise NoMail(f"no mail to {address} within {seconds:g} s")


def read(arrived: float, message: EmailMessage) -> ReadyMail:
    """Take from the mail what a person would: the furl's line and the command."""
    body = message.get_body(("plain",))
    assert body is not None, "every mail has a text"
    lines = [line.strip() for line in body.get_content().splitlines()]
    (furl,) = [line for line in lines if line.startswith("pb://")]
    recipe = tuple(line for line in lines if "~/s4/bin/tahoe " in line)
    (install,) = [line for line in recipe if " create-client " in line]
    command = install.rpartition(" && ")[2]
    (attached,) = message.iter_attachments()
    return ReadyMail(
        furl, recipe, shlex.split(command), attached.get_content(), arrived
    )
