"""The HTTP front ("Great Black Swamp"): requests in, answers or refusals out.

It stands in for upstream's ``HTTPServer`` and takes the same arguments.  Requests
come through :mod:`lae_storage.server.http_request`, which has checked the swissnum;
a resource used without that site checks it here.
"""

from __future__ import annotations

from typing import Any

from allmydata.storage.http_common import swissnum_auth_header
from allmydata.util.hashutil import timing_safe_compare
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from lae_storage.server import http_both, http_immutable, http_mutable
from lae_storage.server.http_answers import AnyRequest, Refusal
from lae_storage.server.http_body import ClientGone
from lae_storage.server.http_incoming import IncomingFile
from lae_storage.server.http_refusals import refusal_of
from lae_storage.server.http_routes import Served, asked_of
from lae_storage.server.storage_server import S3StorageServer

_log = Logger()
ROUTES = (*http_both.ROUTES, *http_immutable.ROUTES, *http_mutable.ROUTES)


class HttpFront(Resource):
    """All routes as one resource."""

    isLeaf = True

    def __init__(self, reactor: Any, server: S3StorageServer, swissnum: bytes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        del reactor  # upstream's signature
        self._expected = swissnum_auth_header(swissnum)
        self.served = Served(server)
        forget = self.served.uploads.remove_write_bucket
        server.register_bucket_writer_close_handler(forget)

    def get_resource(self) -> HttpFront:
        """The resource to serve, as upstream's class has it."""
        return self

    def receive(self, request: AnyRequest) -> IncomingFile | None:
        """Where a body goes while it arrives; None where it is to be all here first."""
        return http_immutable.receive(self.served, request)

    def render(self, request: AnyRequest) -> int:
        """Answer when the answer is here."""
        request.defaultContentType = None
        # An operation is carried through though its client goes away meanwhile: to
        # stop in the middle of a write would leave us not knowing what S3 has.
        answering = Deferred.fromCoroutine(self._answer(request))
        answering.addErrback(self._failed, request)
        answering.addErrback(lambda f: _log.failure("an answer failed", f))
        return NOT_DONE_YET

    async def _answer(self, request: AnyRequest) -> None:
        try:
            body = await self._body(request)
        except Refusal as e:
            request.setResponseCode(e.status)
            body = e.text.encode()
        if request._disconnected:  # noqa: SLF001  (Twisted tells nowhere else)
            return
        if request.startedWriting == 0:
            request.setHeader("content-length", str(len(body)))
        request.write(body)
        request.finish()

    async def _body(self, request: AnyRequest) -> bytes:
        refusal = getattr(request, "refusal", None) or self._judge(request)
        if refusal is not None:
            raise Refusal(refusal)
        answer, asked = asked_of(ROUTES, request)
        try:
            return await answer(self.served, asked)
        except Exception as e:
            refused = refusal_of(e)
            if refused is None:
                raise
            raise refused from None

    def _judge(self, request: AnyRequest) -> int | None:
        authorization = request.getHeader(b"authorization") or b""
        known = timing_safe_compare(authorization, self._expected)
        return None if known else http.UNAUTHORIZED

    def _failed(self, failure: Any, request: AnyRequest) -> None:
        if request._disconnected or failure.check(ClientGone):  # noqa: SLF001
            return
        _log.failure("an answer failed", failure)
        if request.startedWriting == 0:
            request.setResponseCode(http.INTERNAL_SERVER_ERROR)
            request.setHeader("content-length", "0")
            request.finish()
        elif request.channel is not None:
            # What was sent cannot be taken back: only an end shows that it is short.
            request.channel.forceAbortClient()
