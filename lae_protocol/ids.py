"""The names of things, never derived from each other, an address or a Stripe id.

``SignupId`` authorises nothing: logs, tags, URLs and Stripe's metadata carry it.
``OwnerSecret`` is the right to act for one customer; the journal keeps its hash.
``GridLabel`` is public: host name, bucket name, nickname.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import ClassVar, NewType

from lae_protocol.secret import Secret

SignupId = NewType("SignupId", str)
GridLabel = NewType("GridLabel", str)
RequestId = NewType("RequestId", str)
Generation = NewType("Generation", int)

SIGNUP_ID = re.compile(r"su[a-z2-7]{20}\Z")
GRID_LABEL = re.compile(r"g[a-z2-7]{15}\Z")


class MalformedId(ValueError):
    """A text that is no id of the kind asked for.  Do not try again."""


class OwnerSecret(Secret):
    """256 random bits, base32; the cookie of one signup's owner."""

    #: As many characters of base32 have 128 bits: with fewer it could be guessed.
    SHORTEST: ClassVar[int] = 26

    def is_long_enough(self) -> bool:
        """Whether nobody can guess it, if it is random."""
        return len(self.reveal()) >= self.SHORTEST

    def hashed(self) -> str:
        """What the journal keeps: SHA-256 in hex (the secret has full entropy)."""
        return hashlib.sha256(self.reveal().encode()).hexdigest()


def base32(data: bytes) -> str:
    """Foolscap's alphabet: lower case, no padding."""
    return base64.b32encode(data).decode("ascii").lower().rstrip("=")


def parse_signup_id(text: str) -> SignupId:
    """Check a text from outside; raises :class:`MalformedId`."""
    if not SIGNUP_ID.match(text):
        raise MalformedId("not a signup id")
    return SignupId(text)


def signup_id_of_form(nonce: bytes) -> SignupId:
    """The id of the signup that a form with this nonce makes, however often sent."""
    hashed = hashlib.sha256(b"s4 signup id of form nonce\0" + nonce).digest()
    return SignupId("su" + base32(hashed)[:20])


def new_grid_label() -> GridLabel:
    """A fresh label of 16 characters (75 random bits), so that every name with a
    deployment's prefix stays within 63.
    """
    return GridLabel("g" + base32(secrets.token_bytes(10))[:15])


def new_request_id() -> RequestId:
    """A fresh id for one call, to find it in the logs of both ends."""
    return RequestId("rq" + base32(secrets.token_bytes(10)))
