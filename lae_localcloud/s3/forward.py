"""Object calls passed on to the store, and its answers back."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote_to_bytes

from attrs import define, field
from twisted.internet.defer import DeferredLock
from twisted.internet.protocol import Protocol
from twisted.web.iweb import IResponse

from lae_localcloud.exchange import ApiError, ApiRequest, ApiResponse, Headers
from lae_localcloud.front.slowness import Slowness
from lae_localcloud.s3.body import Bytes
from lae_localcloud.s3.operations import Operation
from lae_localcloud.s3.weed import Weed
from lae_protocol.aws.body import read_body

_PASSED = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-md5",
        "content-type",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-unmodified-since",
        "range",
        "x-amz-copy-source",
        "x-amz-copy-source-range",
        "x-amz-metadata-directive",
        "x-amz-mp-object-size",
        "x-amz-tagging",
        "x-amz-checksum-mode",
        "x-amz-checksum-type",
        "x-amz-checksum-algorithm",
        "x-amz-sdk-checksum-algorithm",
    }
)
_PASSED_PREFIXES = ("x-amz-meta-", "x-amz-checksum-", "x-amz-copy-source-if-")
#: The store has no keys of the account's: it keeps objects as they are, and the
#: answer says of encryption what was asked for.
_ENCRYPTION = "x-amz-server-side-encryption"
_NOT_RETURNED = frozenset(
    {"connection", "keep-alive", "server", "transfer-encoding", "date"}
)
_SECONDS = 120.0
_LISTING = 64 << 20


@define(frozen=True)
class Stored:
    """An object's answer whose body is still to be read."""

    status: int
    headers: Headers
    response: IResponse = field(repr=False)

    def discard(self) -> None:
        """Let the body go unread."""
        self.response.deliverBody(_Discarding())  # type: ignore[no-untyped-call]


class Store:
    """Passes calls on.  Writes to one key wait for each other: of two conditional
    writes at the same moment, SeaweedFS let both succeed in a versioned bucket.
    """

    def __init__(self, reactor: Any, weed: Weed, slowness: Slowness) -> None:
        self._reactor, self._weed, self._slowness = reactor, weed, slowness
        #: Until when each object that was just written is not there.
        self._unseen: dict[tuple[str, str], float] = {}
        self._locks: dict[tuple[str, str], DeferredLock] = {}

    async def answer(
        self, operation: Operation, request: ApiRequest
    ) -> ApiResponse | Stored:
        """One call; raises :class:`ApiError`."""
        place = (operation.bucket, operation.key)
        if operation.reads_object or "if-match" in request.headers:
            self._raise_if_unseen(place)
        if not operation.changes_object:
            return await self._forward(operation, request)
        lock = self._locks.setdefault(place, DeferredLock())
        await lock.acquire()
        try:
            answer = await self._forward(operation, request)
            if self._slowness.objects:
                until = self._reactor.seconds() + self._slowness.objects
                self._unseen[place] = until
            return answer
        finally:
            if not lock.waiting:
                self._locks.pop(place, None)
            lock.release()

    def _raise_if_unseen(self, place: tuple[str, str]) -> None:
        if self._reactor.seconds() < self._unseen.get(place, 0.0):
            raise ApiError(404, "NoSuchKey", "The specified key does not exist.")
        self._unseen.pop(place, None)

    async def _forward(
        self, operation: Operation, request: ApiRequest
    ) -> ApiResponse | Stored:
        if request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
            raise ApiError(
                501, "NotImplemented", "the local S3 takes no aws-chunked body"
            )
        body = Bytes(request.body) if request.method in ("PUT", "POST") else None
        response = await self._weed.request(
            request.method, request.path, _requoted(request.query), _kept(request), body
        )
        headers = _returned(response, request)
        if operation.action == "GetObject" and response.code in (200, 206):
            return Stored(response.code, headers, response)
        text = b""
        if request.method != "HEAD":
            text = await read_body(
                self._reactor, response, seconds=_SECONDS, limit=_LISTING
            )
        if response.code == 412 and "if-match" in request.headers:  # noqa: PLR2004
            await self._check_there(request)
        return ApiResponse(response.code, headers, text)

    async def _check_there(self, request: ApiRequest) -> None:
        """S3 says NoSuchKey to If-Match on nothing; SeaweedFS: a failed condition."""
        status, _ = await self._weed.small("HEAD", request.path)
        if status == 404:  # noqa: PLR2004
            raise ApiError(404, "NoSuchKey", "The specified key does not exist.")


def _kept(request: ApiRequest) -> dict[str, str]:
    return {
        name: value
        for name, value in request.headers.items()
        if name in _PASSED or name.startswith(_PASSED_PREFIXES)
    }


def _returned(response: IResponse, request: ApiRequest) -> Headers:
    kept = [
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, values in response.headers.getAllRawHeaders()
        for value in values
        if name.lower().decode("latin-1") not in _NOT_RETURNED
    ]
    asked = [(n, v) for n, v in request.headers.items() if n.startswith(_ENCRYPTION)]
    return (*kept, *(asked if request.method in ("PUT", "POST") else ()))


def _requoted(query: str) -> str:
    """The same query with every value quoted in one way, as our signer wants it."""
    parts = (item.partition("=") for item in query.split("&") if item)
    return "&".join(f"{_quoted(n)}={_quoted(v)}" for n, _, v in parts)


def _quoted(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")


class _Discarding(Protocol):
    def dataReceived(self, data: bytes) -> None:
        pass
