"""Nothing that looks like a secret passes the logger."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger

from lae_protocol.process.log import observer
from lae_protocol.process.redaction import redact

SECRETS = [
    "pb://" + "a2b3" * 8 + "@localhost:1234/abcdefgh234567",
    "pb://" + "a2b3" * 8 + "@tcp:10.0.0.1:1,tcp:b.example:2/swissnum",
    "sk_live_51HqLyjWDarjtT1zdp7dc",
    "rk_test_51HqLyjWDarjtT1zdp7dc",
    "whsec_51HqLyjWDarjtT1zdp7dc",
    "AKIAIOSFODNN7EXAMPLE",
    "4242 4242 4242 4242",
    "4000002500003155",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----",
    "priv-v0-abcdefghijklmnop",
    "URI:DIR2:abcdefghijklmnopqrstuvwxyz:abcdefghijklmnopqrstuvwxyz",
    "Signature=0123456789abcdef0123456789abcdef",
    "AGE-SECRET-KEY-1QQQQQQQQ",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets(secret: str) -> None:
    """A secret in the middle of a text is replaced, the text around it stays."""
    text = redact(f"before {secret} after")
    assert secret not in text
    assert text.startswith("before ")
    assert text.endswith(" after")


@given(st.text(alphabet="abcdefgh -_:/.0123", max_size=40))
def test_ordinary_text(text: str) -> None:
    """Redaction is idempotent, and numbers that are no card stay."""
    once = redact(text)
    assert redact(once) == once
    assert (
        redact("su2345, 1234567890123, 2026-11-23")
        == "su2345, 1234567890123, 2026-11-23"
    )


def test_json_lines() -> None:
    """Each event is one JSON object with its own fields, and no secret in it."""
    out = io.StringIO()
    log = Logger(namespace="here", observer=observer(out, "json"))
    log.info("paid {signup_id} with {key}", signup_id="su1", key=SECRETS[2])
    (line,) = out.getvalue().splitlines()
    read = json.loads(line)
    assert read["message"] == "paid su1 with sk_[redacted]"
    assert (read["signup_id"], read["from"], read["level"]) == ("su1", "here", "info")


def test_failures() -> None:
    """A failure's traceback is logged, redacted, as one line of JSON or as text."""
    for form in ("json", "text"):
        out = io.StringIO()
        log = Logger(namespace="here", observer=observer(out, form))
        try:
            raise ValueError(SECRETS[0])
        except ValueError:
            log.failure("it failed")
        assert "test_redaction" in out.getvalue()
        assert "ValueError" in out.getvalue()
        assert "a2b3" not in out.getvalue()
