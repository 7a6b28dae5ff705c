"""ECR's authorization tokens: each is somebody's, and ends."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import define, field

from lae_localcloud.exchange import ApiError
from lae_localcloud.front.slowness import Slowness

#: As ECR's.
TWELVE_HOURS = 43_200  # s


@define
class TokenBook:
    """All that were given out, by their hash."""

    now: Callable[[], datetime]
    slowness: Slowness = field(factory=Slowness)
    _given: dict[str, tuple[str, datetime]] = field(factory=dict, repr=False)

    def give(self, access_key: str) -> tuple[str, datetime]:
        """A new token for the holder of this key, and when it ends."""
        password = secrets.token_urlsafe(48)
        ends = self.now() + timedelta(seconds=self.slowness.token or TWELVE_HOURS)
        self._given[_hash(password)] = (access_key, ends)
        return base64.b64encode(f"AWS:{password}".encode()).decode(), ends

    def holder(self, authorization: str | None) -> str:
        """Whose token it is; raises :class:`ApiError` in ECR's words."""
        found = self._given.get(_hash(_password(authorization)))
        if found is None:
            raise ApiError(401, "UNAUTHORIZED", "Not Authorized")
        access_key, ends = found
        if ends <= self.now():
            raise ApiError(
                403,
                "DENIED",
                "Your authorization token has expired. Reauthenticate and try again.",
            )
        return access_key


def _password(authorization: str | None) -> str:
    kind, _, token = (authorization or "").partition(" ")
    try:
        user, _, password = (
            base64.b64decode(token, validate=True).decode().partition(":")
        )
    except (binascii.Error, UnicodeDecodeError):
        user, password = "", ""
    if kind.lower() != "basic" or user != "AWS":
        raise ApiError(401, "UNAUTHORIZED", "no basic auth credentials")
    return password


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
