"""The one way to AWS: an agent that signs, with a pool and deadlines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from lae_protocol.aws.body import read_body
from lae_protocol.aws.connections import Endpoints
from lae_protocol.aws.credentials import CredentialsSource
from lae_protocol.aws.sigv4 import EMPTY_SHA256, Scope, Unsignable, body_sha256, sign
from lae_protocol.aws.tls import NamedPeerPolicy
from lae_protocol.process.deadline import with_deadline

#: The header that says what the signature covers of the body.
PAYLOAD_HEADER = "x-amz-content-sha256"
#: Seconds after which idle connections are dropped, before AWS does it.
IDLE = 15
CONNECTIONS = 16


def pooled_agent(reactor: Any, policy: IPolicyForHTTPS | None = None) -> Agent:
    """An agent with kept connections; certificates need a subjectAltName.

    *reactor* is IReactorTime and IReactorPluggableNameResolver in one.  No proxy of
    the environment is used and no redirection followed.
    """
    pool = HTTPConnectionPool(reactor, persistent=True)  # type: ignore[no-untyped-call]
    pool.maxPersistentPerHost = CONNECTIONS
    pool.cachedConnectionTimeout = IDLE
    endpoints = Endpoints(reactor, policy or NamedPeerPolicy())
    agent: Agent = Agent.usingEndpointFactory(  # type: ignore[no-untyped-call]
        reactor, endpoints, pool
    )
    return agent


@implementer(IBodyProducer)
@define
class BytesBody:
    """A request's body that is in memory, written at once."""

    body: bytes
    length: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.length = len(self.body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write everything."""
        consumer.write(self.body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """All is written already."""

    def resumeProducing(self) -> None:
        """All is written already."""

    def stopProducing(self) -> None:
        """All is written already."""


@implementer(IAgent)
class SigningAgent:
    """Signs what goes through it, and gives up when no headers come.

    A header ``x-amz-content-sha256`` of the caller's is believed (a hash, or
    ``UNSIGNED-PAYLOAD``); without one only a request without a body can be signed.
    *wall* is the true time, which AWS compares with its own; the reactor's where None.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        agent: IAgent,
        credentials: CredentialsSource,
        scope: Scope,
        *,
        patience: float = 30.0,
        wall: Callable[[], float] | None = None,
    ) -> None:
        self._wall = wall or reactor.seconds
        self._reactor, self._agent = reactor, agent
        self._credentials, self._scope, self._patience = credentials, scope, patience

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send it, signed with the credentials and the clock of now.

        Raises ``Unsignable``, ``DeadlinePassed`` (the request may have been carried
        out), what the credentials' source and the agent raise.
        """
        sending = Deferred.fromCoroutine(
            self._request(method, uri, headers or Headers(), bodyProducer)
        )
        return with_deadline(
            self._reactor, self._patience, self._scope.service, sending
        )

    async def _request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers,
        producer: IBodyProducer | None,
    ) -> IResponse:
        given = {
            name.decode("ascii").lower(): b",".join(values).decode("utf-8")
            for name, values in headers.getAllRawHeaders()
        }
        payload = given.get(PAYLOAD_HEADER)
        if payload is None:
            if producer is not None:
                raise Unsignable("a request with a body needs the body's hash")
            payload = EMPTY_SHA256
        sent = sign(
            await self._credentials.current(),
            self._scope,
            datetime.fromtimestamp(self._wall(), UTC),
            method=method.decode("ascii"),
            url=uri.decode("ascii"),
            headers=given,
            payload=payload,
        )
        raw = {name.encode("ascii"): [v.encode("utf-8")] for name, v in sent.items()}
        return await self._agent.request(method, uri, Headers(raw), producer)


@define(frozen=True)
class Answer:
    """A whole response: status, headers and body."""

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)


def fetch(
    reactor: IReactorTime,
    agent: IAgent,
    method: str,
    url: str,
    *,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    seconds: float = 30.0,
    limit: int = 16 << 20,
) -> Deferred[Answer]:
    """Ask through *agent* (the body's hash is added) and read the whole answer.

    The body may take *seconds* more and have *limit* bytes; the status is the
    caller's to judge.
    """
    return Deferred.fromCoroutine(
        _fetch(reactor, agent, method, url, headers or {}, body, seconds, limit)
    )


async def _fetch(  # noqa: PLR0917  (one caller, two lines above)
    reactor: IReactorTime,
    agent: IAgent,
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes | None,
    seconds: float,
    limit: int,
) -> Answer:
    sent = {PAYLOAD_HEADER: body_sha256(body or b""), **headers}
    response = await agent.request(
        method.encode("ascii"),
        url.encode("ascii"),
        Headers({name: [value] for name, value in sent.items()}),
        None if body is None else BytesBody(body),
    )
    whole = await read_body(reactor, response, seconds=seconds, limit=limit)
    return Answer(response.code, response.headers, whole)
