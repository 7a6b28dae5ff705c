"""What a customer feels: pages, signups and writes, in quiet and under an attack."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import requests
from attrs import Factory, define, field

from lae_localcloud.customer.story import StoryFailed
from lae_localcloud.customer.visit import VisitFailed
from tests.bench.customer import Customer
from tests.bench.stage import Stage
from tests.bench.waiting_client import WaitingClient

#: Seconds between two of a kind.
_PAUSE = 0.25
#: The processes that are attacked.
_OURS = ("site", "daemon")
_NOT_FELT = (requests.RequestException, StoryFailed, VisitFailed, AssertionError)


@define
class Felt:
    """Seconds that each took; *failed* says what did not work at all.

    *used* is the part of one core that daemon and site used meanwhile.
    """

    pages: list[float] = Factory(list)
    signups: list[float] = Factory(list)
    writes: list[float] = Factory(list)
    failed: list[str] = Factory(list)
    used: float = 0.0


@define
class Customers:
    """One customer who is served and writes, and others who come."""

    stage: Stage
    _count: int = 0
    served: Customer = field(init=False)
    _client: WaitingClient | None = None

    def begin(self, folder: Path) -> None:
        """Sign the first one up, with a client that has stored a file."""
        places = self.stage.places()
        client = WaitingClient(folder, places.tahoe)
        client.prepare()
        self._client = client
        self.served = Customer(places, "served@example.org", on_furl=client.go)
        self.served.go_to_checkout()
        self.served.pay()
        client.stored_at()

    def end(self) -> None:
        """Stop the client."""
        if self._client is not None:
            self._client.close()

    def live(self, seconds: float, signups: int) -> Felt:
        """Live for a while; see :meth:`_live`.  What was used is measured."""
        began, used = time.monotonic(), self.stage.processor_time(_OURS)
        felt = self._live(seconds, signups)
        passed = time.monotonic() - began
        felt.used = (self.stage.processor_time(_OURS) - used) / passed
        return felt

    def _live(self, seconds: float, signups: int) -> Felt:
        """Open pages, write, and sign up, each one after the other, beside each other;
        at least *seconds*, and at least so many signups.
        """
        assert self._client is not None, "they have begun"
        felt = Felt()
        end = time.monotonic() + seconds
        threads = [
            Thread(target=self._repeat, args=(felt, what, into, end))
            for what, into in (
                (self._page, felt.pages),
                (self._client.write, felt.writes),
            )
        ]
        for thread in threads:
            thread.start()
        while len(felt.signups) + len(felt.failed) < signups or time.monotonic() < end:
            self._time(felt, self._sign_up, felt.signups)
        for thread in threads:
            thread.join()
        return felt

    def _repeat(
        self, felt: Felt, what: Callable[[], object], into: list[float], end: float
    ) -> None:
        while time.monotonic() < end:
            self._time(felt, what, into)
            time.sleep(_PAUSE)

    def _time(self, felt: Felt, what: Callable[[], object], into: list[float]) -> None:
        began = time.monotonic()
        try:
            what()
        except _NOT_FELT as e:
            felt.failed.append(f"{what.__name__.strip('_')}: {e}"[:200])
        else:
            into.append(time.monotonic() - began)

    def _page(self) -> None:
        self.served.visit.http.get(self.stage.places().site_url, timeout=30)
        answer = requests.get(
            f"{self.stage.places().site_url}/signup/{self.served.visit.signup_id}",
            timeout=30,
        )
        answer.raise_for_status()

    def _sign_up(self) -> None:
        self._count += 1
        customer = Customer(self.stage.places(), f"comes-{self._count}@example.org")
        customer.go_to_checkout()
        customer.pay()
