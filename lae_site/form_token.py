"""Anti-forgery tokens without a session store, and the secret that makes an owner.

A form's page sets a random cookie and carries a token: time, nonce, and a MAC over both
and the cookie.  The nonce decides the signup's id, so however often the form is sent it
is one signup; nonce and cookie together decide the owner's secret, which
no page therefore contains.  Any copy of the site that has the keys can check a token.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Sequence

from attrs import define

from lae_protocol.ids import OwnerSecret, SignupId, base32, signup_id_of_form
from lae_protocol.secret import Secret

#: How long a form may stay open before it is sent.
LIFETIME = 2 * 3600  # s
#: How far the clocks of two copies of the site may differ.
SKEW = 60  # s
_NONCE_BYTES = 20
_COOKIE = re.compile(r"^[a-z2-7]{32}\Z")
_TOKEN = re.compile(
    r"^(?P<time>[0-9]{1,12})\.(?P<nonce>[A-Za-z0-9_\-]{27})"
    r"\.(?P<mac>[A-Za-z0-9_\-]{43})\Z"
)

Keys = Sequence[Secret]
Randomness = Callable[[int], bytes]


class FormRefused(Exception):
    """The token is stale, forged or of another browser: show a fresh form."""


@define(frozen=True)
class OpenedForm:
    """What a valid token says: which signup the form makes, and its owner's secret."""

    signup_id: SignupId
    owner_secret: OwnerSecret


def new_form_cookie(randomness: Randomness) -> Secret:
    """Make the cookie of a browser that has none yet: 160 random bits."""
    return Secret(base32(randomness(_NONCE_BYTES)))


def is_form_cookie(text: str) -> bool:
    """Whether *text* has the form of a cookie that we set."""
    return _COOKIE.match(text) is not None


def _sign(key: Secret, purpose: bytes, *parts: bytes) -> bytes:
    """Sign each part with its length, so that no two lists of parts sign alike."""
    message = b"".join(len(p).to_bytes(4, "big") + p for p in (purpose, *parts))
    return hmac.digest(key.reveal().encode(), message, "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _decode(text: str) -> bytes:
    """Decode a nonce or MAC; to whole groups, each lacks one character."""
    return base64.urlsafe_b64decode(text + "=")


def make_token(keys: Keys, cookie: Secret, now: int, randomness: Randomness) -> str:
    """Make a token for a form shown *now* (seconds) to the browser with *cookie*."""
    nonce = randomness(_NONCE_BYTES)
    mac = _sign(keys[0], b"s4 form", str(now).encode(), nonce, cookie.reveal().encode())
    return f"{now}.{_encode(nonce)}.{_encode(mac)}"


def open_token(keys: Keys, cookie: str, token: str, now: int) -> OpenedForm:
    """Check the token of a form that was sent; raises :class:`FormRefused`."""
    match = _TOKEN.match(token)
    if match is None or not is_form_cookie(cookie):
        raise FormRefused
    nonce, mac = _decode(match["nonce"]), _decode(match["mac"])
    parts = (match["time"].encode(), nonce, cookie.encode())
    signed = [k for k in keys if hmac.compare_digest(_sign(k, b"s4 form", *parts), mac)]
    age = now - int(match["time"])
    if not signed or not -SKEW <= age <= LIFETIME:
        raise FormRefused
    # With the key that signed the token: a form sent twice while keys change must
    # yield the same owner.
    secret = _sign(signed[0], b"s4 owner", cookie.encode(), nonce)
    return OpenedForm(signup_id_of_form(nonce), OwnerSecret(base32(secret)))


def owner_secret_by_link(key: Secret, cookie: str, token: Secret) -> OwnerSecret:
    """Make the owner's secret of a browser with this form cookie, which uses a mailed
    link: the same for a form that is sent twice, and no other browser's.
    """
    secret = _sign(key, b"s4 log in", cookie.encode(), token.reveal().encode())
    return OwnerSecret(base32(secret))


def make_action_token(key: Secret, signup_id: SignupId, owner: OwnerSecret) -> str:
    """Make a token for the forms of a status page; valid as long as the cookie."""
    return _encode(
        _sign(key, b"s4 action", signup_id.encode(), owner.reveal().encode())
    )


def is_action_token(
    keys: Keys, signup_id: SignupId, owner: OwnerSecret, token: str
) -> bool:
    """Check a status page's token, in constant time."""
    good = [make_action_token(k, signup_id, owner).encode() for k in keys]
    return any(hmac.compare_digest(g, token.encode()) for g in good)
