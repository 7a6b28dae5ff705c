"""A signup's own page, and what its owner can do there."""

from __future__ import annotations

from typing import Any

from attrs import define

from lae_protocol.address import AddressRefused, parse_address
from lae_protocol.furl import Furl
from lae_protocol.grid_file import grid_json
from lae_protocol.ids import MalformedId, OwnerSecret, SignupId, parse_signup_id
from lae_protocol.messages import (
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
from lae_site.form_token import action_token, is_action_token
from lae_site.front_desk import DeskAway
from lae_site.looking import Sight, look, owner_of
from lae_site.parts import Parts

#: What a page says after something was done; the URL names it.
NOTICES = {
    "resent": "The mail is on its way once more.",
    "corrected": "Your address is corrected.",
    "stopped": "You left the payment page. Nothing was charged.",
    "ending": "It is cancelled. A mail says what happens when.",
    "staying": "Your subscription goes on.",
}
#: A form that a mail's link led to has its token here.
LINK = "link"


class NotTheOwner(Exception):
    """The browser brought no cookie, or the form was not sent from our page."""


class NoSuchSignup(Exception):
    """No such signup, for whoever asks."""


class Declined(Exception):
    """The daemon said no; the text is for people."""


@define(frozen=True)
class StatusPages:
    """The routes below ``/signup/ID``.  What goes wrong is raised, and
    :mod:`lae_site.routes` has a page for each of these.
    """

    parts: Parts

    async def show(self, request: Any, signup_id: str) -> bytes:
        """How far it is; the grid's address as soon as there is one."""
        owner = self._owner(request, signup_id)
        if answer.query(request, "returned"):
            await self._returned(owner)
            return answer.see_other(request, f"/signup/{signup_id}")
        notice = answer.query(request, "notice") or (
            "stopped" if answer.query(request, "stopped") else ""
        )
        sight = await self._sight(owner)
        doors = await self.parts.opening.now()
        html = self.parts.pages.render(
            "status.html",
            **sight.values(self.parts, self._token(owner)),
            notice=NOTICES.get(notice),
            slower=doors.reason if doors is not None and doors.signups_open else None,
        )
        return answer.page(request, html)

    async def grid_file(self, request: Any, signup_id: str) -> bytes:
        """The grid as a file that Gridsync reads."""
        sight = await self._sight(self._owner(request, signup_id))
        owner, furl = sight.view.owner, sight.furl()
        if owner is None or furl is None:
            raise NotTheOwner
        request.setHeader(
            b"content-disposition", b'attachment; filename="s4-grid.json"'
        )
        file = grid_json(owner.nickname, Furl.parse(furl))
        return answer.body(request, file.encode(), b"application/json")

    async def pay(self, request: Any, signup_id: str) -> bytes:
        """Another payment page; the old session is expired first."""
        owner = self._acting(request, signup_id, self._fields(request))
        paying = await self.parts.desk.ask(PayAgain(owner))
        return self._to_pay(request, owner.signup_id, paying)

    def _to_pay(
        self, request: Any, signup_id: SignupId, paying: Registered | Refused
    ) -> bytes:
        if isinstance(paying, Registered):
            # What is paid by now has no payment page any more.
            if self.parts.may_pay_at(paying.checkout_url):
                return answer.see_other(request, paying.checkout_url)
            return answer.see_other(request, f"/signup/{signup_id}")
        raise _declined(paying)

    async def resend(self, request: Any, signup_id: str) -> bytes:
        """Mail the grid's address once more."""
        owner = self._acting(request, signup_id, self._fields(request))
        done = await self.parts.desk.ask(ResendMail(owner))
        return self._done(request, owner.signup_id, done, "resent")

    async def address_form(self, request: Any, signup_id: str) -> bytes:
        """A page of its own: a page that refreshes itself would lose what is typed."""
        owner = self._owner(request, signup_id)
        return await self._address_page(request, owner, None, None, 200)

    async def correct_address(self, request: Any, signup_id: str) -> bytes:
        """Take another address."""
        fields = self._fields(request)
        owner = self._acting(request, signup_id, fields)
        typed = fields.get("email", "")
        try:
            email = parse_address(typed).as_typed
        except AddressRefused as e:
            return await self._address_page(request, owner, typed, str(e), 400)
        done = await self.parts.desk.ask(CorrectAddress(owner, email))
        if isinstance(done, Refused) and done.code in ("bad-address", "confirmed"):
            return await self._address_page(request, owner, typed, done.message, 409)
        if isinstance(done, Refused):
            raise _declined(done)
        return answer.see_other(request, f"/signup/{signup_id}?notice=corrected")

    async def cancel_form(self, request: Any, signup_id: str) -> bytes:
        """Ask whether it is meant."""
        return await self._question(request, signup_id, "cancel.html")

    async def cancel(self, request: Any, signup_id: str) -> bytes:
        """End it: by the owner's cookie, or by the link of a mail."""
        link, fields = self._linked(request, signup_id)
        if link is not None:
            done = await self.parts.desk.ask(LeaveByLink(link))
            return self._done(request, link.signup_id, done, "ending")
        owner = self._acting(request, signup_id, fields)
        done = await self.parts.desk.ask(Leave(owner))
        return self._done(request, owner.signup_id, done, "")

    async def return_form(self, request: Any, signup_id: str) -> bytes:
        """Ask whether it is to go on."""
        return await self._question(request, signup_id, "return.html")

    async def come_back(self, request: Any, signup_id: str) -> bytes:
        """Continue it: a cancellation is taken back, or it is paid for again."""
        link, fields = self._linked(request, signup_id)
        if link is not None:
            paying = await self.parts.desk.ask(ReturnByLink(link))
            return self._to_pay(request, link.signup_id, paying)
        owner = self._acting(request, signup_id, fields)
        if (await self._sight(owner)).view.state == "active":
            done = await self.parts.desk.ask(Stay(owner))
            return self._done(request, owner.signup_id, done, "staying")
        paying = await self.parts.desk.ask(PayAgain(owner))
        return self._to_pay(request, owner.signup_id, paying)

    async def _question(self, request: Any, signup_id: str, template: str) -> bytes:
        """A page that only asks: who looks at every link of a mail does no harm."""
        owner = self._owner(request, signup_id)
        sight = await self._sight(owner)
        html = self.parts.pages.render(
            template, **sight.values(self.parts, self._token(owner))
        )
        return answer.page(request, html)

    def _linked(
        self, request: Any, signup_id: str
    ) -> tuple[MailedLink | None, dict[str, str]]:
        """The link's token, where the form has one; and all its fields."""
        fields = self._fields(request)
        token = fields.get(LINK, "").strip().rpartition("#")[2]
        if not token:
            return None, fields
        return MailedLink(parsed_id(signup_id), Secret(token)), fields

    @staticmethod
    def _done(
        request: Any, signup_id: SignupId, done: Done | Refused, notice: str
    ) -> bytes:
        if isinstance(done, Refused):
            raise _declined(done)
        said = f"?notice={notice}" if notice else ""
        return answer.see_other(request, f"/signup/{signup_id}{said}")

    async def _returned(self, owner: Owner) -> None:
        """A payment may be known before the webhook comes; if not, it comes later."""
        if owner.owner_secret is None:
            return
        try:
            await self.parts.desk.ask(ReturnedFromCheckout(owner))
        except DeskAway:
            return

    async def _address_page(
        self,
        request: Any,
        owner: Owner,
        typed: str | None,
        problem: str | None,
        status: int,
    ) -> bytes:
        view, owned = await self._owned(owner)
        html = self.parts.pages.render(
            "address.html",
            view=view,
            email=owned.email if typed is None else typed,
            problem=problem,
            action=self._token(owner),
        )
        return answer.page(request, html, status)

    async def _sight(self, owner: Owner) -> Sight:
        seen = await look(self.parts, owner, 0, 0)
        if isinstance(seen, Refused):
            raise _declined(seen)
        return Sight(seen)

    async def _owned(self, owner: Owner) -> tuple[SignupView, OwnerView]:
        view = (await self._sight(owner)).view
        if view.owner is None:
            raise NotTheOwner
        return view, view.owner

    def _owner(self, request: Any, signup_id: str) -> Owner:
        return owner_of(self.parts, request, parsed_id(signup_id))

    @staticmethod
    def _fields(request: Any) -> dict[str, str]:
        try:
            return answer.form_fields(request)
        except answer.FormMalformed:
            raise NotTheOwner from None

    def _acting(self, request: Any, signup_id: str, fields: dict[str, str]) -> Owner:
        """The owner, whose own page had the form with these fields."""
        owner = self._owner(request, signup_id)
        secret: OwnerSecret | None = owner.owner_secret
        if secret is None or not is_action_token(
            self.parts.cookie_keys, owner.signup_id, secret, fields.get("token", "")
        ):
            raise NotTheOwner
        return owner

    def _token(self, owner: Owner) -> str:
        if owner.owner_secret is None:
            return ""
        return action_token(
            self.parts.cookie_keys[0], owner.signup_id, owner.owner_secret
        )


def parsed_id(signup_id: str) -> SignupId:
    """What stands in the URL; raises :class:`NoSuchSignup`."""
    try:
        return parse_signup_id(signup_id)
    except MalformedId:
        raise NoSuchSignup from None


def _declined(refused: Refused) -> Exception:
    match refused.code:
        case "unknown-signup":
            return NoSuchSignup()
        case "try-later" | "version" | "malformed":
            return DeskAway(refused.code)
        case _:
            return Declined(refused.message)
