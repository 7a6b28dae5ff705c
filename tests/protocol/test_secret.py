"""A secret is told by ``reveal`` alone."""

from __future__ import annotations

import copy
import logging
import traceback
from io import StringIO

import attrs
import pytest
from twisted.logger import FileLogObserver, Logger, formatEvent
from twisted.python.failure import Failure

from lae_protocol import wire
from lae_protocol.furl import Furl
from lae_protocol.host_messages import Claimed, NodeIdentity, StoragePlace, TubIdentity
from lae_protocol.ids import OwnerSecret, SignupId
from lae_protocol.messages import LogInByLink, MailedLink, Owner, OwnerView
from lae_protocol.secret import Secret, digest

WORD = "xyzzyxyzzyxyzzy"
FURL = f"pb://{'a2' * 16}@h.example:1/{WORD}".replace("1", "2")


def tub() -> TubIdentity:
    return TubIdentity("t", Secret(WORD), Secret(WORD), "tcp:h:1", "tcp:1")


HOLDERS = [
    Secret(WORD),
    OwnerSecret(WORD),
    Furl.parse(FURL),
    Owner(SignupId("su"), OwnerSecret(WORD)),
    LogInByLink(MailedLink(SignupId("su"), Secret(WORD)), OwnerSecret(WORD)),
    OwnerView("a@b.example", "unconfirmed", FURL, "S4", f"https://pay/{WORD}", False),
    Claimed(
        NodeIdentity(
            1, "su", 1, "g", "S4", tub(), tub(), "p", Secret(WORD), 2**32, Secret(WORD)
        ),
        StoragePlace("b", "r", None, 1),
        Secret(WORD),
    ),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda h: type(h).__name__)
def test_never_printed(holder) -> None:
    """No way to print what holds a secret prints the secret."""
    printed = [
        repr(holder), str(holder), f"{holder}", f"{holder!r}", f"{holder} {holder!r}",
        f"{[holder]} { {'k': holder} }", repr(copy.copy(holder)), ascii(holder),
    ]  # fmt: skip
    assert all(WORD not in text for text in printed)


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda h: type(h).__name__)
def test_never_in_tracebacks(holder) -> None:
    """An exception that carries it, and the locals beside it, do not tell it."""

    def fails(local: object) -> None:
        raise ValueError("no", local)

    try:
        fails(holder)
    except ValueError as e:
        lines = traceback.TracebackException.from_exception(e, capture_locals=True)
        assert WORD not in "".join(lines.format())
        failure = Failure()
    assert WORD not in failure.getTraceback()
    assert WORD not in failure.getErrorMessage()


def test_never_logged() -> None:
    """A log field with a secret is its digest."""
    out = StringIO()
    observer = FileLogObserver(out, lambda event: formatEvent(event) + repr(event))
    Logger(observer=observer).info(
        "it is {secret} {other!r}", secret=Secret(WORD), other=OwnerSecret(WORD)
    )
    stream = StringIO()
    logger = logging.getLogger("tests of secrets")
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("it is %s", Secret(WORD))
    assert WORD not in out.getvalue() + stream.getvalue()
    assert digest(WORD) in out.getvalue()


def test_malformed_bytes_are_not_repeated() -> None:
    """The error of a message that cannot be read tells nothing of its content."""
    for data in (
        f'{{"signup_id": 3, "owner_secret": "{WORD}"}}',
        f'{{"signup_id": "su", "{WORD}": 1}}',
        f'{{"signup_id": "su", "owner_secret": "{WORD}"',
        f'"{WORD}"',
    ):
        with pytest.raises(wire.MalformedMessage) as e:
            wire.decode(Owner, data.encode())
        told = "".join(traceback.format_exception(e.value))
        assert WORD not in str(e.value) + repr(e.value)
        # Below "from None" the source line stands in the traceback, no value.
        assert e.value.__suppress_context__
        assert WORD not in told.replace(data, "")


def test_equality() -> None:
    """Secrets are equal by their text, to secrets alone."""
    assert Secret(WORD) == Secret(WORD) == OwnerSecret(WORD)
    assert hash(Secret(WORD)) == hash(OwnerSecret(WORD))
    assert Secret(WORD) != Secret("other")
    assert Secret(WORD) != WORD


def test_frozen() -> None:
    """A secret cannot be changed in place."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Secret(WORD)._text = "other"
