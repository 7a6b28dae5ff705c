"""One call to Stripe: on a thread, with a deadline, retried where that is safe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeVar

import stripe
from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from lae_flapp.money.stripe.errors import RATE_LIMITED, FailsAgain, sorted_out
from lae_flapp.money.stripe.version import API_VERSION
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.process.lane import ThreadLane
from lae_protocol.process.meter import Meter, Outcome, unmetered
from lae_protocol.process.retry import retrying
from lae_protocol.secret import Secret
from lae_provision.errors import Refused, TryLater

T = TypeVar("T")

CONNECT_TIMEOUT = 3.05  # s
READ_TIMEOUT = 8.0  # s between two bytes of an answer (the library waits 80)
#: For one call with its retries; a person may wait for it.
DEADLINE = 20.0  # s
ATTEMPTS = 3
RETRY_AFTER = 0.5  # s at most after the first failure; it doubles
RETRY_AT_MOST = 4.0  # s


def connect(
    api_key: Secret,
    endpoint: str | None,
    timeouts: tuple[float, float] = (CONNECT_TIMEOUT, READ_TIMEOUT),
) -> stripe.StripeClient:
    """Make a client without global state; *endpoint* is None for Stripe's own."""
    where: Any = {} if endpoint is None else {"api": endpoint}
    return stripe.StripeClient(
        api_key.reveal(),
        stripe_version=API_VERSION,
        base_addresses=where,
        # The library's own retries sleep on the thread, do not know 429 and cannot be
        # stopped: so none of them, and ours on the reactor's clock.
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=timeouts),
    )


@define(eq=False)
class StripeCalls:
    """Calls with the first of *clients* whose key Stripe knows (current, previous)."""

    reactor: IReactorTime
    threads: ThreadLane
    clients: Sequence[stripe.StripeClient]
    rng: Random
    deadline: float = DEADLINE
    base: float = RETRY_AFTER
    meter: Meter = unmetered

    async def ask(self, what: str, call: Callable[[stripe.StripeClient], T]) -> T:
        """Do one call; it must be safe to repeat.  Raises TryLater and Refused."""
        waiting = Deferred.fromCoroutine(self._patiently(call))
        try:
            return await with_deadline(self.reactor, self.deadline, what, waiting)
        except DeadlinePassed as e:
            raise TryLater("too-slow", str(e)) from None

    async def _patiently(self, call: Callable[[stripe.StripeClient], T]) -> T:
        return await retrying(
            self.reactor,
            self.rng,
            lambda: self._metered(call),
            attempts=ATTEMPTS,
            base=self.base,
            cap=RETRY_AT_MOST,
            is_retryable=_retryable,
        )

    async def _metered(self, call: Callable[[stripe.StripeClient], T]) -> T:
        outcome: Outcome = "failed"
        began = self.reactor.seconds()
        try:
            done = await self.threads.run(lambda: self._once(call))
        except TryLater as e:
            outcome = "throttled" if e.code == RATE_LIMITED else "failed"
            raise
        except Refused:
            outcome = "refused"
            raise
        else:
            outcome = "ok"
            return done
        finally:
            self.meter("stripe", outcome, self.reactor.seconds() - began)

    def _once(self, call: Callable[[stripe.StripeClient], T]) -> T:
        """On a thread."""
        for client in self.clients[:-1]:
            try:
                return self._sorted(lambda c=client: call(c))  # type: ignore[misc]
            except _KeyUnknown:
                continue
        return self._sorted(lambda: call(self.clients[-1]), last=True)

    def _sorted(self, call: Callable[[], T], *, last: bool = False) -> T:
        try:
            return call()
        except stripe.AuthenticationError as e:
            # Nothing happened: so the key before it may be tried.
            if not last:
                raise _KeyUnknown from None
            raise sorted_out(e) from None
        except stripe.StripeError as e:
            raise sorted_out(e) from None


class _KeyUnknown(Exception):
    """Stripe does not know this key (any more)."""


def _retryable(error: Exception) -> bool:
    return isinstance(error, TryLater) and not isinstance(error, FailsAgain)
