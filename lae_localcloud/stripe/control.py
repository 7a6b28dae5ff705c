"""The control endpoint: for tests, for the demo's figures and for people.

    GET    /_control/                            all of it
    POST   /_control/faults                      a fault of the API (JSON)
    DELETE /_control/faults                      all faults out
    PUT    /_control/weather                     how webhooks travel (JSON)
    GET    /_control/sessions                    all sessions, oldest first, each with
                                                 ``t0``, when its payment was accepted
    GET    /_control/sessions/ID                 one; ID may be a client_reference_id
    POST   /_control/sessions/ID/pay             pay without the page: {"number": CARD}
                                                 or {"method": "bank-debit"}
    POST   /_control/sessions/ID/settle          a bank debit comes through, or not:
                                                 {"succeeded": true}
    POST   /_control/sessions/ID/expire-now      as if its time had come
    POST   /_control/customers/ID/card           as if the bank said of the kept card
                                                 what it says of this: {"number": CARD}
    POST   /_control/charges/ID/dispute          the customer's bank asks for it back
    POST   /_control/refunds/ID/fail             the customer's bank does not take it
    PUT    /_control/settings                    {"after_retries": "cancel", "unpaid" or
                                                 "past_due"}: what was never paid
    POST   /_control/events/ID/send              the webhook once more
    GET    /_control/deliveries                  every sending, with what was answered

JSON bodies must say ``Content-Type: application/json``, which a page of another site
cannot send from a visitor's browser.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import attrs
from attrs import define
from klein import Klein

from lae_localcloud.stripe import checkout, money, payment
from lae_localcloud.stripe.cards import CARDS, Card, Declined, read_card
from lae_localcloud.stripe.delivery import Delivery
from lae_localcloud.stripe.errors import ApiError, no_such
from lae_localcloud.stripe.faults import Faults, fault_of
from lae_localcloud.stripe.renewals import AFTER_RETRIES
from lae_localcloud.stripe.store import Account, Json
from lae_localcloud.stripe.weather import as_json, weather_of

_METHODS = ["GET", "POST", "PUT", "DELETE"]
_FAR = "12/2099"


@define
class Control:
    """Answers under ``/_control/``."""

    account: Account
    faults: Faults
    delivery: Delivery
    wall: Callable[[], float] = time.time

    def add_to(self, app: Klein) -> None:
        """The one route."""
        app.route("/_control/", branch=True, methods=_METHODS)(self.render)

    def render(self, request: Any) -> bytes:
        """One request, answered at once."""
        parts = request.path.decode("ascii", "replace").strip("/").split("/")[1:]
        method = request.method.decode("ascii", "replace")
        try:
            said = {} if method in ("GET", "DELETE") else _json(request)
            answer: Any = self._answer(method, parts, said)
        except ApiError as e:
            request.setResponseCode(e.status)
            answer = e.body()
        request.setHeader("content-type", "application/json")
        return json.dumps(answer, indent=1).encode() + b"\n"

    def _answer(  # noqa: C901, PLR0911  (one line per control)
        self, method: str, parts: list[str], said: Json
    ) -> Any:
        match (method, *parts):
            case ("GET",):
                return self._all()
            case (_, "faults"):
                return self._change_faults(method, said)
            case ("PUT", "weather"):
                self.delivery.weather = weather_of(said)
                return as_json(self.delivery.weather)
            case ("GET", "deliveries"):
                return [attrs.asdict(a) for a in self.delivery.attempts]
            case ("POST", "events", name, "send"):
                self.delivery.send_again(self.account.get("event", name))
                return {"sent": name}
            case ("POST", "customers", name, "card"):
                return self._change_card(name, said)
            case ("POST", "charges", name, "dispute"):
                return money.dispute(self.account, name)
            case ("POST", "refunds", name, "fail"):
                return money.fail_refund(self.account, name)
            case ("PUT", "settings"):
                return self._change_settings(said)
            case ("GET" | "POST", "sessions", *rest):
                return self._sessions(method, rest, said)
        raise ApiError("no such control; see GET /_control/", status=404)

    def _change_card(self, customer: str, said: Json) -> Json:
        number = str(said.get("number"))
        if number not in CARDS:
            raise ApiError("number must be one of the test cards", param="number")
        methods = [
            m["id"]
            for m in self.account.all("payment_method")
            if m["customer"] == customer
        ]
        for method in methods:
            self.account.cards[method] = number
        return {"customer": customer, "methods": methods}

    def _change_settings(self, said: Json) -> Json:
        wanted = said.get("after_retries")
        if wanted not in AFTER_RETRIES:
            raise ApiError(f"after_retries is one of {', '.join(AFTER_RETRIES)}")
        self.account.after_retries = wanted
        return {"after_retries": wanted}

    def _change_faults(self, method: str, said: Json) -> list[Json]:
        match method:
            case "POST":
                self.faults.waiting.append(fault_of(said))
            case "DELETE":
                self.faults.waiting.clear()
        return [attrs.asdict(fault) for fault in self.faults.waiting]

    def _sessions(self, method: str, parts: list[str], said: Json) -> Any:
        if not parts and method == "GET":
            every = list(self.account.all("checkout.session"))
            return [self._session(s["id"]) for s in reversed(every)]
        name = self._named(parts[0]) if parts else ""
        match (method, *parts[1:]):
            case ("GET",):
                return self._session(name)
            case ("POST", "pay"):
                return self._pay(name, said)
            case ("POST", "settle"):
                succeeded = bool(said.get("succeeded", True))
                payment.settle_debit(self.account, name, succeeded=succeeded)
                return self._session(name)
            case ("POST", "expire-now"):
                checkout.expire_session(self.account, name)
                return self._session(name)
        raise ApiError("no such control; see GET /_control/", status=404)

    def _named(self, name: str) -> str:
        """A session's own id, or the newest with this client_reference_id."""
        for session in self.account.all("checkout.session"):
            if name in (session["id"], session["client_reference_id"]):
                return str(session["id"])
        raise no_such("checkout.session", name)

    def _session(self, name: str) -> Json:
        session = checkout.current(self.account, name)
        return {**session, "t0": self.account.paid_at.get(name)}

    def _pay(self, name: str, said: Json) -> Json:
        accepted = self.wall()
        email = said.get("email")
        if said.get("method") == "bank-debit":
            payment.complete(self.account, name, "bank-debit", accepted, email)
            return self._session(name)
        number = str(said.get("number", "4242424242424242"))
        card: Card = read_card(number, _FAR, "123", (2000, 1))
        if isinstance(card.outcome, Declined):
            session = checkout.current(self.account, name)
            payment.decline(self.account, session, card.outcome)
            raise ApiError(card.outcome.message, status=402, kind="card_error")
        payment.complete(self.account, name, card, accepted, email)
        return self._session(name)

    def _all(self) -> Json:
        every = self.account.all("checkout.session")
        return {
            "account": self.account.account_id,
            "faults": self._change_faults("GET", {}),
            "weather": as_json(self.delivery.weather),
            "sessions": [s["id"] for s in every],
            "deliveries": len(self.delivery.attempts),
            "controls": __doc__,
        }


def _json(request: Any) -> Json:
    if request.getHeader("content-type") != "application/json":
        raise ApiError("Content-Type must be application/json", status=415)
    request.content.seek(0)
    try:
        value = json.loads(request.content.read() or b"{}")
    except ValueError:
        raise ApiError("not JSON") from None
    if not isinstance(value, dict):
        raise ApiError("a JSON object expected")
    return value
