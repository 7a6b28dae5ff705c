"""Whole answers for txAWS' clients, which would hang on a body that is cut short."""

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
        """The length of the body, not of a HEAD's content-length."""
        return len(self.body)

    def deliverBody(self, protocol: Protocol) -> None:
        """Deliver the whole body at once."""
        if self.body:
            protocol.dataReceived(self.body)
        protocol.connectionLost(Failure(ResponseDone()))  # type: ignore[no-untyped-call]

    def setPreviousResponse(self, response: IResponse) -> None:
        """Keep *response*; there are no redirections here."""
        self.previousResponse = response


@implementer(IAgent)
@define(frozen=True)
class WholeAnswerAgent:
    """Returns a response once its body has arrived, within *seconds* and *limit*.

    When a body is cut short, txAWS' receiver raises inside the transport, and its
    caller waits for ever.
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
        """Request as the inner agent does; also raises the errors of ``read_body``."""
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
