"""Customers as the tests need them: at the payment page, or through to the mail."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import requests
from attrs import define, field

from lae_localcloud.customer.forms import Form, forms_of
from lae_localcloud.customer.visit import GOOD_CARD, Visit
from tests.end_to_end.stack import Stack

_FURL = re.compile(r"pb://[a-z2-7]{32}@[^\s<\"&]+/[a-z2-7]+")


def keep_pages(
    http: requests.Session, folder: Path, kind: str, cookies: set[str]
) -> requests.Session:
    """Keep every page that this browser is given, and apart from them its cookies,
    for whoever looks for secrets.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def keep(response: requests.Response, *_: object, **__: object) -> None:
        cookies.update(response.cookies.values())
        if not response.headers.get("content-type", "").startswith("text/event"):
            number = len(list(folder.iterdir()))
            headers = {k: v for k, v in response.headers.items() if k != "Set-Cookie"}
            head = f"{response.url} {response.status_code}\n{headers}\n"
            page = head + response.text
            (folder / f"{kind}-{number}.html").write_text(page, "utf-8")

    http.hooks["response"].append(keep)
    return http


@define
class Customer:
    """One browser at this stack's site."""

    stack: Stack
    email: str
    kind: str = "owner"
    visit: Visit = field(init=False)

    def __attrs_post_init__(self) -> None:
        pages = self.stack.layout.root / "pages"
        http = keep_pages(requests.Session(), pages, self.kind, self.stack.cookies)
        self.visit = Visit(self.stack.layout.site_url, http)

    @property
    def signup_id(self) -> str:
        return self.visit.signup_id

    def filled_form(self) -> Form:
        """The signup form, filled in and not sent."""
        self.visit.open("/signup?plan=small")
        form = self.visit._form(self.visit.page, "email")
        form.fields["email"] = self.email
        for name, values in form.choices.items():
            form.fields.setdefault(name, values[0])
        return form

    def send(self, form: Form) -> requests.Response:
        """Send the form; the answer, not followed."""
        return self.visit.http.post(
            f"{self.stack.layout.site_url}/signup",
            data=form.fields,
            allow_redirects=False,
            timeout=60,
        )

    def register(self, plan: str | None = None) -> str:
        """As far as the payment page; the signup's id."""
        if plan is None:
            self.visit.sign_up(self.email)
        else:
            self.visit.open(f"/signup?plan={plan}")
            form = self.visit._form(self.visit.page, "email")
            form.fields |= {"email": self.email, "plan": plan, "terms": "agreed"}
            self.visit._send(form)
        back = re.search(r"/signup/(su[a-z2-7]{20})", self.visit.page)
        assert back is not None, self.visit.page
        self.visit.signup_id = back[1]
        return back[1]

    def arrive(self, answer: requests.Response) -> None:
        """Follow the answer to a form to the payment page."""
        self.visit.open(answer.headers["location"])
        back = re.search(r"/signup/(su[a-z2-7]{20})", self.visit.page)
        assert back is not None, self.visit.page
        self.visit.signup_id = back[1]

    def pay(self, card: str = GOOD_CARD) -> None:
        """Press the button of Stripe's page, and be sent back."""
        self.visit.pay(card)

    def leave(self, card: str = GOOD_CARD) -> None:
        """Press the button, and close the browser: the return never happens."""
        form = self.visit._form(self.visit.page, "number")
        form.fields |= {"number": card, "expiry": "12 / 39", "cvc": "123"}
        answer = self.visit.http.post(
            self.visit.url, data=form.fields, allow_redirects=False, timeout=60
        )
        assert answer.status_code == 303, answer.text

    def sign_up(self) -> str:
        """Register and pay."""
        self.register()
        self.pay()
        return self.signup_id

    def ask_to(self, purpose: str) -> None:
        """The owner's page that asks (``cancel``, ``return``), and its button."""
        self.visit.open(f"/signup/{self.signup_id}/{purpose}")
        form = self.visit._form(self.visit.page, "token")
        self.visit._send(form)

    def status(self) -> str:
        """The status page, as the owner sees it."""
        return self.visit.open(f"/signup/{self.signup_id}")

    def furl_on_page(self) -> str:
        """The grid's address, as the owner's page has it."""
        (furl,) = set(_FURL.findall(self.status()))
        return str(furl)

    def action(self, name: str) -> Form:
        """The form of the status page that does something (``pay``, ``resend``)."""
        for form in forms_of(self.status()):
            if urlsplit(form.action).path.endswith(f"/{self.signup_id}/{name}"):
                return form
        raise AssertionError(f"no form for {name}: {self.visit.page}")
