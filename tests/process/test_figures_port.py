"""The port for metrics and health, over real sockets."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, readBody
from twisted.web.http_headers import Headers

from lae_localcloud.ports import free_ports
from lae_protocol.process import figures_port
from lae_protocol.process.figures_port import (
    Figures,
    FiguresPort,
    HealthReport,
    of_copy,
)


@given(
    st.sampled_from(["tcp:", "tcp:port=", "tcp6:"]),
    st.integers(0, 65000),
    st.integers(1, 99),
    st.sampled_from(["", ":interface=127.0.0.1"]),
)
def test_copies_have_ports_one_after_the_other(
    kind: str, port: int, copy: int, rest: str
) -> None:
    """The first has the settings'."""
    assert of_copy(f"{kind}{port}{rest}", 1) == f"{kind}{port}{rest}"
    assert of_copy(f"{kind}{port}{rest}", copy) == f"{kind}{port + copy - 1}{rest}"


@given(st.none() | st.sampled_from(["unix:/run/s4/m.sock", "systemd:domain=INET"]))
def test_what_is_no_port_is_the_same_for_all(listen: str | None) -> None:
    """There is nothing to count on."""
    assert of_copy(listen, 7) == listen


class PortTests(TestCase):
    def setUp(self) -> None:
        self.registry = CollectorRegistry()
        self.gauge = Gauge("s4_something", "Some.", registry=self.registry)
        self.healthy = True
        self.number = free_ports(1)[0]
        self.refreshed = 0
        self.hang = False

    async def health(self) -> HealthReport:
        if self.hang:
            await Deferred()
        return HealthReport(self.healthy, {"status": "x"})

    async def refresh(self) -> None:
        self.refreshed += 1
        if self.refreshed > 1:
            raise RuntimeError("the journal is away")
        self.gauge.set(7)

    def port(self) -> FiguresPort:
        listen = f"tcp:{self.number}:interface=127.0.0.1"
        made = FiguresPort(
            reactor, listen, Figures(self.registry, self.health, self.refresh)
        )
        made.startService()
        self.addCleanup(made.stopService)
        return made

    async def get(self, path: str, **headers: str) -> tuple[int, str, bytes]:
        url = f"http://127.0.0.1:{self.number}{path}".encode()
        sent = Headers({name: [value] for name, value in headers.items()})
        answer: Any = await Agent(reactor).request(b"GET", url, sent)
        media_type = answer.headers.getRawHeaders("content-type", [""])[0]
        return answer.code, media_type, await readBody(answer)

    async def test_metrics(self) -> None:
        """Metrics are refreshed, then written in the form that is asked for; when they
        cannot be refreshed, those of before are written.
        """
        self.port()
        status, media_type, body = await self.get("/metrics")
        self.assertEqual((status, media_type.split(";")[0]), (200, "text/plain"))
        self.assertIn(b"s4_something 7.0", body)
        accept = "application/openmetrics-text; version=1.0.0"
        status, media_type, body = await self.get("/metrics", accept=accept)
        self.assertIn("openmetrics", media_type)
        self.assertIn(b"s4_something 7.0", body)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_health(self) -> None:
        """Health is JSON; 200 is well and 503 is not."""
        self.port()
        status, media_type, body = await self.get("/health")
        self.assertEqual((status, media_type), (200, "application/json"))
        self.assertEqual(json.loads(body), {"status": "x"})
        self.healthy = False
        self.assertEqual((await self.get("/health"))[0], 503)
        self.assertEqual((await self.get("/"))[0], 404)

    async def test_a_question_that_hangs_is_cut_short(self) -> None:
        """Health that takes too long is bad health."""
        self.patch(figures_port, "PATIENCE", 0.2)
        self.hang = True
        self.port()
        self.assertEqual((await self.get("/health"))[0], 503)

    async def test_a_port_that_is_taken_is_tried_again(self) -> None:
        """The process goes on without metrics, and listens once the port is free."""
        self.patch(figures_port, "AGAIN", 0.05)
        other = reactor.listenTCP(  # type: ignore[attr-defined]
            self.number,
            figures_port.Site(figures_port.Resource()),
            interface="127.0.0.1",
        )
        made = self.port()
        await _turns(3)
        self.assertIsNone(made._port)
        await other.stopListening()
        while made._port is None:
            await _turns(1)
        self.assertEqual((await self.get("/health"))[0], 200)


async def _turns(count: int) -> None:
    for _ in range(count):
        turned: Deferred[None] = Deferred()
        reactor.callLater(0.02, turned.callback, None)  # type: ignore[attr-defined]
        await turned


class NoPortTests(TestCase):
    def test_null_is_nowhere(self) -> None:
        """Without an address nothing listens."""
        memory = MemoryReactorClock()
        figures = Figures(CollectorRegistry(), Clock)  # type: ignore[arg-type]
        FiguresPort(memory, None, figures).startService()
        self.assertEqual(memory.tcpServers, [])
