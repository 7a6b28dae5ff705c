"""The object graph of the local Stripe, on one screen."""

from __future__ import annotations

import time
from random import SystemRandom
from typing import Any

from attrs import define, field
from klein import Klein
from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool

from lae_localcloud.listening import LoopbackSite
from lae_localcloud.stripe import catalog, checkout
from lae_localcloud.stripe.api import Api
from lae_localcloud.stripe.control import Control
from lae_localcloud.stripe.delivery import Delivery
from lae_localcloud.stripe.hosted import HostedPages
from lae_localcloud.stripe.operations import DAEMON_RIGHTS
from lae_localcloud.stripe.store import Account
from lae_protocol.messages import Plan
from lae_protocol.secret import Secret

_log = Logger()
_SWEEP_SECONDS = 5.0
_CONNECT_SECONDS = 5.0
_METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH"]


@define(eq=False, slots=False)
class LocalStripe(Service):
    """One process' Stripe: API, hosted pages, webhooks, control, on one loopback port.

    *secret_key* may do everything; *restricted_key* what the daemon needs.
    """

    reactor: Any
    secret_key: Secret
    restricted_key: Secret
    port: int = 0
    account: Account = field(init=False)
    api: Api = field(init=False)
    delivery: Delivery = field(init=False)
    app: Klein = field(init=False)
    _listening: Any = field(init=False, default=None)
    _connections: Any = field(init=False, default=None)
    _sweep: LoopingCall = field(init=False)

    def __attrs_post_init__(self) -> None:
        clock: IReactorTime = self.reactor
        self.account = Account(now=time.time, base_url=lambda: self.url)
        pool = HTTPConnectionPool(self.reactor)  # type: ignore[no-untyped-call]
        agent = Agent(  # type: ignore[no-untyped-call]
            self.reactor, connectTimeout=_CONNECT_SECONDS, pool=pool
        )
        self._pool = pool
        self.delivery = Delivery(self.account, agent, clock, SystemRandom())
        self.account.listeners.append(self.delivery.take)
        self.api = Api(
            self.account,
            {self.secret_key: None, self.restricted_key: DAEMON_RIGHTS},
            lambda: self.url,
        )
        self.app = Klein()
        self.app.route("/v1/<path:path>", methods=_METHODS)(self.api.answer)
        HostedPages(self.account).add_to(self.app)
        Control(self.account, self.api.faults, self.delivery).add_to(self.app)
        self.app.handle_errors(Exception)(_unexpected)
        self._sweep = LoopingCall(self._expire)
        self._sweep.clock = clock

    @property
    def url(self) -> str:
        """Where it stands, once started."""
        if self._listening is None:
            return f"http://127.0.0.1:{self.port}"
        return f"http://127.0.0.1:{self._listening.getHost().port}"

    def sell(self, plans: tuple[Plan, ...]) -> None:
        """Make a product and a price, with the plan's id as lookup key, for each."""
        for plan in plans:
            catalog.create_price(
                self.account,
                {
                    "currency": plan.currency,
                    "lookup_key": plan.plan_id,
                    "product_data": {"name": plan.name},
                    "recurring": {"interval": plan.interval},
                    "unit_amount": plan.price,
                },
            )

    def startService(self) -> None:
        """Listen, on loopback alone."""
        super().startService()  # type: ignore[no-untyped-call]
        site: Any = LoopbackSite(self.app.resource())  # type: ignore[no-untyped-call]
        self._connections = WrappingFactory(site)  # type: ignore[no-untyped-call]
        self._listening = self.reactor.listenTCP(
            self.port, self._connections, interface="127.0.0.1"
        )
        self._sweep.start(_SWEEP_SECONDS, now=False)

    def stopService(self) -> Any:
        """Stop listening and sending; fires once the port is free."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._sweep.running:
            self._sweep.stop()
        self.delivery.stop()
        listening, self._listening = self._listening, None
        waits = [self._pool.closeCachedConnections()]  # type: ignore[no-untyped-call]
        if listening is not None:
            waits.append(defer.maybeDeferred(listening.stopListening))
            for connection in list(self._connections.protocols):
                # A client may keep its connection for ever, or wait for an answer
                # that a fault told us never to give.
                connection.transport.abortConnection()
            waits.append(deferLater(self.reactor, 0))
        return defer.DeferredList(waits)

    def _expire(self) -> None:
        """Sessions end by themselves, and their event goes out, asked or not."""
        for session in self.account.all("checkout.session"):
            checkout.current(self.account, session["id"])


def _unexpected(request: Any, failure: Failure) -> bytes:
    code = getattr(failure.value, "code", None)
    request.setResponseCode(code if isinstance(code, int) else 500)
    request.setHeader("content-type", "text/plain; charset=utf-8")
    if not isinstance(code, int):
        _log.failure("a request broke the local Stripe", failure=failure)
        return b"The local Stripe has a bug; its log tells.\n"
    return b"No such page.\n"
