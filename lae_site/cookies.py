"""The two cookies: a browser's random one for forms, and one for each signup it owns.

``__Host-`` keeps other hosts of the domain from planting one.  SameSite is Lax: with
Strict a browser would come back from Stripe without it.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import define

from lae_protocol.ids import OwnerSecret, SignupId
from lae_protocol.secret import Secret
from lae_site.form_token import is_form_cookie

#: Seconds that a browser stays an owner; the mail holds all that matters for longer.
OWNED_FOR = 90 * 24 * 3600
_OWNER = re.compile(r"^[a-z2-7]{52}\Z")


@define(frozen=True)
class Cookies:
    """Sets and reads them.  *over_http* drops the prefix and ``Secure``, since over
    http no browser keeps such a cookie; the settings allow it on this machine alone.
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
        """The form cookie that came, or nothing."""
        value = self._get(request, "form")
        return value if is_form_cookie(value) else ""

    def set_form(self, request: Any, value: Secret) -> None:
        """Until the browser is closed."""
        self._set(request, "form", value, None)

    def owner(self, request: Any, signup_id: SignupId) -> OwnerSecret | None:
        """The owner's secret that came for this signup, if any; not yet believed."""
        value = self._get(request, signup_id)
        return OwnerSecret(value) if _OWNER.match(value) else None

    def set_owner(self, request: Any, signup_id: SignupId, owner: OwnerSecret) -> None:
        """Make this browser the owner's."""
        self._set(request, signup_id, owner, OWNED_FOR)
