"""The signature of Stripe's webhooks, checked with the standard library alone.

The site has no Stripe library and no API key.  Stripe signs ``TIME.BODY`` with HMAC
SHA-256 and sends ``Stripe-Signature: t=TIME,v1=HEX[,v1=HEX…]``; each retry is signed
anew.  https://docs.stripe.com/webhooks#verify-manually
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence

from lae_protocol.secret import Secret

#: How old, or how far in the future, a signature may be.
TOLERANCE = 300  # s
_TIME = re.compile(r"^[0-9]{1,12}\Z")
_HEX = re.compile(r"^[0-9a-f]{64}\Z")
_LONGEST_HEADER = 4096


class SignatureRefused(Exception):
    """The request is not Stripe's, or too old: answer 400."""


def expected_signature(secret: Secret, time: str, body: bytes) -> str:
    """Compute what Stripe writes after ``v1=``."""
    signed = time.encode("ascii") + b"." + body
    return hmac.new(secret.reveal().encode(), signed, "sha256").hexdigest()


def check_signature(
    secrets: Sequence[Secret], header: str | None, body: bytes, now: float
) -> None:
    """Raise :class:`SignatureRefused` unless one of *secrets* signed *body* lately."""
    if header is None:
        raise SignatureRefused("no signature")
    if len(header) > _LONGEST_HEADER:
        raise SignatureRefused("malformed signature")
    fields = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in fields if name == "t"]
    given = [v for name, _, v in fields if name == "v1" and _HEX.match(v)]
    if len(times) != 1 or not _TIME.match(times[0]):
        raise SignatureRefused("malformed signature")
    expected = [expected_signature(s, times[0], body) for s in secrets]
    if not any(hmac.compare_digest(e, g) for e in expected for g in given):
        raise SignatureRefused("wrong signature")
    if abs(now - int(times[0])) > TOLERANCE:
        raise SignatureRefused("old signature")
