"""The HTTP front ("Great Black Swamp"): who may ask, and answers or refusals.

:class:`HttpFront` stands in for upstream's ``HTTPServer`` and takes the same arguments.
Requests come through :class:`GuardedSite`, which checks everything when the headers are
here, before a byte of the body is kept: without the swissnum a request costs one
comparison, and its body goes nowhere.  What may come before the headers are here is
limited at :mod:`lae_protocol.process.gate`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from allmydata.interfaces import (
    BadWriteEnablerError,
    ConflictingWriteError,
    DataTooLargeError,
    NoSpace,
)
from allmydata.storage.http_common import swissnum_auth_header
from allmydata.storage.http_server import _HTTPError
from allmydata.util.hashutil import timing_safe_compare
from pycddl import ValidationError
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from lae_storage.s3.interface import StoreError
from lae_storage.server.http_messages import (
    LONGEST_BODY,
    AnyRequest,
    ClientGone,
    PatchFile,
    Refusal,
)
from lae_storage.server.http_routes import (
    Served,
    find_answer,
    get_version,
    receive,
)
from lae_storage.server.immutable import UploadOver
from lae_storage.server.limits import Suspended
from lae_storage.server.storage_server import S3StorageServer
from lae_storage.server.upload import SomebodyElses

_log = Logger()
#: A longer body is kept in a file, a shorter one in memory, as is every PATCH of
#: upstream's client.
BODY_IN_MEMORY = 2 * 1024 * 1024  # bytes
#: A body up to this size is waited for before it is refused, as clients expect.  One
#: that is longer or of unknown length is refused at once, and the connection closed.
BODY_WAITED_FOR = 16 * 1024  # bytes
#: In which a connection must send something.
IDLE_TIMEOUT = 15 * 60  # s


class Sink(BytesIO):
    """A file that keeps nothing."""

    def write(self, data: Any) -> int:
        """Drop the data."""
        return len(data)


class GuardedRequest(Request):
    """A request that is refused before its body where it must be.

    *refusal* is the status to answer with, None for a request to be served.
    """

    refusal: int | None = None

    def gotLength(self, length: int | None) -> None:
        """Decide where the body goes, as soon as the headers are here."""
        channel: Any = self.channel
        site: GuardedSite = channel.site
        # Twisted tells the request itself only when its body is here.
        self.method = channel._command  # noqa: SLF001
        self.path = channel._path.partition(b"?")[0]  # noqa: SLF001
        self.refusal = site.find_refusal(self, length)
        if self.refusal is not None:
            self.content = Sink()
            if length is None or length > BODY_WAITED_FOR:
                self._refuse_unread(self.refusal)
        elif (taken := site.resource.receive(self)) is not None:
            self.content = taken
        elif length is not None and length <= BODY_IN_MEMORY:
            self.content = BytesIO()
        else:
            self.content = tempfile.TemporaryFile(dir=site.folder)  # noqa: SIM115

    def _refuse_unread(self, status: int) -> None:
        """Answer now; whatever still comes is not looked at."""
        channel: Any = self.channel
        words = http.RESPONSES[status]
        channel.transport.writeSequence(
            [
                b"HTTP/1.1 %d %s\r\n" % (status, words),
                b"content-length: 0\r\nconnection: close\r\n\r\n",
            ]
        )
        channel.loseConnection()

    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body; one of unknown length may become too long."""
        assert self.content is not None
        if self.refusal is None and self.content.tell() + len(data) > LONGEST_BODY:
            self.refusal = http.REQUEST_ENTITY_TOO_LARGE
            self.content = Sink()
        self.content.write(data)


class ReceivesBodies(Protocol):
    """A resource that may take a body while it arrives."""

    def receive(self, request: Request) -> Any:
        """The file that the body is to be written to, or None for one of its own."""


class GuardedSite(Site):
    """Serves *resource* to those who know *swissnum*; *folder* is for long bodies."""

    resource: ReceivesBodies

    def __init__(
        self,
        resource: Any,
        swissnum: bytes,
        folder: Path,
        admit: Callable[[Any], object] = lambda _: None,
    ) -> None:
        """*admit* is told the address of each connection that knows the swissnum."""
        super().__init__(  # type: ignore[no-untyped-call]
            resource, requestFactory=GuardedRequest, timeout=IDLE_TIMEOUT
        )
        self._expected = swissnum_auth_header(swissnum)
        self.folder, self._admit = folder, admit

    def log(self, _: Any) -> None:
        """No access log: a storage index in it would tell who reads what."""

    def find_refusal(self, request: Request, length: int | None) -> int | None:
        """The status to refuse with, or None."""
        authorization = request.getHeader(b"authorization") or b""
        if not timing_safe_compare(authorization, self._expected):
            return http.UNAUTHORIZED
        self._admit(request.getClientAddress())  # type: ignore[no-untyped-call]
        if length is not None and length > LONGEST_BODY:
            return http.REQUEST_ENTITY_TOO_LARGE
        return None


FULL = http.INSUFFICIENT_STORAGE_SPACE
#: Makes the refusal for an error of each class; the first class that fits is taken.
_REFUSALS: tuple[tuple[type[Exception], Callable[[Exception], Refusal]], ...] = (
    (ValidationError, lambda _: Refusal(http.BAD_REQUEST, "not what the schema says")),
    (BadWriteEnablerError, lambda _: Refusal(http.UNAUTHORIZED)),
    (ConflictingWriteError, lambda _: Refusal(http.CONFLICT)),
    (SomebodyElses, lambda _: Refusal(http.CONFLICT)),
    (DataTooLargeError, lambda _: Refusal(http.REQUEST_ENTITY_TOO_LARGE)),
    (NoSpace, lambda _: Refusal(FULL, "no space")),
    (Suspended, lambda e: Refusal(FULL, str(e))),
    (UploadOver, lambda _: Refusal(http.NOT_FOUND)),
)


def to_refusal(error: Exception) -> Refusal | None:
    """How to answer *error*; None for an unexpected one."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, _HTTPError):
        return Refusal(error.code)
    if isinstance(error, StoreError):
        _log.error("S3 failed us: {why}", why=str(error))
        # The code has no secret, and says whether trying again is of use.
        return Refusal(http.SERVICE_UNAVAILABLE, f"the store behind us: {error.code}")
    for kind, answer in _REFUSALS:
        if isinstance(error, kind):
            return answer(error)
    return None


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

    def receive(self, request: AnyRequest) -> PatchFile | None:
        """Where a body goes while it arrives; None if it must be here first."""
        return receive(self.served, request)

    def render(self, request: AnyRequest) -> int:
        """Answer the request, when the answer is here."""
        request.defaultContentType = None
        # An operation is carried out even if its client goes away meanwhile: if it
        # stopped in the middle of a write, we would not know what S3 has.
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
        refusal = getattr(request, "refusal", None) or self._check_swissnum(request)
        if refusal is not None:
            raise Refusal(refusal)
        answer, asked = find_answer(request)
        try:
            if answer is not get_version:
                await self.served.storage.fence.wait()
            return await answer(self.served, asked)
        except Exception as e:
            refused = to_refusal(e)
            if refused is None:
                raise
            raise refused from None

    def _check_swissnum(self, request: AnyRequest) -> int | None:
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
