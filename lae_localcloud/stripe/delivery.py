"""Webhooks: signed, sent, and sent again until somebody answers 2xx."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from io import BytesIO
from random import Random
from typing import Any

from attrs import Factory, define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer, readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from lae_localcloud.stripe.notices import matches
from lae_localcloud.stripe.store import Account, Json
from lae_localcloud.stripe.weather import Weather, departures

_log = Logger()

#: Stripe waits this long for an answer, and no longer.
ANSWER_SECONDS = 10.0
#: Stripe tries for three days; here, within what a person waits for.
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)


def signature(secret: str, payload: bytes, at: int) -> str:
    """The ``Stripe-Signature`` header: ``t=…,v1=…``."""
    signed = b"%d.%s" % (at, payload)
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


@define
class Attempt:
    """One sending, for the control endpoint: what was answered (0: nothing)."""

    event: str
    type: str
    endpoint: str
    at: float
    status: int


@define
class Delivery:
    """Sends the account's events to its endpoints.  Nothing is sent once stopped."""

    account: Account
    agent: IAgent
    clock: IReactorTime
    random: Random
    weather: Weather = Factory(Weather)
    attempts: list[Attempt] = Factory(list)
    _gathered: list[Json] = field(factory=list)
    _timers: set[IDelayedCall] = field(factory=set)
    _running: set[Deferred[None]] = field(factory=set)
    _stopped: bool = False

    def take(self, event: Json) -> None:
        """An event was recorded; registered as a listener of the account."""
        event["pending_webhooks"] = len(self._hearing(event))
        self._gathered.append(event)
        if self.weather.window == 0:
            self._depart()
        elif len(self._gathered) == 1:
            self._later(self.weather.window, self._depart)

    def send_again(self, event: Json) -> None:
        """Once more, now, whatever the weather: as from Stripe's dashboard."""
        for endpoint in self._hearing(event):
            self._send(event, endpoint["id"], attempt=0)

    def stop(self) -> None:
        """Forget all that was still to be sent."""
        self._stopped = True
        for timer in list(self._timers):
            timer.cancel()
        self._timers.clear()
        for sending in list(self._running):
            sending.cancel()

    def _depart(self) -> None:
        gathered, self._gathered = self._gathered, []
        for departure in departures(self.weather, gathered, self.random):
            for endpoint in self._hearing(departure.event):
                self._later(
                    departure.after,
                    self._send,
                    departure.event,
                    endpoint["id"],
                    0,
                )

    def _hearing(self, event: Json) -> list[Json]:
        return [
            endpoint
            for endpoint in self.account.all("webhook_endpoint")
            if endpoint["status"] == "enabled"
            and any(matches(p, event["type"]) for p in endpoint["enabled_events"])
        ]

    def _later(self, seconds: float, act: Callable[..., None], *given: Any) -> None:
        def due() -> None:
            self._timers.discard(timer)
            act(*given)

        if not self._stopped:
            timer = self.clock.callLater(seconds, due)
            self._timers.add(timer)

    def _send(self, event: Json, endpoint_id: str, attempt: int) -> None:
        sending = Deferred.fromCoroutine(self._try(event, endpoint_id, attempt))
        self._running.add(sending)

        def done(result: Any) -> None:
            self._running.discard(sending)
            if isinstance(result, Failure) and not isinstance(
                result.value, CancelledError
            ):
                _log.failure("a webhook's delivery broke", failure=result)

        sending.addBoth(done)

    async def _try(self, event: Json, endpoint_id: str, attempt: int) -> None:
        endpoint = self.account.find("webhook_endpoint", endpoint_id)
        if endpoint is None or endpoint["status"] != "enabled":
            return
        status = await self._post(event, endpoint)
        self.attempts.append(
            Attempt(
                event=event["id"],
                type=event["type"],
                endpoint=endpoint_id,
                at=self.account.now(),
                status=status,
            )
        )
        if 200 <= status < 300:  # noqa: PLR2004
            event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
        elif attempt < len(RETRY_SECONDS):
            pause = RETRY_SECONDS[attempt]
            self._later(pause, self._send, event, endpoint_id, attempt + 1)

    async def _post(self, event: Json, endpoint: Json) -> int:
        """The status answered; 0 where there was no answer in time."""
        payload = json.dumps(event, indent=2).encode()
        # Each try is signed anew: an old signature would be turned away.
        header = signature(
            self.account.endpoint_secrets[endpoint["id"]],
            payload,
            self.account.seconds(),
        )
        asked = self.agent.request(
            b"POST",
            endpoint["url"].encode("ascii"),
            Headers(
                {
                    "content-type": ["application/json; charset=utf-8"],
                    "stripe-signature": [header],
                    "user-agent": ["Stripe/1.0 (+https://stripe.com/docs/webhooks)"],
                }
            ),
            FileBodyProducer(BytesIO(payload)),  # type: ignore[no-untyped-call]
        )
        asked.addTimeout(ANSWER_SECONDS, self.clock)
        try:
            response = await asked
            body = readBody(response)
            await body.addTimeout(ANSWER_SECONDS, self.clock)
        except CancelledError:
            raise
        except Exception as e:  # noqa: BLE001  (whatever it was: try again)
            _log.info(
                "webhook {type} not taken: {why}",
                type=event["type"],
                why=type(e).__name__,
            )
            return 0
        return int(response.code)
