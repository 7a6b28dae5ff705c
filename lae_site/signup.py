"""The signup form: a visitor registers and is sent to the payment page."""

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
from lae_site import answer
from lae_site.asking import Question, ask_about_another, ask_about_domain
from lae_site.form_token import (
    FormRefused,
    OpenedForm,
    make_token,
    open_token,
)
from lae_site.front_desk import DeskAway
from lae_site.parts import Parts

#: Those that may have a problem, in their order.
_FIELDS = ("plan", "email", "terms")
_STALE = (
    "This form was open for more than two hours, or your browser did not keep our"
    " cookie. You have not been charged. Please send the form again."
)
_AWAY = (
    "Our signup service does not answer at the moment. You have not been charged."
    " Please send the form again in a minute."
)
_OTHER_PLAN = (
    "You already ordered another plan with this form. Send the form again to order"
    " this one as well; the first order expires by itself unless you pay for it."
)


_TOO_MANY = (
    "Too many signups have come from your network. Please wait a few minutes, then"
    " send the form again."
)


@define(frozen=True)
class FilledForm:
    """A form as it is shown: what was typed, the problem of each field, and what is to
    be answered before it goes on.
    """

    email: str = ""
    plan_id: str = ""
    agreed: bool = False
    problems: tuple[tuple[str, str], ...] = ()
    questions: tuple[Question, ...] = ()
    notice: str | None = None

    @property
    def focus(self) -> str | None:
        """The first field with a problem, or the first question: the visitor's focus
        goes there.
        """
        wrong = [f for f in _FIELDS if self.problem(f)]
        return next(iter([*wrong, *(q.name for q in self.questions)]), None)

    def problem(self, field: str) -> str | None:
        """Find what is wrong with *field*."""
        return dict(self.problems).get(field)

    def with_problem(self, field: str | None, sentence: str) -> FilledForm:
        """Add a problem beside *field*, or above the form where *field* is not one."""
        if field not in _FIELDS:
            return evolve(self, notice=sentence)
        return evolve(self, problems=(*self.problems, (field, sentence)))


@define(frozen=True)
class SignupForm:
    """GET shows the form, POST takes it."""

    parts: Parts

    async def show(self, request: Any) -> bytes:
        """An empty form, with the plan that was chosen on the landing page."""
        plan = self.parts.plan(answer.query(request, "plan")) or self.parts.plans[0]
        return await self._show_form(request, FilledForm(plan_id=plan.plan_id), 200)

    async def take(self, request: Any) -> bytes:
        """Register and send the visitor to the payment page.

        1. Check the form's token, which says whose signup it makes.  2. Check the
        fields, and ask about what is probably a slip.  3. Check the rate limit.  4. Ask
        about an order that this browser has already.  5. Have the daemon journal the
        signup and open the Checkout session.  6. Set the owner's cookie and redirect to
        pay.
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
            opened = self._open_token(request, token)
        except FormRefused:
            return await self._show_form(request, evolve(form, notice=_STALE), 403)
        form, plan = self._check_fields(form, fields), self.parts.plan(form.plan_id)
        if form.problems or form.questions or plan is None:
            return await self._show_form(request, form, 400, token)
        wait = self.parts.take_payment_page(request)
        if wait:
            request.setHeader(b"retry-after", str(wait).encode())
            form = form.with_problem(None, _TOO_MANY)
            return await self._show_form(request, form, 429, token)
        another = await ask_about_another(
            self.parts, request, parse_address(form.email), fields, opened.signup_id
        )
        if another is not None:
            form = evolve(form, questions=(another,))
            return await self._show_form(request, form, 409, token)
        return await self._register(request, form, plan, opened, token)

    def _open_token(self, request: Any, token: str) -> OpenedForm:
        return open_token(
            self.parts.cookie_keys,
            self.parts.cookies.form(request),
            token,
            int(self.parts.wall()),
        )

    def _check_fields(self, form: FilledForm, fields: dict[str, str]) -> FilledForm:
        try:
            slip = ask_about_domain(parse_address(form.email), fields)
        except AddressRefused as e:
            form = form.with_problem("email", str(e))
        else:
            form = evolve(form, questions=() if slip is None else (slip,))
        if self.parts.plan(form.plan_id) is None:
            form = form.with_problem("plan", "Please choose a plan.")
        if not form.agreed:
            form = form.with_problem("terms", "Please agree to the terms to go on.")
        return form

    async def _register(
        self, request: Any, form: FilledForm, plan: Plan, opened: OpenedForm, token: str
    ) -> bytes:
        if await self.parts.daemon.doors() is None:
            # It would answer no registration either, after a much longer wait.
            return await self._show_away(request, form, token)
        email = parse_address(form.email).as_typed
        asked = Register(opened.signup_id, opened.owner_secret, email, plan, "en")
        try:
            registered = await self.parts.desk.ask(asked)
            if isinstance(registered, Registered):
                registered = await self._correct_address(registered, asked)
        except DeskAway:
            return await self._show_away(request, form, token)
        if isinstance(registered, Refused):
            return await self._show_refusal(request, form, registered, opened, token)
        if registered.view.plan.plan_id != plan.plan_id:
            return await self._show_form(
                request, form.with_problem("plan", _OTHER_PLAN), 409
            )
        self.parts.cookies.set_owner(request, opened.signup_id, opened.owner_secret)
        if not self.parts.may_pay_at(registered.checkout_url):
            # No payment page of ours; the status page says how to go on.
            return answer.see_other(request, f"/signup/{opened.signup_id}")
        return answer.see_other(request, registered.checkout_url)

    async def _show_away(self, request: Any, form: FilledForm, token: str) -> bytes:
        # Keep the token: if the daemon did register the signup, it is the same one.
        request.setHeader(b"retry-after", b"30")
        return await self._show_form(
            request, form.with_problem(None, _AWAY), 503, token
        )

    async def _correct_address(
        self, registered: Registered, asked: Register
    ) -> Registered | Refused:
        """Correct the address of a form that was sent again with another one."""
        owner = registered.view.owner
        if owner is None or owner.email == asked.email:
            return registered
        correct = CorrectAddress(
            Owner(asked.signup_id, asked.owner_secret), asked.email
        )
        done = await self.parts.desk.ask(correct)
        return done if isinstance(done, Refused) else registered

    async def _show_refusal(
        self,
        request: Any,
        form: FilledForm,
        refused: Refused,
        opened: OpenedForm,
        token: str,
    ) -> bytes:
        match refused.code:
            case "not-now":
                # Sent before, and paid since: this is the owner's browser.
                self.parts.cookies.set_owner(
                    request, opened.signup_id, opened.owner_secret
                )
                return answer.see_other(request, f"/signup/{opened.signup_id}")
            case "bad-address" | "confirmed":
                form, status = form.with_problem("email", refused.message), 400
            case "unknown-plan" | "plan-changed":
                form, status = form.with_problem("plan", refused.message), 409
            case "unknown-signup":
                # The signup is another browser's, so only a fresh form can help.
                return await self._show_form(request, evolve(form, notice=_STALE), 403)
            case "paused" | "full" | "no-answer":
                form, status = form.with_problem(None, refused.message), 503
            case _:
                form, status = form.with_problem(None, _AWAY), 503
        if status == 503:  # noqa: PLR2004
            request.setHeader(b"retry-after", b"60")
        return await self._show_form(request, form, status, token)

    async def _show_form(
        self, request: Any, form: FilledForm, status: int, token: str | None = None
    ) -> bytes:
        """Show the form, with a fresh token unless *token* can be used again."""
        html = self.parts.pages.render(
            "signup.html",
            form=form,
            plans=self.parts.plans,
            token=token or self._fresh_token(request),
            doors=await self.parts.daemon.doors(),
        )
        return answer.page(request, html, status)

    def _fresh_token(self, request: Any) -> str:
        return make_token(
            self.parts.cookie_keys,
            self.parts.cookies.keep_form(request, self.parts.randomness),
            int(self.parts.wall()),
            self.parts.randomness,
        )
