"""What the routes share; the process's ``service.py`` makes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define
from twisted.internet.interfaces import IReactorTime

from lae_protocol.messages import Plan
from lae_protocol.process.token_bucket import Paces, Rate
from lae_protocol.secret import Secret
from lae_site.cookies import Cookies
from lae_site.daemon_status import DaemonStatus
from lae_site.front_desk import FrontDesk
from lae_site.neighbours import Places, client_of
from lae_site.pages import Pages, StaticFile, make_pages, static_files
from lae_site.settings import SiteSettings


@define(frozen=True)
class Parts:
    """Everything that a route may use, parsed and checked."""

    settings: SiteSettings
    desk: FrontDesk
    plans: tuple[Plan, ...]
    cookie_keys: Sequence[Secret]
    webhook_secrets: Sequence[Secret]
    reactor: IReactorTime
    randomness: Callable[[int], bytes]
    files: dict[str, StaticFile]
    pages: Pages
    cookies: Cookies
    daemon: DaemonStatus
    registrations: Paces
    #: The open streams; their number is limited.
    streams: Places
    #: When this copy started, on the reactor's clock.
    started_at: float
    #: Wall-clock time, for what Stripe and other copies of the site have dated.
    wall: Callable[[], float]

    def plan(self, plan_id: str) -> Plan | None:
        """Find the plan that is sold under this id."""
        return next((p for p in self.plans if p.plan_id == plan_id), None)

    def client(self, request: Any) -> str:
        """Find the neighbourhood that a request comes from."""
        return client_of(request, self.settings.proxies)

    def take_payment_page(self, request: Any) -> int:
        """Count one more payment page that a visitor asks for: 0 if that is allowed,
        else the seconds to wait.
        """
        client = self.client(request)
        now = self.reactor.seconds()
        return self.registrations.of(client, now).count(now)

    def may_pay_at(self, url: str) -> bool:
        """Whether a browser may be sent to *url* to pay."""
        return any(url.startswith(o + "/") for o in self.settings.checkout_origins)


def rate_of_registrations(per_hour: int) -> Rate:
    """Allow at once a minute's worth, or five where that is less."""
    return Rate(per_hour / 3600, min(max(5.0, per_hour / 60), per_hour))


def make_parts(
    settings: SiteSettings,
    desk: FrontDesk,
    *,
    plans: tuple[Plan, ...],
    cookie_keys: Sequence[Secret],
    webhook_secrets: Sequence[Secret],
    reactor: IReactorTime,
    randomness: Callable[[int], bytes],
    wall: Callable[[], float] | None = None,
) -> Parts:
    """Make the parts from settings, secrets, time and randomness.

    Without *wall*, the reactor's time is used.
    """
    files = static_files()
    return Parts(
        settings=settings,
        desk=desk,
        plans=plans,
        cookie_keys=cookie_keys,
        webhook_secrets=webhook_secrets,
        reactor=reactor,
        randomness=randomness,
        files=files,
        pages=make_pages(settings, files),
        cookies=Cookies(settings.cookies_over_http),
        daemon=DaemonStatus(desk, reactor.seconds),
        registrations=Paces(rate_of_registrations(settings.registrations_per_hour)),
        streams=Places(settings.streams_at_most, settings.streams_per_network),
        started_at=reactor.seconds(),
        wall=wall or reactor.seconds,
    )
