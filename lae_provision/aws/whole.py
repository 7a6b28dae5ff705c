"""Whole answers for txaws' clients, which have no deadline and hang on a cut body."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from lae_protocol.aws.body import read_body


@implementer(IResponse)
@define
class WholeResponse:
    """A response whose body has arrived."""

    code: int
    headers: Headers
    body: bytes = field(repr=False)
    version: tuple[bytes, int, int] = (b"HTTP", 1, 1)
    phrase: bytes = b""
    request: object = None
    previousResponse: IResponse | None = None

    @property
    def length(self) -> int:
        """Of the body that is here; not of what a HEAD speaks."""
        return len(self.body)

    def deliverBody(self, protocol: Protocol) -> None:
        """All of it, at once."""
        if self.body:
            protocol.dataReceived(self.body)
        protocol.connectionLost(Failure(ResponseDone()))  # type: ignore[no-untyped-call]

    def setPreviousResponse(self, response: IResponse) -> None:
        """There are no redirections here."""
        self.previousResponse = response


@implementer(IAgent)
@define(frozen=True)
class WholeAnswerAgent:
    """Gives a response only when its body is here, within *seconds* and *limit*.

    txaws' receiver raises inside the transport when a body is cut short, and whoever
    waits for it waits for ever.
    """

    reactor: IReactorTime
    agent: IAgent
    seconds: float
    limit: int

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """As the inner agent; raises what ``read_body`` raises as well."""
        return Deferred.fromCoroutine(self._request(method, uri, headers, bodyProducer))

    async def _request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None,
        producer: IBodyProducer | None,
    ) -> IResponse:
        response = await self.agent.request(method, uri, headers, producer)
        body = await read_body(
            self.reactor, response, seconds=self.seconds, limit=self.limit
        )
        return WholeResponse(response.code, response.headers, body)
