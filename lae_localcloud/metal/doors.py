"""Doors in the cloud's namespace: ports there, answered by this process here."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.protocols.portforward import ProxyFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from lae_localcloud.listening import LoopbackSite
from lae_localcloud.metal.namespace import Namespace
from lae_localcloud.metal.rules import METADATA, SERVICES

_HTTP = 80
#: Ports of the services' address.
AWS, S3, HTTPS = 9000, 9001, 443


class MetadataDoor(Resource):
    """169.254.169.254: an instance is known by the address that it asks from."""

    isLeaf = True

    def __init__(self, metadata_of: Callable[[str], Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._metadata_of = metadata_of

    def render(self, request: Any) -> int:
        """One request."""
        found = self._metadata_of(request.getClientAddress().host)
        if found is not None:
            answered: int = found.render(request)
            return answered
        request.setResponseCode(404)
        request.finish()
        return NOT_DONE_YET


class Doors:
    """All of one cloud."""

    def __init__(self, reactor: Any, namespace: Namespace) -> None:
        self._reactor, self._namespace = reactor, namespace
        self._metadata: socket.socket | None = None
        self._open: list[Any] = []

    def open_metadata(self) -> None:
        """Blocks for a moment.  Answers travel one hop, as EC2's do by default: what is
        behind an instance (a container in a network of its own) does not get them.
        """
        self._metadata = self._namespace.listen(METADATA, _HTTP, ttl=1)

    def serve_metadata(self, resource: Resource) -> None:
        """Answer there."""
        assert self._metadata is not None, "not opened"
        self._adopt(self._metadata, _site(resource))

    def serve(self, resource: Resource, port: int) -> str:
        """Answer on a port of the services' address; its URL."""
        self.open(_site(resource), port)
        return f"http://{SERVICES}:{port}"

    def open(self, factory: Any, port: int) -> None:
        """Let *factory* speak to whoever connects there."""
        self._adopt(self._namespace.listen(SERVICES, port), factory)

    def forward(self, port: int) -> None:
        """Whoever connects there is connected to the same port of our loopback."""
        factory = ProxyFactory("127.0.0.1", port)
        factory.noisy = False
        self.open(factory, port)

    async def close(self) -> None:
        """Take no more connections."""
        for port in self._open:
            await maybeDeferred(port.stopListening)

    def _adopt(self, listening: socket.socket, factory: Any) -> None:
        port = self._reactor.adoptStreamPort(
            listening.fileno(), socket.AF_INET, factory
        )
        # The reactor has a descriptor of its own.
        listening.close()
        self._open.append(port)


def _site(resource: Resource) -> Site:
    return LoopbackSite(resource)  # type: ignore[no-untyped-call]
