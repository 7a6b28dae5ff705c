"""HTTP servers on loopback."""

from __future__ import annotations

from io import BytesIO
from typing import IO, Any

from attrs import define, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.web.resource import Resource
from twisted.web.server import Site


class LoopbackSite(Site):
    """Keeps request bodies in memory, and no log of requests: ours says more."""

    displayTracebacks = False
    noisy = False

    def getContentFile(self, length: int | None) -> IO[bytes]:
        """Where a request's body goes."""
        del length
        return BytesIO()

    def log(self, request: Any) -> None:
        """Nothing."""


@define(frozen=True)
class Listening:
    """An open port."""

    url: str
    port: int
    _closing: Any = field(repr=False)

    def close(self) -> Deferred[Any]:
        """Take no more connections."""
        return maybeDeferred(self._closing.stopListening)


def listen(reactor: Any, resource: Resource, port: int) -> Listening:
    """Serve on 127.0.0.1; a free port where *port* is 0."""
    site = LoopbackSite(resource)  # type: ignore[no-untyped-call]
    opened = reactor.listenTCP(port, site, interface="127.0.0.1")
    number = opened.getHost().port
    return Listening(f"http://127.0.0.1:{number}", number, opened)
