"""The payments' object graph, for the daemon's own ``service.py``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from random import SystemRandom
from typing import Any

from attrs import define, field
from twisted.application.service import Service

from lae_flapp.money.stripe.calls import StripeCalls, connect
from lae_flapp.money.stripe.stripe_payments import StripePayments
from lae_flapp.money.stripe.threads import make_stripe_lane
from lae_protocol.process.lane import ThreadLane
from lae_protocol.process.meter import Meter, unmetered
from lae_protocol.secret import Secret


@define(eq=False, slots=False)
class PaymentService(Service):
    """Holds the threads: started before the first call, stopped after the last.

    *api_keys* are current, then previous; *endpoint* is None for Stripe itself.
    """

    reactor: Any
    api_keys: Sequence[Secret]
    endpoint: str | None
    meter: Meter = unmetered
    payments: StripePayments = field(init=False)
    _threads: ThreadLane = field(init=False)

    def __attrs_post_init__(self) -> None:
        if not self.api_keys:
            raise ValueError("stripe.api_keys needs at least one key")
        self._threads = make_stripe_lane(self.reactor)
        calls = StripeCalls(
            self.reactor,
            self._threads,
            [connect(key, self.endpoint) for key in self.api_keys],
            SystemRandom(),
            meter=self.meter,
        )
        self.payments = StripePayments(calls, self._now)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.reactor.seconds(), UTC)

    def startService(self) -> None:
        """Make the threads: not before twistd has forked."""
        super().startService()  # type: ignore[no-untyped-call]
        self._threads.start()

    def stopService(self) -> None:
        """Take no more calls; returns at once."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._threads.abandon()
