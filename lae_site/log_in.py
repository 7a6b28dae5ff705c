"""Another browser becomes the owner's, by a link that is mailed to the owner.

The owner's secret of the new browser is made of its form cookie and of the link, so
that no page has it, and a form that is sent twice is one log-in.
"""

from __future__ import annotations

from typing import Any

from attrs import define

from lae_protocol.messages import Done, LogInByLink, MailLogIn
from lae_site.form_token import owner_secret_by_link
from lae_site.parts import Parts
from lae_site.status import StatusPages, is_unknown, parse_id_in_url


@define(frozen=True)
class LogInPages:
    """Two pages below ``/signup/ID``, beside those of :class:`StatusPages`."""

    parts: Parts
    status: StatusPages

    async def show(self, request: Any, signup_id: str) -> bytes:
        """GET: say what another browser means, and offer to mail the link."""
        return await self.status.show_question(request, signup_id, "browser.html")

    async def mail_link(self, request: Any, signup_id: str) -> bytes:
        """POST: mail it to the signup's email address, whoever asks."""
        known = parse_id_in_url(signup_id)
        done = await self.parts.desk.ask(MailLogIn(known))
        return self.status.redirect_after(request, known, done, "log-in-mailed")

    async def log_in_form(self, request: Any, signup_id: str) -> bytes:
        """GET: ask whoever got the link whether this browser is to be the owner's."""
        self.parts.cookies.keep_form(request, self.parts.randomness)
        return await self.status.show_question(request, signup_id, "log_in.html")

    async def log_in(self, request: Any, signup_id: str) -> bytes:
        """POST: make this browser the owner's, by the mailed link alone."""
        link, _ = self.status.read_link(request, signup_id)
        # Another site's form is sent without it.
        cookie = self.parts.cookies.form(request)
        if link is not None and cookie:
            secret = owner_secret_by_link(self.parts.cookie_keys[0], cookie, link.token)
            done = await self.parts.desk.ask(LogInByLink(link, secret))
            if isinstance(done, Done):
                self.parts.cookies.set_owner(request, link.signup_id, secret)
            if not is_unknown(done):
                return self.status.redirect_after(
                    request, link.signup_id, done, "logged-in"
                )
        self.parts.cookies.keep_form(request, self.parts.randomness)
        return await self.status.show_question(
            request, signup_id, "log_in.html", bad_link=True
        )
