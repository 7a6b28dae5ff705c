"""The mails hold what a customer needs, and are correct messages."""

from __future__ import annotations

import base64
import email
import html
import json
import re
from datetime import UTC, datetime
from email import policy

import pytest
from jinja2 import UndefinedError

from lae_flapp.journal.outbox import MailKind
from lae_flapp.mail import letters
from lae_flapp.mail.letters import Active, Letter, PaidBack, Plain, Troubled, render
from lae_flapp.mail.message import Sender, build_message
from lae_protocol.address import parse_address
from lae_protocol.furl import PLAIN, Furl
from lae_protocol.joining import SECOND_GRIDSYNC, gridsync_steps, tahoe_steps
from tests.twins.ground import PLAN

SIGNUP = "su" + "a" * 20
FURL = "pb://" + "a2b3" * 8 + "@localhost:20001/" + "abcd" * 8
SENDER = Sender(
    "S4",
    parse_address("hello@s4.example"),
    parse_address("support@s4.example"),
    "bounces",
    "bounce.s4.example",
    "https://s4.example",
    "test",
)
ACTIVE = Active(SIGNUP, PLAN, "S4 gabcdef", Furl.parse(FURL), None)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def rendered(
    letter: Letter, kind: MailKind = "active", to: str = "o'neil+x&co@exämple.org"
):
    content = render(kind, letter, SENDER)
    envelope = build_message(content, SENDER, parse_address(to), "1", NOW)
    return envelope, email.message_from_bytes(envelope.message, policy=policy.SMTP)


def test_headers() -> None:
    """The address is byte-exact with an A-label domain, and the sender is VERP."""
    envelope, message = rendered(ACTIVE)
    assert envelope.recipient == "o'neil+x&co@xn--exmple-cua.org"
    assert message["To"] == "o'neil+x&co@xn--exmple-cua.org"
    assert envelope.sender == f"bounces+{SIGNUP}@bounce.s4.example"
    assert message["Message-ID"] == "<1@s4.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "en"
    assert message["Date"].datetime == NOW
    assert envelope.message.isascii()
    assert all(len(line) <= 998 for line in envelope.message.split(b"\r\n"))


def test_furl_on_one_line() -> None:
    """The furl stands alone on one line of the text, and each command on one, too."""
    _, message = rendered(ACTIVE)
    text = message.get_body(("plain",)).get_content()
    lines = text.splitlines()
    assert FURL in lines
    for step in tahoe_steps(FURL):
        assert step.command in lines
    assert PLAIN.match(FURL)
    assert FURL in message.get_body(("html",)).get_content()


def test_what_must_be_said() -> None:
    """Text and HTML both say what the furl is not, the price, and how to cancel."""
    _, message = rendered(ACTIVE)
    for kind in ("plain", "html"):
        text = message.get_body((kind,)).get_content()
        text = " ".join(re.sub(r"<[^>]+>", "", text).split())
        for said in (
            "The furl is not your files.",
            "Make a Recovery Key (with tahoe: keep your rootcap)",
            "Nobody, not even we, can recover your files without it.",
            "USD 9.00 a month",
            "To cancel,",
            "250 GB",
            "Gridsync",
        ):
            assert said in text, (kind, said)


def test_the_whole_recipe() -> None:
    """Text and HTML both have every sentence and command of joining, to the first file
    and its key.
    """
    _, message = rendered(ACTIVE)
    file = "the file that is attached to this mail, S4-gabcdef.json"
    steps = tahoe_steps(FURL)
    said = (*gridsync_steps(file), SECOND_GRIDSYNC, *(s.words for s in steps))
    for kind in ("plain", "html"):
        text = message.get_body((kind,)).get_content()
        text = html.unescape(re.sub(r"<[^>]+>", "", text))
        text = " ".join(text.split())
        for words in (*said, *(step.command for step in steps)):
            assert words in text, (kind, words)


def test_grid_file() -> None:
    """The attached JSON is what Gridsync restores from, with integer shares."""
    _, message = rendered(ACTIVE)
    (attached,) = message.iter_attachments()
    assert attached.get_filename() == "S4-gabcdef.json"
    grid = json.loads(attached.get_content())
    icon = base64.b64decode(grid.pop("icon_base64"), validate=True)
    assert icon.startswith(b"\x89PNG")
    assert grid == {
        "version": 1,
        "nickname": "S4 gabcdef",
        "introducer": FURL,
        "shares-needed": 1,
        "shares-happy": 1,
        "shares-total": 1,
    }


def test_other_letters() -> None:
    """A refund and an operator's alert name the signup and what happens next."""
    _, refund = rendered(PaidBack(SIGNUP, PLAN, as_asked=False), "refunded")
    assert "is\r\nbeing refunded" in refund.get_body(("plain",)).get_content()
    _, twice = rendered(Plain(SIGNUP, PLAN), "paid-twice")
    assert "is being refunded" in twice.get_body(("plain",)).get_content()
    _, alert = rendered(Troubled(SIGNUP, "paid", "no capacity"), "troubled")
    text = alert.get_body(("plain",)).get_content()
    assert f"lae subscriptions retry {SIGNUP}" in text
    assert alert["Subject"] == f"[test] {SIGNUP} needs you"


def test_html_is_escaped() -> None:
    """What comes from outside cannot bring markup into a mail."""
    _, alert = rendered(Troubled(SIGNUP, "paid", "<script>x</script>"), "troubled")
    assert "<script>" not in alert.get_body(("html",)).get_content()


def test_no_header_injection() -> None:
    """A line break in a nickname cannot make a header of its own."""
    letter = Active(SIGNUP, PLAN, "S4\r\nBcc: all@example.org", Furl.parse(FURL), None)
    with pytest.raises(ValueError, match=r"linefeed|newline"):
        rendered(letter)


def test_missing_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that asks for what it was not given fails loudly."""
    given = letters._given
    monkeypatch.setattr(
        letters,
        "_given",
        lambda *a: {k: v for k, v in given(*a).items() if k != "price"},
    )
    with pytest.raises(UndefinedError, match="price"):
        rendered(ACTIVE)
