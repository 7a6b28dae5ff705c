from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse

class _URLContext: ...

def url_context(
    *,
    scheme: str,
    host: str,
    port: int | None,
    path: list[str],
    query: Sequence[tuple[str, ...]] = ...,
) -> _URLContext: ...

class RequestDetails:
    def __init__(
        self,
        region: str,
        service: bytes,
        method: bytes,
        url_context: _URLContext,
        headers: Headers = ...,
        body_producer: IBodyProducer | None = ...,
        metadata: Mapping[str, str] = ...,
        amz_headers: Mapping[str, str] = ...,
        content_sha256: str | None = ...,
    ) -> None: ...

class _Query:
    def submit(
        self,
        agent: IAgent | None = ...,
        receiver_factory: object = ...,
        utcnow: object = ...,
    ) -> Deferred[tuple[IResponse, bytes] | None]: ...

def query(
    *,
    credentials: object,
    details: RequestDetails,
    reactor: object = ...,
    ok_status: tuple[int, ...] = ...,
) -> _Query: ...

class BaseClient:
    creds: object
