from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from txaws.client.base import BaseClient, RequestDetails, _Query, _URLContext
from txaws.service import AWSServiceEndpoint

class S3Client(BaseClient):
    endpoint: AWSServiceEndpoint
    def __init__(
        self,
        creds: object = ...,
        endpoint: AWSServiceEndpoint | None = ...,
        query_factory: Callable[..., object] | None = ...,
        receiver_factory: object = ...,
        agent: IAgent | None = ...,
        utcnow: object = ...,
        cooperator: object = ...,
    ) -> None: ...
    def _submit(self, query: _Query) -> Deferred[tuple[IResponse, bytes] | None]: ...
    def _query_factory(
        self, details: RequestDetails, *, ok_status: tuple[int, ...] = ...
    ) -> _Query: ...
    def _details(
        self,
        *,
        method: bytes,
        url_context: _URLContext,
        headers: Headers = ...,
        body: bytes | None = ...,
    ) -> RequestDetails: ...
