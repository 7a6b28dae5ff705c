"""Every try of every call outside: counted for metrics, and watched for silence."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import get_args

from attrs import define, evolve
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from twisted.internet.interfaces import IReactorTime

from lae_flapp.mail.message import Envelope
from lae_flapp.mail.server import IMailServer, MailRefused
from lae_protocol.process.meter import Meter, Outcome

SERVICES = ("ec2", "iam", "kms", "route53", "s3", "smtp", "stripe", "sts")
_BUCKETS = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0)
#: What a service that is there answers; a no is an answer.
_ANSWERED: frozenset[Outcome] = frozenset({"ok", "refused"})


@define(frozen=True)
class Tally:
    """One service: when it was asked last, and since when it has not answered."""

    asked_at: float | None = None
    failing_since: float | None = None

    def after(self, outcome: Outcome, at: float) -> Tally:
        """One more try ended."""
        if outcome in _ANSWERED:
            return Tally(asked_at=at)
        since = self.failing_since
        return evolve(self, asked_at=at, failing_since=at if since is None else since)

    def failing(self, now: float) -> float:
        """Seconds for which nothing was answered; 0 for a service that answers."""
        return 0.0 if self.failing_since is None else now - self.failing_since


class CallFigures:
    """A :class:`~lae_protocol.process.meter.Meter`."""

    def __init__(self, registry: CollectorRegistry, clock: IReactorTime) -> None:
        self._clock = clock
        self._tallies = {service: Tally() for service in SERVICES}
        self._calls = Counter(
            "s4_calls",
            "Tries of calls to outside services.",
            ("service", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "s4_call_seconds",
            "How long a try took.",
            ("service",),
            buckets=_BUCKETS,
            registry=registry,
        )
        failing = Gauge(
            "s4_call_failing_seconds",
            "For how long a service has answered nothing that it was asked.",
            ("service",),
            registry=registry,
        )
        for service in SERVICES:
            self._seconds.labels(service)
            for outcome in get_args(Outcome):
                self._calls.labels(service, outcome)
            failing.labels(service).set_function(partial(self._failing, service))

    def __call__(self, service: str, outcome: Outcome, seconds: float) -> None:
        """Count one try."""
        self._calls.labels(service, outcome).inc()
        self._seconds.labels(service).observe(seconds)
        known = self._tallies.get(service, Tally())
        self._tallies[service] = known.after(outcome, self._clock.seconds())

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """By service."""
        return self._tallies

    def _failing(self, service: str) -> float:
        return self._tallies[service].failing(self._clock.seconds())


@define(frozen=True)
class MeteredMail(IMailServer):
    """A mail server whose deliveries are counted."""

    server: IMailServer
    clock: IReactorTime
    meter: Meter

    async def deliver(self, envelope: Envelope) -> None:
        """See :meth:`IMailServer.deliver`."""
        began = self.clock.seconds()
        outcome: Outcome = "failed"
        try:
            await self.server.deliver(envelope)
            outcome = "ok"
        except MailRefused:
            outcome = "refused"
            raise
        finally:
            self.meter("smtp", outcome, self.clock.seconds() - began)
