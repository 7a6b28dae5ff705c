"""Connections to AWS: TCP, with TLS where the address says so, and room for much."""

from __future__ import annotations

from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

#: Seconds to connect.
PATIENCE = 10.0
#: Bytes given to the system at once.  Twisted's 128 KiB cost a turn of the reactor and
#: a copy of what is left for each; with these the node spends an eighth less on an
#: upload.
AT_ONCE = 512 * 1024


@implementer(IStreamClientEndpoint)
@define(frozen=True, eq=False)
class Wide:
    """Connects by *inner*; the connection may give the system more at once."""

    inner: IStreamClientEndpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :class:`IStreamClientEndpoint`."""

        def widened(protocol: Any) -> IProtocol:
            protocol.transport.SEND_LIMIT = AT_ONCE
            found: IProtocol = protocol
            return found

        connecting: Deferred[Any] = self.inner.connect(protocolFactory)
        return connecting.addCallback(widened)


@implementer(IAgentEndpointFactory)
@define(frozen=True, eq=False)
class Endpoints:
    """An endpoint for each address; *policy* is of certificates."""

    reactor: Any
    policy: IPolicyForHTTPS

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """See :class:`IAgentEndpointFactory`."""
        endpoint = Wide(
            HostnameEndpoint(self.reactor, uri.host, uri.port, timeout=PATIENCE)
        )
        if uri.scheme != b"https":
            return endpoint
        creator = self.policy.creatorForNetloc(uri.host, uri.port)
        wrapped: IStreamClientEndpoint = wrapClientTLS(creator, endpoint)
        return wrapped
