"""HTTP for the fronts: requests read whole, answers written, connections cut."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from lae_localcloud.account.calls import Call
from lae_localcloud.account.moto import Moto
from lae_localcloud.account.principals import Principal
from lae_localcloud.control import CONTROL_PATH, Control
from lae_localcloud.exchange import (
    ApiError,
    ApiRequest,
    ApiResponse,
    Headers,
    error_response,
)
from lae_localcloud.faults import Struck
from lae_localcloud.front.gate import Addressed, Gate, addressed, in_its_words
from lae_localcloud.front.trouble import CutConnection, Trouble

_log = Logger()


#: Answers a call about stacks of whoever may make it, or raises ApiError.
OfStacks = Callable[[Call, ApiRequest, Principal], ApiResponse]


class Answering(Protocol):
    """Answers a Twisted request, now or later."""

    def render(self, request: Any) -> int:
        """Answer it; ``NOT_DONE_YET``."""
        ...

    async def ask(self, request: ApiRequest) -> ApiResponse:
        """The answer to a request that comes over no network; raises ApiError."""
        ...


def read_request(request: Any) -> ApiRequest:
    """The request whole; Twisted has its body in memory, or on disk where large."""
    path, _, query = request.uri.decode("ascii", "replace").partition("?")
    headers = {
        name.decode("latin-1").lower(): ",".join(v.decode("latin-1") for v in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
    request.content.seek(0)
    method = request.method.decode("ascii", "replace")
    return ApiRequest(method, path, query, headers, request.content.read())


def write_head(request: Any, status: int, headers: Headers) -> None:
    """Status and headers.

    Twisted writes names in capitals, which clients ignore, but for an object's own
    metadata: there the name is the customer's.
    """
    request.setResponseCode(status)
    for name, value in headers:
        if name.startswith("x-amz-meta-"):
            raw = request.responseHeaders._rawHeaders  # noqa: SLF001  (see above)
            raw[name.encode("latin-1")] = [value.encode("latin-1")]
        else:
            request.responseHeaders.addRawHeader(name, value)


def write_response(request: Any, answer: ApiResponse) -> None:
    """Answer and finish; nothing where the client went away."""
    if gone(request):
        return
    write_head(request, answer.status, answer.headers)
    if request.method != b"HEAD":
        request.setHeader("content-length", str(len(answer.body)))
        request.write(answer.body)
    request.finish()


def cut(request: Any) -> None:
    """End the connection as if the network had failed."""
    request.channel.transport.abortConnection()


def spawn(request: Any, service: str, work: Coroutine[Any, Any, None]) -> int:
    """Let *work* answer.

    It goes on when the client goes away, as at AWS: what was asked is still done.
    """
    request.notifyFinish().addErrback(lambda _: None)
    Deferred.fromCoroutine(work).addErrback(_ended_badly, request, service)
    return NOT_DONE_YET


def gone(request: Any) -> bool:
    """Tell whether the client went away."""
    return bool(request._disconnected)  # noqa: SLF001  (Twisted has no public word)


def _ended_badly(failure: Failure, request: Any, service: str) -> None:
    if isinstance(failure.value, ApiError):
        error = in_its_words(service, failure.value)
        write_response(request, error_response(service, error))
        return
    if not isinstance(failure.value, CutConnection):
        _log.failure("a call of {service}", failure=failure, service=service)
    if not gone(request):
        cut(request)


class AwsFront(Resource):
    """The AWS endpoint: any service but S3, which *s3* takes; and the control."""

    isLeaf = True

    def __init__(
        self,
        moto: Moto,
        gate: Gate,
        trouble: Trouble,
        control: Control,
        *,
        s3: Answering,
        stacks: OfStacks,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._moto, self._gate, self._trouble = moto, gate, trouble
        self._control, self._s3, self._stacks = control, s3, stacks

    def render(self, request: Any) -> int:
        """One request."""
        if request.path.startswith(CONTROL_PATH):
            return self._control.render(request)
        try:
            asked = addressed(read_request(request))
        except ApiError as e:
            write_response(request, error_response("iam", e))
            return NOT_DONE_YET
        if asked.call.service == "s3":
            return self._s3.render(request)
        return spawn(request, asked.call.service, self._serve(request, asked))

    async def ask(self, request: ApiRequest) -> ApiResponse:
        """The answer to a signed request that comes over no network.

        Raises :class:`ApiError` and
        :class:`~lae_localcloud.front.trouble.CutConnection`.
        """
        asked = addressed(request)
        if asked.call.service == "s3":
            return await self._s3.ask(request)
        return await self._answered(asked)

    async def _serve(self, request: Any, asked: Addressed) -> None:
        write_response(request, await self._answered(asked))

    async def _answered(self, asked: Addressed) -> ApiResponse:
        async def do(_: Struck | None) -> ApiResponse:
            if asked.call.service == "cloudformation":
                # A stack asks moto in its turn: it cannot be in moto's thread.
                caller = await self._moto.run(self._gate.admit, asked)
                return self._stacks(asked.call, asked.request, caller)
            return await self._moto.run(self._gate.answer, asked)

        return await self._trouble.around(asked.call, do)
