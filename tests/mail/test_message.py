"""Every mail keeps RFC 5322, whatever it says."""

from __future__ import annotations

import email
from datetime import UTC, datetime, timedelta
from email import policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_flapp.mail.message import LONGEST_LINE, Attachment, Content, build_message
from lae_flapp.mail.notice import Notice, render_notice
from lae_protocol.address import parse_address
from tests.mail.test_letters import NOW, SENDER

TO = parse_address("ops@s4.example")
#: Of every sort that a text may hold, long runs and strange ends of lines among them.
TEXTS = st.lists(
    st.sampled_from(["a" * 997, "b" * 998, "é", "\n", "\x0c", "\u2028", "x y", "."]),
    max_size=12,
).map(lambda parts: "".join(parts) + "\n")


def notice(what: str) -> Notice:
    begun = datetime(2026, 11, 23, 12, tzinfo=UTC)
    return Notice(
        kind="cloud-refuses",
        subject="eu-1",
        what=what,
        begun_at=begun,
        over_at=begun + timedelta(hours=2),
        first=False,
        page="docs/alerts.rst#s4cloudrefuses",
        commands=("lae health",),
        deployment="demo",
    )


def lines_of(message: bytes) -> list[bytes]:
    return message.split(b"\r\n")


@pytest.mark.parametrize("what", ["x" * 2040, "ü" * 2040, "one\ntwo", "x" * 998])
def test_notice_of_a_long_line(what: str) -> None:
    """A cause's text of any length and script arrives whole, on lines that may be sent."""
    envelope = render_notice(notice(what), SENDER, TO, "1", NOW)
    assert max(map(len, lines_of(envelope.message))) <= LONGEST_LINE
    assert envelope.message.isascii()
    read = email.message_from_bytes(envelope.message, policy=policy.SMTP)
    # Each of its lines is indented.
    said = "\n".join(line.strip() for line in read.get_content().splitlines())
    assert what in said
    assert envelope.sender == "bounces+notice@bounce.s4.example"


@given(TEXTS, st.none() | TEXTS)
def test_any_text(text: str, html: str | None) -> None:
    """No line is longer than 998 bytes, no byte above 127, and all of it arrives."""
    content = Content(subject="About it", text=text, html=html, about="su1")
    envelope = build_message(content, SENDER, TO, "1", NOW)
    assert max(map(len, lines_of(envelope.message))) <= LONGEST_LINE
    assert envelope.message.isascii()
    read = email.message_from_bytes(envelope.message, policy=policy.SMTP)
    plain = read.get_body(("plain",)).get_content()
    assert plain.replace("\r\n", "\n").rstrip("\n") == text.rstrip("\n")


def test_a_furl_stays_on_its_line() -> None:
    """ASCII with no line of more than 998 bytes is sent as it is; 999 are encoded."""
    for length, encoding in ((998, "7bit"), (999, "quoted-printable")):
        content = Content(subject="About it", text="f" * length + "\n", about="su1")
        envelope = build_message(content, SENDER, TO, "1", NOW)
        read = email.message_from_bytes(envelope.message, policy=policy.SMTP)
        assert read["Content-Transfer-Encoding"] == encoding


def test_an_attachment_comes_back() -> None:
    """What is attached has its name, and its content byte by byte."""
    content = Content(
        subject="About it",
        text="See the file.\n",
        html="<p>See the file.</p>\n",
        about="su1",
        attachment=Attachment("S4-g1.json", '{"a": 1}\n'),
    )
    envelope = build_message(content, SENDER, TO, "1", NOW)
    read = email.message_from_bytes(envelope.message, policy=policy.SMTP)
    (attached,) = read.iter_attachments()
    assert attached.get_filename() == "S4-g1.json"
    assert attached.get_content() == b'{"a": 1}\n'
    assert attached.get_content_type() == "application/json"
