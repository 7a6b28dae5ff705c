"""The hosted pages that a customer's browser walks through.

    /c/pay/SESSION                     the form; POST pays
    /c/pay/SESSION/authenticate/CODE   the bank's question, for cards that ask
    /i/CODE                            an invoice; POST pays it
    /p/session/CODE                    the customer portal; POST cancels or resumes

Plain HTML with no script: what a browser does here, a test's HTTP client can do.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from attrs import define, field
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from klein import Klein

from lae_localcloud.stripe import billing, checkout, payment, renewals
from lae_localcloud.stripe.cards import (
    CARDS,
    NOT_AUTHENTICATED,
    Card,
    CardProblem,
    Declined,
    read_address,
    read_card,
)
from lae_localcloud.stripe.customers import check_address
from lae_localcloud.stripe.errors import ApiError
from lae_localcloud.stripe.store import Account, Json

_SIGNS = {"eur": "€", "usd": "$", "gbp": "£"}
#: Currencies whose smallest unit is the unit.
_WHOLE = {"jpy", "krw", "vnd"}
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'"
)


def price_text(amount: int, currency: str) -> str:
    """``900, "eur"`` → ``€9.00``."""
    whole = currency in _WHOLE
    number = f"{amount:,}" if whole else f"{amount / 100:,.2f}"
    return f"{_SIGNS.get(currency, currency.upper() + ' ')}{number}"


def spaced(number: str) -> str:
    """A card number as it is printed."""
    return " ".join(number[i : i + 4] for i in range(0, len(number), 4))


@define
class _Challenge:
    """A card that asked for authentication, until it is answered."""

    session: str
    card: Card
    email: str | None


@define
class HostedPages:
    """Answers pages about the account's sessions.  *wall* is the wall clock."""

    account: Account
    wall: Callable[[], float] = time.time
    _challenges: dict[str, _Challenge] = field(factory=dict)
    _pages: Environment = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pages = Environment(
            loader=PackageLoader(__package__, "pages"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.filters["price"] = price_text
        self._pages.filters["spaced"] = spaced

    def add_to(self, app: Klein) -> None:
        """The routes, in the order in which a customer meets them."""
        app.route("/pages.css")(self.stylesheet)
        app.route("/c/pay/<name>", methods=["GET"])(self.form)
        app.route("/c/pay/<name>", methods=["POST"])(self.pay)
        app.route("/c/pay/<name>/authenticate/<code>", methods=["GET"])(self.question)
        app.route("/c/pay/<name>/authenticate/<code>", methods=["POST"])(
            self.authenticate
        )
        app.route("/i/<code>", methods=["GET"])(self.invoice)
        app.route("/i/<code>", methods=["POST"])(self.pay_invoice)
        app.route("/p/session/<code>", methods=["GET"])(self.portal)
        app.route("/p/session/<code>", methods=["POST"])(self.change)

    def stylesheet(self, request: Any) -> bytes:
        """The one stylesheet."""
        request.setHeader("content-type", "text/css; charset=utf-8")
        source, _, _ = PackageLoader(__package__, "pages").get_source(
            self._pages, "pages.css"
        )
        return source.encode()

    def form(self, request: Any, name: str) -> str:
        """The checkout page, or what became of it."""
        session = self._session(name)
        if session is None:
            return self._gone(request, None)
        if session["status"] != "open":
            return self._gone(request, session)
        return self._form(request, session, typed={}, problem=None)

    def pay(self, request: Any, name: str) -> str:
        """The pay button was pressed."""
        accepted = self.wall()
        session = self._session(name)
        if session is None:
            return self._gone(request, None)
        if session["status"] == "complete":
            # A doubled click: it is paid already, and once.
            return self._away(request, session["success_url"], session)
        if session["status"] != "open":
            return self._gone(request, session)
        fields = ("email", "number", "expiry", "cvc", "country", "postal_code")
        typed = _fields(request, fields)
        try:
            email = self._email(session, typed)
            if checkout.asks_address(session):
                address = read_address(typed["country"], typed["postal_code"])
                self.account.intents[name]["address"] = address
            today = datetime.fromtimestamp(self.account.now(), UTC)
            card = read_card(
                typed["number"],
                typed["expiry"],
                typed["cvc"],
                (today.year, today.month),
            )
        except CardProblem as problem:
            return self._form(request, session, typed, problem)
        return self._ask_bank(request, session, card, email, accepted)

    def _ask_bank(
        self,
        request: Any,
        session: Json,
        card: Card,
        email: str | None,
        accepted: float,
    ) -> str:
        outcome = card.outcome
        if isinstance(outcome, Declined):
            return self._declined(request, session, outcome, email)
        if outcome.authenticates:
            code = secrets.token_urlsafe(12)
            self._challenges[code] = _Challenge(session["id"], card, email)
            return _redirect(request, f"/c/pay/{session['id']}/authenticate/{code}")
        payment.complete(self.account, session["id"], card, accepted, email)
        return self._away(request, session["success_url"], session)

    def question(self, request: Any, name: str, code: str) -> str:
        """The bank asks whether it is you."""
        session = self._session(name)
        challenge = self._challenges.get(code)
        if session is None or challenge is None or challenge.session != name:
            return self._gone(request, session)
        return self._page(
            request, "authenticate.html", session=session, last4=challenge.card.last4
        )

    def authenticate(self, request: Any, name: str, code: str) -> str:
        """The bank's question was answered."""
        accepted = self.wall()
        session = self._session(name)
        challenge = self._challenges.get(code)
        if session is None or challenge is None or challenge.session != name:
            return self._gone(request, session)
        if session["status"] == "complete":
            return self._away(request, session["success_url"], session)
        if session["status"] != "open":
            return self._gone(request, session)
        if _fields(request, ("answer",))["answer"] != "complete":
            del self._challenges[code]
            return self._declined(request, session, NOT_AUTHENTICATED, challenge.email)
        payment.complete(self.account, name, challenge.card, accepted, challenge.email)
        return self._away(request, session["success_url"], session)

    def invoice(self, request: Any, code: str) -> str:
        """What is to be paid, or that it is not to be paid any more."""
        invoice = self._invoice(code)
        if invoice is None:
            return self._gone(request, None)
        return self._invoice_page(request, invoice, None)

    def pay_invoice(self, request: Any, code: str) -> str:
        """Pay an open invoice with another card, which is kept from now on."""
        invoice = self._invoice(code)
        if invoice is None:
            return self._gone(request, None)
        if invoice["status"] != "open":
            return _redirect(request, f"/i/{code}")
        typed = _fields(request, ("number", "expiry", "cvc"))
        today = datetime.fromtimestamp(self.account.now(), UTC)
        month = (today.year, today.month)
        try:
            card = read_card(typed["number"], typed["expiry"], typed["cvc"], month)
        except CardProblem as problem:
            return self._invoice_page(request, invoice, problem)
        subscription = renewals.subscription_of(self.account, invoice)
        with self.account.at_clock_of(subscription):
            if not renewals.attempt(self.account, invoice, card.number):
                declined = CardProblem("number", "Your card was declined.")
                return self._invoice_page(request, invoice, declined)
        self.account.cards[subscription["default_payment_method"]] = card.number
        return _redirect(request, f"/i/{code}")

    def _invoice(self, code: str) -> Json | None:
        name = self.account.invoice_codes.get(code)
        return None if name is None else self.account.get("invoice", name)

    def _invoice_page(
        self, request: Any, invoice: Json, problem: CardProblem | None
    ) -> str:
        if problem is not None:
            request.setResponseCode(402)
        return self._page(
            request,
            "invoice.html",
            invoice=invoice,
            problem=problem,
            next_year=datetime.fromtimestamp(self.account.now(), UTC).year % 100 + 1,
        )

    def portal(self, request: Any, code: str) -> str:
        """What a customer has subscribed to."""
        session = self._portal_session(code)
        if session is None:
            return self._gone(request, None)
        customer = self.account.get("customer", session["customer"])
        kept = [
            s
            for s in self.account.all("subscription")
            if s["customer"] == customer["id"]
        ]
        invoices = [
            i for i in self.account.all("invoice") if i["customer"] == customer["id"]
        ]
        return self._page(
            request,
            "portal.html",
            customer=customer,
            subscriptions=[self._shown(s) for s in kept],
            invoices=invoices,
            return_url=session["return_url"],
        )

    def change(self, request: Any, code: str) -> str:
        """Cancel at the period's end, or think better of it."""
        session = self._portal_session(code)
        typed = _fields(request, ("subscription", "do"))
        subscription = self.account.find("subscription", typed["subscription"])
        if (
            session is None
            or subscription is None
            or subscription["customer"] != session["customer"]
            or subscription["status"] == "canceled"
        ):
            return self._gone(request, None)
        billing.update_subscription(
            self.account,
            subscription["id"],
            {"cancel_at_period_end": typed["do"] == "cancel"},
        )
        return _redirect(request, f"/p/session/{code}")

    def _shown(self, subscription: Json) -> Json:
        item = subscription["items"]["data"][0]
        product = self.account.get("product", item["price"]["product"])
        ends = datetime.fromtimestamp(item["current_period_end"], UTC)
        return {
            "id": subscription["id"],
            "name": product["name"],
            "price": item["price"],
            "status": subscription["status"],
            "ending": subscription["cancel_at_period_end"],
            "ends": f"{ends.day} {ends:%B %Y}",
        }

    def _portal_session(self, code: str) -> Json | None:
        name = self.account.portal_codes.get(code)
        return (
            None if name is None else self.account.get("billing_portal.session", name)
        )

    def _session(self, name: str) -> Json | None:
        try:
            return checkout.current(self.account, name)
        except ApiError:
            return None

    def _email(self, session: Json, typed: dict[str, str]) -> str | None:
        if session["customer_email"] or session["customer"]:
            return None
        try:
            check_address(typed["email"], "email")
        except ApiError:
            raise CardProblem("email", "Your email is invalid.") from None
        return typed["email"]

    def _declined(
        self, request: Any, session: Json, declined: Declined, email: str | None
    ) -> str:
        payment.decline(self.account, session, declined)
        problem = CardProblem("number", declined.message)
        # What was typed of the card is not sent back: it goes to no page again.
        return self._form(request, session, {"email": email or ""}, problem)

    def _form(
        self,
        request: Any,
        session: Json,
        typed: dict[str, str],
        problem: CardProblem | None,
    ) -> str:
        if problem is not None:
            request.setResponseCode(402 if not typed.get("number") else 400)
        customer = session["customer"]
        known = session["customer_email"] or (
            self.account.get("customer", customer)["email"] if customer else None
        )
        lines = self.account.intents[session["id"]]["items"]
        trial = self.account.intents[session["id"]]["subscription_data"].get(
            "trial_period_days"
        )
        return self._page(
            request,
            "pay.html",
            session=session,
            lines=lines,
            recurring=lines[0]["price"]["recurring"],
            due=0 if trial else session["amount_total"],
            trial=trial,
            asks_address=checkout.asks_address(session),
            known_email=known,
            typed_email=typed.get("email", ""),
            problem=problem,
            cards=[(number, words) for number, (words, _) in CARDS.items()],
            next_year=datetime.fromtimestamp(self.account.now(), UTC).year % 100 + 1,
        )

    def _gone(self, request: Any, session: Json | None) -> str:
        request.setResponseCode(404 if session is None else 410)
        return self._page(request, "gone.html", session=session)

    def _away(self, request: Any, url: str, session: Json) -> str:
        return _redirect(request, url.replace("{CHECKOUT_SESSION_ID}", session["id"]))

    def _page(self, request: Any, template: str, **values: Any) -> str:
        request.setHeader("content-type", "text/html; charset=utf-8")
        request.setHeader("content-security-policy", _POLICY)
        request.setHeader("referrer-policy", "no-referrer")
        request.setHeader("cache-control", "no-store")
        return self._pages.get_template(template).render(**values)


def _redirect(request: Any, url: str) -> str:
    # 303: the browser's next request is a GET, and a reload pays nothing twice.
    request.setResponseCode(303)
    request.setHeader("location", url.encode("ascii"))
    return ""


def _fields(request: Any, names: tuple[str, ...]) -> dict[str, str]:
    given = request.args or {}
    return {
        name: given.get(name.encode(), [b""])[0].decode("utf-8", "replace").strip()
        for name in names
    }
