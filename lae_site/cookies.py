"""Two kinds of cookie: a random one for forms, and one for each signup a browser owns.

The prefix ``__Host-`` keeps other hosts of the domain from setting our cookies.
SameSite is Lax: with Strict, a browser coming back from Stripe would not send them.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import define

from lae_protocol.ids import (
    MalformedId,
    OwnerSecret,
    SignupId,
    parse_signup_id,
)
from lae_protocol.secret import Secret
from lae_site.form_token import Randomness, is_form_cookie, new_form_cookie

#: How long a browser stays the owner's; after that the mail has all that is needed.
OWNER_COOKIE_AGE = 90 * 24 * 3600  # s
_OWNER = re.compile(r"^[a-z2-7]{52}\Z")


@define(frozen=True)
class Cookies:
    """Sets and reads the cookies.  *over_http* drops the prefix and ``Secure``, since
    browsers keep no such cookie over http; the settings allow that on localhost alone.
    """

    over_http: bool

    def _name(self, rest: str) -> str:
        return f"s4-{rest}" if self.over_http else f"__Host-s4-{rest}"

    def _set(self, request: Any, rest: str, value: Secret, age: int | None) -> None:
        request.addCookie(
            self._name(rest),
            value.reveal(),
            path="/",
            secure=not self.over_http,
            httpOnly=True,
            sameSite="lax",
            max_age=None if age is None else str(age),
        )

    def _get(self, request: Any, rest: str) -> str:
        value = request.getCookie(self._name(rest).encode("ascii"))
        return "" if value is None else str(value.decode("ascii", "replace"))

    def form(self, request: Any) -> str:
        """Read the form cookie; empty where there is none that we could have set."""
        value = self._get(request, "form")
        return value if is_form_cookie(value) else ""

    def set_form(self, request: Any, value: Secret) -> None:
        """Set the form cookie, which lasts until the browser is closed."""
        self._set(request, "form", value, None)

    def keep_form(self, request: Any, randomness: Randomness) -> Secret:
        """Read the form cookie, or set a new one where there is none."""
        known = self.form(request)
        if known:
            return Secret(known)
        cookie = new_form_cookie(randomness)
        self.set_form(request, cookie)
        return cookie

    def owner(self, request: Any, signup_id: SignupId) -> OwnerSecret | None:
        """Read the owner's secret for this signup, if any; the daemon checks it."""
        value = self._get(request, signup_id)
        return OwnerSecret(value) if _OWNER.match(value) else None

    def owned(self, request: Any) -> list[tuple[SignupId, OwnerSecret]]:
        """Read every signup that this browser owns, in the order of its cookies: the
        browser sends the oldest first.
        """
        prefix = self._name("").encode("ascii")
        found = []
        for name in request.received_cookies:
            try:
                signup_id = parse_signup_id(
                    name.removeprefix(prefix).decode("ascii", "replace")
                )
            except MalformedId:
                continue
            secret = self.owner(request, signup_id)
            if secret is not None:
                found.append((signup_id, secret))
        return found

    def set_owner(self, request: Any, signup_id: SignupId, owner: OwnerSecret) -> None:
        """Set the cookie by which this browser is the owner's."""
        self._set(request, signup_id, owner, OWNER_COOKIE_AGE)
