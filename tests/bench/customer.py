"""A customer of the benchmark: signs up, pays, and watches the page."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime

from attrs import Factory, define

from lae_localcloud.customer.mailbox import wait_for_mail
from lae_localcloud.customer.story import Places, StoryFailed, paid_at
from lae_localcloud.customer.visit import Visit
from tests.bench.figures import Moments

_LONGEST = 180.0
_FURL = re.compile(r"pb://[a-z2-7]{32}@[\w.:-]+/[a-z2-7]+")


def nothing(furl: str) -> None:
    """For those who have no client waiting."""


@define
class Customer:
    """One customer, who must be at Stripe's page before :meth:`pay`."""

    places: Places
    address: str
    on_furl: Callable[[str], None] = nothing
    furl_at: float = 0.0
    furl: str = ""
    events: dict[str, float] = Factory(dict)
    visit: Visit = Factory(lambda self: Visit(self.places.site_url), takes_self=True)

    def go_to_checkout(self) -> None:
        """The landing page, the form, and over to Stripe."""
        self.visit.sign_up(self.address)

    def pay(self) -> Moments:
        """Press the button, and watch the page until the mail was accepted."""
        self.visit.pay()
        end = time.time() + _LONGEST
        on_the_page = _FURL.search(self.visit.page)
        if on_the_page is not None:
            self._see(on_the_page[0], time.time())
        for at, name, data in self.visit.progress():
            if name == "view" and data.get("introducer_furl"):
                self._see(data["introducer_furl"], at)
            elif name == "progress":
                happened = datetime.fromisoformat(data["at"]).timestamp()
                self.events.setdefault(data["kind"], happened)
            if "mail-accepted" in self.events and self.furl:
                break
            if at > end or data.get("state") in {"refunding", "refunded"}:
                raise StoryFailed(f"{self.visit.signup_id} got {self.events}")
        mailed, _ = wait_for_mail(self.places.maildir, self.address, 30)
        t0 = paid_at(self.places, self.visit.signup_id)
        return Moments(t0, self.furl_at, mailed, self.events)

    def _see(self, furl: str, at: float) -> None:
        if not self.furl:
            self.furl, self.furl_at = furl, at
            self.on_furl(furl)
