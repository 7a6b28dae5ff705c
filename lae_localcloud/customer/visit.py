"""A visit: the form, Stripe's page, and the status page until the furl is there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from attrs import define, field

from lae_localcloud.customer.forms import Form, forms_of

#: Works, and asks for nothing more (https://docs.stripe.com/testing).
GOOD_CARD = "4242424242424242"
_SECONDS = 30.0


class VisitFailed(Exception):
    """A page was not what a customer needs; the text says which, and what it said."""


@define
class Visit:
    """One browser: its cookies, where it is, and when it got what it waited for."""

    site_url: str
    http: requests.Session = field(factory=requests.Session)
    signup_id: str = ""
    page: str = ""
    url: str = ""

    def open(self, path: str) -> str:
        """Load a page of the site."""
        return self._went(self.http.get(urljoin(self.site_url, path), timeout=_SECONDS))

    def sign_up(self, email: str) -> str:
        """Landing page, form, Checkout; the browser is then at Stripe's page."""
        landing = self.open("/")
        plan = re.search(r'href="(/signup\?plan=[^"]+)"', landing)
        if plan is None:
            raise VisitFailed("the landing page offers no plan")
        form = self._form(self.open(plan[1]), "email")
        form.fields["email"] = email
        for name, values in form.choices.items():
            form.fields.setdefault(name, values[0])
        self._send(form)
        return self.url

    def pay(self, card: str = GOOD_CARD) -> float:
        """Fill Stripe's page and press the button; when the button was pressed."""
        form = self._form(self.page, "number")
        form.fields |= {"number": card, "expiry": "12 / 39", "cvc": "123"}
        pressed = time.time()
        self._send(form)
        found = re.search(r"/signup/(su[a-z2-7]{20})$", urlsplit(self.url).path)
        if found is None:
            raise VisitFailed(f"paying led to {self.url}, not back to the site")
        self.signup_id = found[1]
        return pressed

    def progress(self) -> Iterator[tuple[float, str, dict[str, Any]]]:
        """Live events of the status page: when read, what kind, with what data.

        The stream ends by itself; like a browser, we come back where we stopped.
        """
        last = "0"
        while True:
            events = self.http.get(
                f"{self.site_url}/signup/{self.signup_id}/events",
                headers={"Last-Event-ID": last, "Accept": "text/event-stream"},
                stream=True,
                timeout=(_SECONDS, _SECONDS),
            )
            if events.status_code != requests.codes.ok:
                raise VisitFailed(f"no live progress: {events.status_code}")
            name = ""
            # One byte at a time: whatever arrives is read at once.
            for line in events.iter_lines(chunk_size=1, decode_unicode=True):
                key, _, value = str(line).partition(": ")
                if key == "id":
                    last = value
                elif key == "event":
                    name = value
                elif key == "data":
                    yield time.time(), name, json.loads(value)
            if name == "over":
                return

    def _form(self, page: str, with_field: str) -> Form:
        for form in forms_of(page):
            if with_field in form.fields or with_field in form.choices:
                return form
        raise VisitFailed(f"{self.url} has no form with the field {with_field}")

    def _send(self, form: Form) -> None:
        target = urljoin(self.url, form.action) if form.action else self.url
        self._went(self.http.post(target, data=form.fields, timeout=_SECONDS))

    def _went(self, response: requests.Response) -> str:
        self.url, self.page = response.url, response.text
        if not response.ok:
            said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", self.page))
            raise VisitFailed(f"{self.url}: {response.status_code}: {said[:300]}")
        return self.page
