"""The site's metrics, of itself and of how the daemon answers: ``docs/metrics.rst``."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from lae_protocol.process.figures_port import Figures
from lae_protocol.process.own_figures import OwnFigures
from lae_site.health import SiteHealth
from lae_site.parts import Parts

#: Streams last as long as a browser watches, so their duration says nothing.
_STREAMS = "/signup/<string:signup_id>/events"


class RequestFigures:
    """Counts answers by route, never by path: a visitor can send any path."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "route")
        self._answers = Counter(
            "s4_site_requests",
            "Requests that were answered.",
            (*labels, "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "s4_site_request_seconds",
            "How long an answer took, live progress left out.",
            labels,
            registry=registry,
        )

    def __call__(self, request: Any, seconds: float) -> None:
        """Count one answered request."""
        route = request.route
        method = request.method.decode("ascii", "replace")
        if method not in {"GET", "HEAD", "POST"}:
            method = "other"
        self._answers.labels(method, route, str(request.code)).inc()
        if route != _STREAMS:
            self._seconds.labels(method, route).observe(seconds)


def site_figures(parts: Parts, registry: CollectorRegistry) -> Figures:
    """Make the metrics and the health of this copy of the site."""
    answers = Gauge(
        "s4_site_daemon_answers",
        "Whether the daemon answers the site (1) or not (0).",
        registry=registry,
    )
    silence = Gauge(
        "s4_site_daemon_silence_seconds",
        "Since the daemon's last answer, or since the start where there was none.",
        registry=registry,
    )
    is_open = Gauge(
        "s4_site_signups_open",
        "Whether new signups are taken (1) or not (0).",
        registry=registry,
    )
    Gauge(
        "s4_site_streams",
        "Browsers that watch their signup live.",
        registry=registry,
    ).set_function(lambda: len(parts.streams))
    health = SiteHealth(parts)

    async def refresh() -> None:
        doors = await parts.daemon.doors()
        answers.set(doors is not None)
        age = parts.daemon.age
        silence.set(parts.reactor.seconds() - parts.started_at if age is None else age)
        is_open.set(doors is not None and doors.signups_open)

    return Figures(registry, health.report, refresh)


def own_figures(
    reactor: Any, registry: CollectorRegistry, ahead: Callable[[], float]
) -> OwnFigures:
    """Make the metrics that every process has."""
    return OwnFigures(reactor, registry, "site", version("s4"), ahead)
