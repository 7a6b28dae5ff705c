"""A port of its own for what watches a process: ``/metrics`` and ``/health``.

What watches must not stop what is watched: a port that is taken is tried again, and a
question that hangs is cut short, while the process goes on with its work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import define
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from lae_protocol.process.deadline import DeadlinePassed, with_deadline

#: Seconds until a port that is taken is tried again.
AGAIN = 10.0
#: Seconds that one answer may take; Prometheus itself waits ten.
PATIENCE = 5.0
_UNHEALTHY = 503
_LAST_PORT = 65535
_TCP = re.compile(r"(tcp6?:(?:port=)?)(\d+)(.*)", re.DOTALL)


@define(frozen=True)
class HealthReport:
    """How a process is: for programs the status, for people the facts."""

    healthy: bool
    facts: Mapping[str, Any]

    @property
    def status(self) -> int:
        """Of HTTP."""
        return 200 if self.healthy else _UNHEALTHY

    def as_json(self) -> bytes:
        """One line."""
        return json.dumps(self.facts).encode() + b"\n"


def check_listen(listen: str | None) -> None:
    """Raise ValueError where nothing could ever listen there."""
    if listen is None:
        return
    if not _is_endpoint(listen):
        raise ValueError(
            "metrics_listen: tcp:PORT:interface=ADDRESS is expected, or null"
        )


def _is_endpoint(listen: str) -> bool:
    found = _TCP.fullmatch(listen)
    if found is not None and int(found[2]) > _LAST_PORT:
        return False
    try:
        serverFromString(None, listen)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError):
        return False
    return True


def of_copy(listen: str | None, copy: int) -> str | None:
    """Where copy number *copy* (from 1) of several with the same settings listens: at
    the next port after the one before it.  What is no TCP port is the same for all.
    """
    found = None if listen is None else _TCP.fullmatch(listen)
    if found is None:
        return listen
    kind, port, rest = found.groups()
    return f"{kind}{int(port) + copy - 1}{rest}"


async def nothing() -> None:
    """Refresh nothing before metrics are written."""


@define(frozen=True)
class Figures:
    """What is told.

    *refresh* is awaited before metrics are written; whatever it raises is logged, and
    the metrics then are those of before.
    """

    registry: CollectorRegistry
    health: Callable[[], Awaitable[HealthReport]]
    refresh: Callable[[], Awaitable[None]] = nothing


class FiguresPort(Service):
    """Serves both paths at *listen* (an endpoint of Twisted's); None for nowhere."""

    _log = Logger()

    def __init__(self, reactor: Any, listen: str | None, figures: Figures) -> None:
        self._reactor, self._listen, self._figures = reactor, listen, figures
        self._port: Any = None
        self._again: IDelayedCall | None = None
        self._told = False

    def startService(self) -> None:
        """Listen, as soon as that is possible."""
        super().startService()  # type: ignore[no-untyped-call]
        if self._listen is not None:
            self._try()

    def stopService(self) -> Any:
        """Listen no more."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._again is not None and self._again.active():
            self._again.cancel()
        port, self._port = self._port, None
        return None if port is None else port.stopListening()

    def _try(self) -> None:
        assert self._listen is not None
        factory = Site(  # type: ignore[no-untyped-call]
            _root(self._reactor, self._figures), timeout=60
        )
        factory.noisy = False
        factory.log = lambda _: None  # type: ignore[assignment]
        endpoint = serverFromString(self._reactor, self._listen)  # type: ignore[no-untyped-call]
        endpoint.listen(factory).addCallbacks(self._listens, self._taken)

    def _listens(self, port: Any) -> None:
        if not self.running:
            port.stopListening()
            return
        self._port = port
        host = port.getHost()
        self._log.info(
            "metrics and health at {host}:{port}", host=host.host, port=host.port
        )

    def _taken(self, failure: Any) -> None:
        failure.trap(CannotListenError)
        if not self._told:
            self._told = True
            self._log.error(
                "metrics cannot be served: {problem}",
                problem=failure.getErrorMessage(),
            )
        if self.running:
            self._again = self._reactor.callLater(AGAIN, self._try)


def _root(reactor: Any, figures: Figures) -> Resource:
    root = Resource()  # type: ignore[no-untyped-call]
    root.putChild(b"metrics", _Answering(reactor, lambda r: _metrics(figures, r)))
    root.putChild(b"health", _Answering(reactor, lambda r: _health(figures, r)))
    return root


async def _metrics(figures: Figures, request: Any) -> bytes:
    try:
        await figures.refresh()
    except Exception:  # noqa: BLE001  (the old ones are better than none)
        FiguresPort._log.failure("figures cannot be refreshed")  # noqa: SLF001  (its own)
    write, media_type = choose_encoder(request.getHeader("accept") or "")
    request.setHeader(b"content-type", media_type.encode("ascii"))
    return write(figures.registry)


async def _health(figures: Figures, request: Any) -> bytes:
    report = await figures.health()
    request.setResponseCode(report.status)
    request.setHeader(b"content-type", b"application/json")
    return report.as_json()


class _Answering(Resource):
    """One path, answered by a coroutine within :data:`PATIENCE`."""

    isLeaf = True

    def __init__(self, reactor: Any, answer: Callable[[Any], Awaitable[bytes]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._reactor, self._answer = reactor, answer

    def render_GET(self, request: Any) -> int:
        """Answer, or say that it takes too long."""
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        request.setHeader(b"cache-control", b"no-store")
        answering = Deferred.fromCoroutine(self._answered(request))
        with_deadline(self._reactor, PATIENCE, "figures", answering).addCallbacks(
            lambda body: body,
            lambda failure: self._failed(request, failure),
        ).addCallback(lambda body: None if gone else _finish(request, body))
        return NOT_DONE_YET

    async def _answered(self, request: Any) -> bytes:
        return await self._answer(request)

    @staticmethod
    def _failed(request: Any, failure: Any) -> bytes:
        if not failure.check(DeadlinePassed):
            FiguresPort._log.failure("figures cannot be told", failure)  # noqa: SLF001  (its own)
        request.setResponseCode(_UNHEALTHY)
        return b"no answer in time\n"


def _finish(request: Any, body: bytes) -> None:
    request.setHeader(b"content-length", str(len(body)).encode("ascii"))
    request.write(body)
    request.finish()
