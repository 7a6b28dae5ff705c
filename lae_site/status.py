"""The status page of a signup, and what its owner can do there."""

from __future__ import annotations

from typing import Any

from attrs import define

from lae_protocol.address import AddressRefused, parse_address
from lae_protocol.furl import Furl
from lae_protocol.grid_file import grid_json
from lae_protocol.ids import MalformedId, OwnerSecret, SignupId, parse_signup_id
from lae_protocol.messages import (
    ConfirmByLink,
    CorrectAddress,
    Done,
    Leave,
    LeaveByLink,
    MailedLink,
    Owner,
    OwnerView,
    PayAgain,
    Refused,
    Registered,
    ResendMail,
    ReturnByLink,
    ReturnedFromCheckout,
    SignupView,
    Stay,
)
from lae_protocol.secret import Secret
from lae_site import answer
from lae_site.asking import Question, ask_about_domain
from lae_site.description import describe_return
from lae_site.form_token import is_action_token, make_action_token
from lae_site.front_desk import DeskAway
from lae_site.parts import Parts
from lae_site.watched_signup import WatchedSignup, fetch_view, read_owner

#: What the page says after an action; the redirect's URL names one of these.
NOTICES = {
    "resent": "We are sending the mail again.",
    "corrected": "Your email address is corrected. Links in earlier mails no longer"
    " work.",
    "confirmed": "Thank you. Your email address is confirmed, and we mail you what was"
    " waiting for it.",
    "log-in-mailed": "We mailed a link to the email address of this subscription. Open"
    " it in the browser that you want to use.",
    "logged-in": "This browser now shows your subscription, and every other one is"
    " logged out.",
    "stopped": "You left the payment page. Nothing was charged.",
    "ending": "Your subscription is cancelled. We mailed you what happens when.",
    "staying": "Your subscription continues.",
}
#: The browser came back from the payment page, having paid.
RETURNED = "returned"
#: The form field for the token of a link in a mail.
LINK = "link"


class NotTheOwner(Exception):
    """The browser sent no owner's cookie, or the form was not sent from our page."""


class NoSuchSignup(Exception):
    """There is no such signup, or this visitor may not know of it."""


class TooMany(Exception):
    """This network asked for too many payment pages: again after *wait* seconds."""

    def __init__(self, wait: int) -> None:
        super().__init__(wait)
        self.wait = wait


class Declined(Exception):
    """The daemon refused; the text tells the customer why."""


@define(frozen=True)
class StatusPages:
    """The routes below ``/signup/ID``.  They raise errors, for each of which
    :mod:`lae_site.routes` has a page.
    """

    parts: Parts

    async def show(self, request: Any, signup_id: str) -> bytes:
        """GET: the signup's progress, and the grid's address once there is one."""
        owner = self._owner(request, signup_id)
        if answer.query(request, "returned"):
            seen = await self._report_return(owner)
            notice = "" if seen else f"?notice={RETURNED}"
            return answer.see_other(request, f"/signup/{signup_id}{notice}")
        notice = answer.query(request, "notice") or (
            "stopped" if answer.query(request, "stopped") else ""
        )
        watched = await self._fetch(owner)
        doors = await self.parts.daemon.doors()
        values = watched.values(self.parts, self._action_token(owner))
        if notice == RETURNED and watched.view.awaits_payment:
            values["description"] = describe_return(values["description"])
        html = self.parts.pages.render(
            "status.html",
            **values,
            notice=NOTICES.get(notice),
            slower=doors.reason if doors is not None and doors.signups_open else None,
        )
        return answer.page(request, html)

    async def grid_file(self, request: Any, signup_id: str) -> bytes:
        """GET: the grid as a file for Gridsync."""
        watched = await self._fetch(self._owner(request, signup_id))
        owner, furl = watched.view.owner, watched.furl()
        if owner is None or furl is None:
            raise NotTheOwner
        request.setHeader(
            b"content-disposition", b'attachment; filename="s4-grid.json"'
        )
        file = grid_json(owner.nickname, Furl.parse(furl))
        return answer.body(request, file.encode(), b"application/json")

    async def pay(self, request: Any, signup_id: str) -> bytes:
        """POST: redirect to a new payment page; the daemon expires the old one."""
        owner = self._require_owner(request, signup_id, self._read_fields(request))
        paying = await self._ask_for_payment_page(request, PayAgain(owner))
        return self._redirect_to_pay(request, owner.signup_id, paying)

    async def _ask_for_payment_page(
        self, request: Any, asked: PayAgain | ReturnByLink
    ) -> Registered | Refused:
        """Each payment page counts as one more registration of the network."""
        wait = self.parts.take_payment_page(request)
        if wait:
            raise TooMany(wait)
        return await self.parts.desk.ask(asked)

    def _redirect_to_pay(
        self, request: Any, signup_id: SignupId, paying: Registered | Refused
    ) -> bytes:
        if isinstance(paying, Registered):
            # A signup that has been paid meanwhile has no payment page.
            if self.parts.may_pay_at(paying.checkout_url):
                return answer.see_other(request, paying.checkout_url)
            return answer.see_other(request, f"/signup/{signup_id}")
        raise _error_for(paying)

    async def resend(self, request: Any, signup_id: str) -> bytes:
        """POST: mail the grid's address again."""
        owner = self._require_owner(request, signup_id, self._read_fields(request))
        done = await self.parts.desk.ask(ResendMail(owner))
        return self.redirect_after(request, owner.signup_id, done, "resent")

    async def address_form(self, request: Any, signup_id: str) -> bytes:
        """GET: the form on its own page, since the status page reloads by itself."""
        owner = self._owner(request, signup_id)
        return await self._show_address_form(request, owner, None, None, 200)

    async def correct_address(self, request: Any, signup_id: str) -> bytes:
        """POST: correct the email address."""
        fields = self._read_fields(request)
        owner = self._require_owner(request, signup_id, fields)
        typed = fields.get("email", "")
        try:
            address = parse_address(typed)
        except AddressRefused as e:
            return await self._show_address_form(request, owner, typed, str(e), 400)
        slip = ask_about_domain(address, fields)
        if slip is not None:
            return await self._show_address_form(request, owner, typed, slip, 400)
        email = address.as_typed
        done = await self.parts.desk.ask(CorrectAddress(owner, email))
        if isinstance(done, Refused) and done.code in (
            "bad-address",
            "confirmed",
            "not-now",
        ):
            return await self._show_address_form(
                request, owner, typed, done.message, 409
            )
        if isinstance(done, Refused):
            raise _error_for(done)
        return answer.see_other(request, f"/signup/{signup_id}?notice=corrected")

    async def confirm_form(self, request: Any, signup_id: str) -> bytes:
        """GET: ask whoever got the link whether the corrected address is theirs."""
        return await self.show_question(request, signup_id, "confirm.html")

    async def confirm(self, request: Any, signup_id: str) -> bytes:
        """POST: confirm it by the mailed link; an owner's cookie proves no address."""
        link, _ = self.read_link(request, signup_id)
        if link is not None:
            done = await self.parts.desk.ask(ConfirmByLink(link))
            if not is_unknown(done):
                return self.redirect_after(request, link.signup_id, done, "confirmed")
        return await self.show_question(
            request, signup_id, "confirm.html", bad_link=True
        )

    async def cancel_form(self, request: Any, signup_id: str) -> bytes:
        """GET: ask whether to cancel."""
        return await self.show_question(request, signup_id, "cancel.html")

    async def cancel(self, request: Any, signup_id: str) -> bytes:
        """POST: cancel, by the owner's cookie or by a mailed link."""
        link, fields = self.read_link(request, signup_id)
        if link is not None:
            done = await self.parts.desk.ask(LeaveByLink(link))
            if is_unknown(done):
                return await self.show_question(
                    request, signup_id, "cancel.html", bad_link=True
                )
            # Of an order that was not built yet the page says what becomes of it.
            subscribed = isinstance(done, Done) and done.view.state != "refunding"
            said = "ending" if subscribed else ""
            return self.redirect_after(request, link.signup_id, done, said)
        owner = self._require_owner(request, signup_id, fields)
        done = await self.parts.desk.ask(Leave(owner))
        return self.redirect_after(request, owner.signup_id, done, "")

    async def return_form(self, request: Any, signup_id: str) -> bytes:
        """GET: ask whether to continue the subscription."""
        return await self.show_question(request, signup_id, "return.html")

    async def come_back(self, request: Any, signup_id: str) -> bytes:
        """POST: withdraw a cancellation, or redirect to pay again."""
        link, fields = self.read_link(request, signup_id)
        if link is not None:
            paying = await self._ask_for_payment_page(request, ReturnByLink(link))
            if is_unknown(paying):
                return await self.show_question(
                    request, signup_id, "return.html", bad_link=True
                )
            return self._redirect_to_pay(request, link.signup_id, paying)
        owner = self._require_owner(request, signup_id, fields)
        if (await self._fetch(owner)).view.state == "active":
            done = await self.parts.desk.ask(Stay(owner))
            return self.redirect_after(request, owner.signup_id, done, "staying")
        paying = await self._ask_for_payment_page(request, PayAgain(owner))
        return self._redirect_to_pay(request, owner.signup_id, paying)

    async def show_question(
        self, request: Any, signup_id: str, template: str, *, bad_link: bool = False
    ) -> bytes:
        """Only ask: mail scanners open every link, and must change nothing.

        *bad_link*: the link that was sent is not, or no longer, good for that.
        """
        owner = self._owner(request, signup_id)
        watched = await self._fetch(owner)
        html = self.parts.pages.render(
            template,
            **watched.values(self.parts, self._action_token(owner)),
            bad_link=bad_link,
        )
        return answer.page(request, html, 403 if bad_link else 200)

    def read_link(
        self, request: Any, signup_id: str
    ) -> tuple[MailedLink | None, dict[str, str]]:
        """Read the mailed link's token, if the form has one, and all fields."""
        fields = self._read_fields(request)
        token = fields.get(LINK, "").strip().rpartition("#")[2]
        if not token:
            return None, fields
        return MailedLink(parse_id_in_url(signup_id), Secret(token)), fields

    @staticmethod
    def redirect_after(
        request: Any, signup_id: SignupId, done: Done | Refused, notice: str
    ) -> bytes:
        """Go to the status page, which says what was done; raises what was refused."""
        if isinstance(done, Refused):
            raise _error_for(done)
        said = f"?notice={notice}" if notice else ""
        return answer.see_other(request, f"/signup/{signup_id}{said}")

    async def _report_return(self, owner: Owner) -> bool:
        """Have the daemon look at the payment now, rather than wait for the webhook;
        whether it has seen the payment.
        """
        if owner.owner_secret is None:
            return False
        try:
            seen = await self.parts.desk.ask(ReturnedFromCheckout(owner))
        except DeskAway:
            return False
        return isinstance(seen, SignupView) and not seen.awaits_payment

    async def _show_address_form(
        self,
        request: Any,
        owner: Owner,
        typed: str | None,
        problem: str | Question | None,
        status: int,
    ) -> bytes:
        view, owned = await self._fetch_as_owner(owner)
        html = self.parts.pages.render(
            "address.html",
            view=view,
            email=owned.email if typed is None else typed,
            problem=problem if isinstance(problem, str) else None,
            question=problem if isinstance(problem, Question) else None,
            action=self._action_token(owner),
        )
        return answer.page(request, html, status)

    async def _fetch(self, owner: Owner) -> WatchedSignup:
        seen = await fetch_view(self.parts, owner, 0, 0)
        if isinstance(seen, Refused):
            raise _error_for(seen)
        return WatchedSignup(seen)

    async def _fetch_as_owner(self, owner: Owner) -> tuple[SignupView, OwnerView]:
        view = (await self._fetch(owner)).view
        if view.owner is None:
            raise NotTheOwner
        return view, view.owner

    def _owner(self, request: Any, signup_id: str) -> Owner:
        return read_owner(self.parts, request, parse_id_in_url(signup_id))

    @staticmethod
    def _read_fields(request: Any) -> dict[str, str]:
        try:
            return answer.form_fields(request)
        except answer.FormMalformed:
            raise NotTheOwner from None

    def _require_owner(
        self, request: Any, signup_id: str, fields: dict[str, str]
    ) -> Owner:
        """Return the owner, if the form came from the owner's own page."""
        owner = self._owner(request, signup_id)
        secret: OwnerSecret | None = owner.owner_secret
        if secret is None or not is_action_token(
            self.parts.cookie_keys, owner.signup_id, secret, fields.get("token", "")
        ):
            raise NotTheOwner
        return owner

    def _action_token(self, owner: Owner) -> str:
        if owner.owner_secret is None:
            return ""
        return make_action_token(
            self.parts.cookie_keys[0], owner.signup_id, owner.owner_secret
        )


def parse_id_in_url(signup_id: str) -> SignupId:
    """Parse the id in a URL; raises :class:`NoSuchSignup`."""
    try:
        return parse_signup_id(signup_id)
    except MalformedId:
        raise NoSuchSignup from None


def is_unknown(answered: object) -> bool:
    """Whether the daemon knows no such link, or no such signup."""
    return isinstance(answered, Refused) and answered.code == "unknown-signup"


def _error_for(refused: Refused) -> Exception:
    match refused.code:
        case "unknown-signup":
            return NoSuchSignup()
        case "try-later" | "version" | "malformed":
            return DeskAway(refused.code)
        case _:
            return Declined(refused.message)
