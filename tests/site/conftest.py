"""A site in memory, with a visitor whose browser keeps cookies; no sockets."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from attrs import define, evolve, field
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from lae_protocol.process.key_folder import KeyFolder
from lae_protocol.process.plans import load_plans
from lae_protocol.process.resources import config_folder
from lae_protocol.process.settings import SecretSource
from lae_protocol.secret import Secret
from lae_site.parts import Parts, make_parts
from lae_site.routes import make_web_server
from lae_site.settings import SiteSettings
from tests.twins.front_desk import MemoryDesk

FURL = "pb://" + "a" * 32 + "@g123.grids.example.org:3456/" + "b" * 32
NOW = 1_800_000_000
COOKIE_KEY, OLD_KEY = Secret("k" * 40), Secret("o" * 40)
WEBHOOK_SECRET = Secret("whsec_test")


def site_settings(**changes: Any) -> SiteSettings:
    """Settings of a site behind https."""
    nowhere = KeyFolder(Path("unused"))
    settings = SiteSettings(
        process="site",
        environment="staging",
        site_url="https://s4.example.org",
        listen="tcp:0",
        front_desk_furl=SecretSource(env="S4_UNUSED"),
        webhook_secrets=nowhere,
        cookie_keys=nowhere,
        plans_file=Path("plans.yaml"),
        support_email="support@example.org",
        operator_name="Example Ltd",
        operator_address="1 Example Road, Exampleton",
    )
    return evolve(settings, **changes)


@define
class Answer:
    """What came back, and, where it has not ended, what came so far."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: bytes
    #: Hang up.
    leave: Any
    _transport: StringTransport

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def field(self, name: str) -> str:
        """A hidden field of the page's first form that has it."""
        found = re.search(f'name="{name}" value="([^"]*)"', self.text)
        assert found, f"no field {name}"
        return found[1]

    def more(self) -> str:
        """What a stream has written since it was last read."""
        data: bytes = self._transport.value()
        self._transport.clear()
        chunks = re.findall(
            rb"[0-9a-f]+\r\n(.*?)\r\n(?=[0-9a-f]+\r\n|\Z)", data, re.DOTALL
        )
        return b"".join(chunks).decode()


@define
class Visitor:
    """A browser: sends requests to the site and keeps cookies."""

    factory: Any
    address: str = "192.0.2.7"
    jar: dict[str, str] = field(factory=dict)

    def raw(self, data: bytes) -> Answer:
        """Send bytes."""
        peer = IPv4Address("TCP", self.address, 40000)
        protocol = self.factory.buildProtocol(peer)
        transport = StringTransport(peerAddress=peer)
        protocol.makeConnection(transport)
        protocol.dataReceived(data)
        got = transport.value()
        transport.clear()

        def leave() -> None:
            protocol.connectionLost(Failure(ConnectionDone()))

        head = data.startswith(b"HEAD")
        sock = SimpleNamespace(makefile=lambda mode: BytesIO(got))
        response = http.client.HTTPResponse(
            sock,  # type: ignore[arg-type]
            method="HEAD" if head else "GET",
        )
        response.begin()
        try:
            content = response.read()
            leave()
        except http.client.IncompleteRead as e:
            content = e.partial
        cookies = response.headers.get_all("set-cookie") or []
        for cookie in cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.jar[name] = value
        headers = {k.lower(): v for k, v in response.getheaders()}
        return Answer(response.status, headers, cookies, content, leave, transport)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request as a browser would."""
        sent = {"Host": "s4.example.org", "Content-Length": str(len(body))}
        if self.jar:
            sent["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.jar.items())
        sent |= headers or {}
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in sent.items())]
        return self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        """Send a form."""
        form = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        return self.ask("POST", path, urlencode(fields).encode(), form)

    def sign_up(self, email: str = "ann@example.org", **changes: str) -> Answer:
        """Fill the form in and send it."""
        token = self.get("/signup").field("token")
        fields = {"token": token, "email": email, "terms": "agreed"}
        fields |= {"plan": "s4-small-monthly"} | changes
        return self.post("/signup", fields)


@define
class World:
    """A site, the daemon's twin behind it, a clock, and one visitor."""

    clock: Clock
    desk: MemoryDesk
    parts: Parts
    visitor: Visitor

    def stranger(self, address: str = "192.0.2.99") -> Visitor:
        """Another browser."""
        return Visitor(self.visitor.factory, address)

    def signed_up(self) -> str:
        """The id of a signup that the visitor owns."""
        assert self.visitor.sign_up().status == 303
        return self.desk.ids()[-1]


class _Randomness:
    """Bytes that never repeat, and are the same in each run."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, size: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(size, "big")


def make_world(**changes: Any) -> World:
    """A site with these settings."""
    clock = Clock()
    clock.advance(NOW)
    plans = load_plans(config_folder() / "plans.yaml")
    desk = MemoryDesk(clock, plans, FURL)
    parts = make_parts(
        site_settings(**changes),
        desk,
        plans=plans,
        cookie_keys=[COOKIE_KEY, OLD_KEY],
        webhook_secrets=[WEBHOOK_SECRET, Secret("whsec_previous")],
        reactor=clock,
        randomness=_Randomness(),
    )
    return World(clock, desk, parts, Visitor(make_web_server(parts, clock)))


@pytest.fixture
def world() -> World:
    """A site as in production, but for where it runs."""
    return make_world()


@pytest.fixture
def worlds() -> Any:
    """Makes sites with other settings."""
    return make_world


@pytest.fixture
def settings_with() -> Any:
    """Makes settings."""
    return site_settings


@pytest.fixture
def keys() -> Any:
    """What the worlds' secrets are."""
    return SimpleNamespace(
        cookie=COOKIE_KEY, old=OLD_KEY, webhook=WEBHOOK_SECRET, furl=FURL, now=NOW
    )


@pytest.fixture(autouse=True)
def errors() -> Iterator[list[str]]:
    """Fails a test in which an error was logged that it did not take from here."""
    seen: list[str] = []

    def watch(event: Any) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            seen.append(str(event.get("log_failure") or event.get("log_format")))

    globalLogPublisher.addObserver(watch)
    yield seen
    globalLogPublisher.removeObserver(watch)
    assert seen == []
