"""The form: a visitor becomes a registered customer and is sent to pay."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve

from lae_protocol.address import AddressRefused, parse_address
from lae_protocol.messages import (
    CorrectAddress,
    Owner,
    Plan,
    Refused,
    Register,
    Registered,
)
from lae_protocol.secret import Secret
from lae_site import answer
from lae_site.form_token import (
    FormRefused,
    OpenedForm,
    make_token,
    new_form_cookie,
    open_token,
)
from lae_site.front_desk import DeskAway
from lae_site.parts import Parts
from lae_site.rate import client_of

_STALE = (
    "This form was open for too long, or your browser did not keep our cookie."
    " Nothing was lost or charged: please send it again."
)
_AWAY = (
    "Our signup service does not answer at the moment. You have not been charged."
    " Please send the form again in a minute."
)
_OTHER_PLAN = (
    "You ordered another plan with this form before. Send it again to order this one;"
    " the other order lapses by itself unless you pay for it."
)


@define(frozen=True)
class FilledForm:
    """A form as it is shown: what was typed, and what is wrong, field by field."""

    email: str = ""
    plan_id: str = ""
    agreed: bool = False
    problems: tuple[tuple[str, str], ...] = ()
    notice: str | None = None

    def problem(self, field: str) -> str | None:
        """What is wrong with *field*."""
        return dict(self.problems).get(field)

    def wrong(self, field: str | None, sentence: str) -> FilledForm:
        """The same, with a complaint beside *field*, or above all for None."""
        if field not in ("email", "plan", "terms"):
            return evolve(self, notice=sentence)
        return evolve(self, problems=(*self.problems, (field, sentence)))


@define(frozen=True)
class SignupForm:
    """GET shows it, POST takes it."""

    parts: Parts

    async def show(self, request: Any) -> bytes:
        """An empty form, with the plan that was chosen on the landing page."""
        plan = self.parts.plan(answer.query(request, "plan")) or self.parts.plans[0]
        return await self._page(request, FilledForm(plan_id=plan.plan_id), 200)

    async def take(self, request: Any) -> bytes:
        """Register and send the visitor to the payment page.

        1. The form's token: which signup it makes, and whose.  2. The fields.
        3. Not too many from one place.  4. The daemon journals it and opens the
        Checkout session.  5. The browser gets the owner's cookie and goes to pay.
        """
        try:
            fields = answer.form_fields(request)
        except answer.FormMalformed:
            html = self.parts.pages.render("400.html")
            return answer.page(request, html, 400)
        form = FilledForm(
            email=fields.get("email", ""),
            plan_id=fields.get("plan", ""),
            agreed=fields.get("terms") == "agreed",
        )
        token = fields.get("token", "")
        try:
            opened = self._open(request, token)
        except FormRefused:
            return await self._page(request, evolve(form, notice=_STALE), 403)
        form, plan = self._checked(form), self.parts.plan(form.plan_id)
        if form.problems or plan is None:
            return await self._page(request, form, 400, token)
        wait = self.parts.registrations.take(self._client(request))
        if wait:
            request.setHeader(b"retry-after", str(wait).encode())
            form = form.wrong(None, "Too many signups from your network. Wait a while.")
            return await self._page(request, form, 429, token)
        return await self._register(request, form, plan, opened, token)

    def _open(self, request: Any, token: str) -> OpenedForm:
        return open_token(
            self.parts.cookie_keys,
            self.parts.cookies.form(request),
            token,
            int(self.parts.wall()),
        )

    def _client(self, request: Any) -> str:
        peer = getattr(request.getClientAddress(), "host", "local")
        forwarded = request.getHeader("x-forwarded-for")
        return client_of(str(peer), forwarded, self.parts.settings.proxies)

    def _checked(self, form: FilledForm) -> FilledForm:
        try:
            parse_address(form.email)
        except AddressRefused as e:
            form = form.wrong("email", str(e))
        if self.parts.plan(form.plan_id) is None:
            form = form.wrong("plan", "Please choose a plan.")
        if not form.agreed:
            form = form.wrong("terms", "Please agree to the terms to go on.")
        return form

    async def _register(
        self, request: Any, form: FilledForm, plan: Plan, opened: OpenedForm, token: str
    ) -> bytes:
        email = parse_address(form.email).as_typed
        asked = Register(opened.signup_id, opened.owner_secret, email, plan, "en")
        try:
            registered = await self.parts.desk.ask(asked)
            if isinstance(registered, Registered):
                registered = await self._corrected(registered, asked)
        except DeskAway:
            # The same token again: if the daemon did take it, it is the same signup.
            request.setHeader(b"retry-after", b"30")
            return await self._page(request, form.wrong(None, _AWAY), 503, token)
        if isinstance(registered, Refused):
            return await self._refused(request, form, registered, opened, token)
        if registered.view.plan.plan_id != plan.plan_id:
            return await self._page(request, form.wrong("plan", _OTHER_PLAN), 409)
        self.parts.cookies.set_owner(request, opened.signup_id, opened.owner_secret)
        if not self.parts.may_pay_at(registered.checkout_url):
            # Not where our customers pay; the status page says how it goes on.
            return answer.see_other(request, f"/signup/{opened.signup_id}")
        return answer.see_other(request, registered.checkout_url)

    async def _corrected(
        self, registered: Registered, asked: Register
    ) -> Registered | Refused:
        """Who went back and sent the form with another address means that one."""
        owner = registered.view.owner
        if owner is None or owner.email == asked.email:
            return registered
        correct = CorrectAddress(
            Owner(asked.signup_id, asked.owner_secret), asked.email
        )
        done = await self.parts.desk.ask(correct)
        return done if isinstance(done, Refused) else registered

    async def _refused(
        self,
        request: Any,
        form: FilledForm,
        refused: Refused,
        opened: OpenedForm,
        token: str,
    ) -> bytes:
        match refused.code:
            case "not-now":
                # Sent before, and paid since: this browser is the owner's.
                self.parts.cookies.set_owner(
                    request, opened.signup_id, opened.owner_secret
                )
                return answer.see_other(request, f"/signup/{opened.signup_id}")
            case "bad-address" | "confirmed":
                form, status = form.wrong("email", refused.message), 400
            case "unknown-plan" | "plan-changed":
                form, status = form.wrong("plan", refused.message), 409
            case "unknown-signup":
                # Another browser's: only a fresh form can help.
                return await self._page(request, evolve(form, notice=_STALE), 403)
            case "paused" | "full":
                form, status = form.wrong(None, refused.message), 503
            case _:
                form, status = form.wrong(None, _AWAY), 503
        if status == 503:  # noqa: PLR2004
            request.setHeader(b"retry-after", b"60")
        return await self._page(request, form, status, token)

    async def _page(
        self, request: Any, form: FilledForm, status: int, token: str | None = None
    ) -> bytes:
        """The form; with a fresh token unless the one that came is still good."""
        html = self.parts.pages.render(
            "signup.html",
            form=form,
            plans=self.parts.plans,
            token=token or self._fresh_token(request),
            doors=await self.parts.opening.now(),
        )
        return answer.page(request, html, status)

    def _fresh_token(self, request: Any) -> str:
        known = self.parts.cookies.form(request)
        cookie = Secret(known) if known else new_form_cookie(self.parts.randomness)
        if not known:
            self.parts.cookies.set_form(request, cookie)
        return make_token(
            self.parts.cookie_keys,
            cookie,
            int(self.parts.wall()),
            self.parts.randomness,
        )
