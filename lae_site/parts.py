"""What the routes are made with; the process's ``service.py`` puts it together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from lae_protocol.messages import Plan
from lae_protocol.secret import Secret
from lae_site.cookies import Cookies
from lae_site.front_desk import FrontDesk
from lae_site.opening import Opening
from lae_site.pages import Pages, StaticFile, make_pages, static_files
from lae_site.rate import RateLimit
from lae_site.settings import SiteSettings


@define(frozen=True)
class Parts:
    """Everything that a route may use, already parsed and checked."""

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
    opening: Opening
    registrations: RateLimit
    #: When this copy started, on the reactor's clock.
    started_at: float
    #: The true time, for what Stripe and other copies of the site have dated.
    wall: Callable[[], float]
    #: Streams that are open, by object; their number is bounded.
    streams: set[object] = field(factory=set)

    def plan(self, plan_id: str) -> Plan | None:
        """The plan that is sold under this id."""
        return next((p for p in self.plans if p.plan_id == plan_id), None)

    def may_pay_at(self, url: str) -> bool:
        """Whether a browser may be sent there to pay."""
        return any(url.startswith(o + "/") for o in self.settings.checkout_origins)


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
    """Make the rest from what comes from outside: settings, secrets, time, chance.

    *wall* is the reactor's time where None.
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
        opening=Opening(desk, reactor.seconds),
        registrations=RateLimit(settings.registrations_per_hour, reactor.seconds),
        started_at=reactor.seconds(),
        wall=wall or reactor.seconds,
    )
