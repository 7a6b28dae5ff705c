"""The site's settings: ``config/site.example.yaml`` explains each key."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from attrs import define

from lae_protocol.process.figures_port import check_listen
from lae_protocol.process.key_folder import KeyFolder
from lae_protocol.process.log import LogFormat
from lae_protocol.process.settings import SecretSource

_ORIGIN = re.compile(r"^https?://[A-Za-z0-9.\-\[\]:]+$")

_LIMITS = (
    "registrations_per_hour",
    "streams_at_most",
    "streams_per_network",
    "requests_per_second",
    "connections_per_network",
)


def is_loopback(host: str | None) -> bool:
    """Whether *host* can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


@define(frozen=True)
class SiteSettings:
    """The settings of ``process: site``.  Keys are folders (the newest signs, all
    verify), so that changing a key turns nobody away.
    """

    process: Literal["site"]
    environment: Literal["local", "staging", "production"]
    site_url: str
    listen: str
    front_desk_furl: SecretSource
    webhook_secrets: KeyFolder
    cookie_keys: KeyFolder
    plans_file: Path
    support_email: str
    operator_name: str
    operator_address: str
    checkout_origins: tuple[str, ...] = (
        "https://checkout.stripe.com",
        "https://invoice.stripe.com",
    )
    cookies_over_http: bool = False
    proxies: int = 0
    registrations_per_hour: int = 20
    streams_at_most: int = 500
    streams_per_network: int = 20
    requests_per_second: int = 10
    connections_per_network: int = 100
    usual_build_minutes: int = 3
    log_format: LogFormat = "auto"
    metrics_listen: str | None = "tcp:9472:interface=127.0.0.1"

    def __attrs_post_init__(self) -> None:
        if not _ORIGIN.match(self.site_url):
            raise ValueError("site_url: https://HOST without a path is expected")
        if not all(map(_ORIGIN.match, self.checkout_origins)):
            raise ValueError("checkout_origins: https://HOST without paths is expected")
        check_listen(self.metrics_listen)
        if not self.checkout_origins:
            raise ValueError("checkout_origins: at least one is expected")
        if min(self.proxies, self.usual_build_minutes) < 0:
            raise ValueError("proxies and usual_build_minutes cannot be negative")
        for limit in _LIMITS:
            if getattr(self, limit) < 1:
                raise ValueError(f"{limit} must be at least 1")
        self._refuse_clear_text()

    def _refuse_clear_text(self) -> None:
        """Allow http on this machine alone: elsewhere a cookie could be read."""
        site = urlsplit(self.site_url)
        if self.cookies_over_http and not (
            site.scheme == "http" and is_loopback(site.hostname)
        ):
            raise ValueError("cookies_over_http is for http://localhost alone")
        if site.scheme == "http" and not self.cookies_over_http:
            raise ValueError(
                "site_url: over http browsers keep no __Host- cookies; for a try on"
                " this machine set cookies_over_http: true"
            )
        if self.environment == "production" and not all(
            url.startswith("https://") and not is_loopback(urlsplit(url).hostname)
            for url in (self.site_url, *self.checkout_origins)
        ):
            raise ValueError("production takes https addresses of public hosts alone")
