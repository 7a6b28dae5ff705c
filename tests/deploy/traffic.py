"""Visitors who never stop asking, and customers who sign up meanwhile."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from typing import Self
from urllib.parse import urlsplit

from attrs import define, field

from lae_localcloud.customer.visit import VisitFailed
from tests.end_to_end.customer import Customer
from tests.end_to_end.stack import Stack

#: Pages that need nobody but the site.
PAGES = ("/", "/how-it-works", "/privacy")
_PATIENCE = 20.0
_OK = 200


@define
class Visitors:
    """Threads that load pages, each on a connection of its own, until they are told
    to stop.  *refused* says of each page that did not come why.
    """

    site_url: str
    number: int = 2
    pause: float = 0.1
    answered: Counter[str] = field(factory=Counter)
    refused: list[str] = field(factory=list)
    slowest: float = 0.0
    _over: threading.Event = field(factory=threading.Event)
    _threads: list[threading.Thread] = field(factory=list)

    def __enter__(self) -> Self:
        for number in range(self.number):
            thread = threading.Thread(target=self._visit, args=(number,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *of: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(_PATIENCE * 2)

    def _visit(self, number: int) -> None:
        while not self._over.is_set():
            self._load(PAGES[number % len(PAGES)])
            self._over.wait(self.pause)

    def _load(self, path: str) -> None:
        began = time.monotonic()
        connection = http.client.HTTPConnection(
            urlsplit(self.site_url).netloc, timeout=_PATIENCE
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            whole = answer.read().rstrip().endswith(b"</html>")
            if answer.status == _OK and whole:
                self.answered[path] += 1
            else:
                self.refused.append(f"{path}: {answer.status}")
        except (OSError, http.client.HTTPException) as e:
            self.refused.append(f"{path}: {type(e).__name__}: {e}")
        finally:
            connection.close()
        self.slowest = max(self.slowest, time.monotonic() - began)


@define
class Customers:
    """One customer after the other signs up and pays, like somebody who, told to come
    back in a moment, does so.
    """

    stack: Stack
    at_most: int = 3
    paid: list[Customer] = field(factory=list)
    told_to_wait: int = 0
    failed: list[str] = field(factory=list)
    _over: threading.Event = field(factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._come, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *of: object) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join(120)

    def _come(self) -> None:
        while not self._over.is_set() and len(self.paid) < self.at_most:
            customer = Customer(self.stack, f"c{time.monotonic_ns()}@example.org")
            try:
                self._patiently(customer.register)
                self._patiently(lambda c=customer: c.visit.pay())
                self.paid.append(customer)
            except Exception as e:  # noqa: BLE001  (whatever it is, the test tells it)
                self.failed.append(f"{type(e).__name__}: {e}")
                return

    def _patiently(self, act: object) -> None:
        end = time.monotonic() + 60
        while True:
            try:
                act()
            except VisitFailed as e:
                if "503" not in str(e) or time.monotonic() > end:
                    raise
                self.told_to_wait += 1
                time.sleep(0.3)
            else:
                return
