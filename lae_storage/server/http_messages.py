"""What the HTTP front reads from requests and writes to answers.

A long answer is written as fast as the client takes it.  The body of a PATCH goes to
its upload while it is received, so that S3 gets a share's bytes while the client is
still sending them; what a request that is cut off in the middle had brought is kept,
since the client sends the same bytes again.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Awaitable, Callable
from io import RawIOBase
from os import SEEK_END
from typing import Any

from allmydata.storage.http_common import CBOR_MIME_TYPE, Secrets, get_content_type
from allmydata.storage.http_server import (
    ClientSecretsException,
    _extract_secrets,
)
from allmydata.util import cbor
from allmydata.util.cputhreadpool import defer_to_thread
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web import http
from zope.interface import implementer

from lae_storage.server.immutable import BucketWriter

#: A longer CBOR body is checked in a thread; for a shorter one a thread takes longer.
CHECKED_IN_PLACE = 64 * 1024  # bytes
#: Of a share, read at once.
READ_PIECE = 256 * 1024  # bytes
#: Of an answer, written at once, so that the client deciphers while we encipher.
WRITE_PIECE = 64 * 1024  # bytes
#: A longer answer begins with so much; a shorter one is written in one piece.
ANSWERED_AT_ONCE = 64 * 1024  # bytes
#: Asked of S3 at once for one answer.
PREFETCHED = 4 * 1024 * 1024  # bytes
#: Of a PATCH, given to its upload at once; TLS brings 16 KiB.
ACCEPT_GRAIN = 128 * 1024  # bytes
#: The longest body of an authenticated request: one change of a mutable file.
LONGEST_BODY = 1024 * 1024 * 1024  # bytes
#: ``twisted.web.server.Request``, whose methods have no types.
AnyRequest = Any

_RANGE = re.compile(r"^bytes=(\d{1,19})-(\d{1,19})$")
_CONTENT_RANGE = re.compile(r"^bytes (\d{1,19})-(\d{1,19})/(\*|\d{1,19})$")


class Refusal(Exception):
    """Answer with this status and text."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(status, text)
        self.status, self.text = status, text


def read_secrets(
    request: AnyRequest, required: frozenset[Secrets]
) -> dict[Secrets, bytes]:
    """The request's secrets, as upstream reads them: exactly the *required* ones."""
    given = request.requestHeaders.getRawHeaders("X-Tahoe-Authorization", [])
    try:
        found: dict[Secrets, bytes] = _extract_secrets(given, set(required))
    except ClientSecretsException:
        # The error's text would tell what was sent.
        names = sorted(s.value for s in required)
        expected = f"expected the secrets {names}"
        raise Refusal(http.BAD_REQUEST, expected) from None
    return found


def body_size(request: AnyRequest) -> int:
    """The bytes of the request's body."""
    content: Any = request.content
    size: int = content.seek(0, SEEK_END)
    content.seek(0)
    return size


async def read_cbor(request: AnyRequest, schema: Any, longest: int) -> Any:
    """The body, checked against the schema; a long one in a thread.

    Raises :class:`Refusal` and pycddl's ValidationError.
    """
    kind = get_content_type(request.requestHeaders)
    if kind not in (None, CBOR_MIME_TYPE):
        raise Refusal(http.UNSUPPORTED_MEDIA_TYPE)
    content: Any = request.content
    size = body_size(request)
    if size > longest:
        raise Refusal(http.REQUEST_ENTITY_TOO_LARGE)
    if size <= CHECKED_IN_PLACE:
        return schema.validate_cbor(content.read(), True)  # noqa: FBT003
    try:
        # A long body is in a file: the reader maps it and makes no copy.
        message = mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ)
    except (ValueError, OSError):
        message = content.read()
    return await defer_to_thread(schema.validate_cbor, message, True)  # noqa: FBT003


def answer_cbor(request: AnyRequest, data: object) -> bytes:
    """The answer's body; raises :class:`Refusal` where CBOR is not accepted."""
    # Of several headers upstream reads the first.
    accepted = request.requestHeaders.getRawHeaders("accept", [CBOR_MIME_TYPE])[0]
    if not any(
        part.partition(";")[0].strip() in (CBOR_MIME_TYPE, "application/*", "*/*")
        for part in accepted.split(",")
    ):
        raise Refusal(http.NOT_ACCEPTABLE)
    request.setHeader("content-type", CBOR_MIME_TYPE)
    encoded: bytes = cbor.dumps(data)
    return encoded


def read_range(request: AnyRequest, length: int) -> range | None:
    """The bytes asked for, cut at *length*; None where no range is asked for.

    Raises :class:`Refusal`: 416 for what is no range of the one form that clients
    send, 204 for an empty one, since Content-Range cannot say that.
    """
    header = request.getHeader("range")
    if header is None:
        return None
    match = _RANGE.match(header.replace(" ", ""))
    if match is None or int(match[2]) < int(match[1]):
        raise Refusal(http.REQUESTED_RANGE_NOT_SATISFIABLE)
    asked = range(int(match[1]), min(int(match[2]) + 1, length))
    if not asked:
        raise Refusal(http.NO_CONTENT)
    return asked


def read_content_range(request: AnyRequest) -> range:
    """Where a PATCH writes; raises :class:`Refusal`."""
    match = _CONTENT_RANGE.match(request.getHeader("content-range") or "")
    if match is None or int(match[2]) < int(match[1]):
        raise Refusal(http.REQUESTED_RANGE_NOT_SATISFIABLE)
    return range(int(match[1]), int(match[2]) + 1)


class ClientGone(Exception):
    """The connection ended before the answer did."""


class ShareGone(Exception):
    """There is less of the share than the answer has promised."""


@implementer(IPushProducer)
@define(eq=False)
class FlowControl:
    """Tells a coroutine when it may write more to a connection."""

    _open: bool = True
    _gone: bool = False
    _waiting: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        """Hold the writer: the connection's buffer is full."""
        self._open = False

    def resumeProducing(self) -> None:
        """Let the writer go on: there is room again."""
        self._open = True
        self._wake()

    def stopProducing(self) -> None:
        """End the writer: the client is gone."""
        self._gone = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def wait_for_room(self) -> None:
        """Wait until the connection has room; raises :class:`ClientGone`."""
        if not self._open and not self._gone:
            self._waiting = Deferred()
            await self._waiting
        if self._gone:
            raise ClientGone


async def write_range(
    request: AnyRequest,
    read: Callable[[int, int], Awaitable[bytes]],
    start: int,
    stop: int,
) -> None:
    """Write the bytes from *start* to *stop* as the answer's body.

    Raises what *read* raises; what was written until then cannot be taken back.
    """
    if request._disconnected:  # noqa: SLF001  (Twisted tells nowhere else)
        raise ClientGone
    flow = FlowControl()
    request.registerProducer(flow, True)  # noqa: FBT003  (Twisted's signature)
    try:
        at = start
        while at < stop:
            data = await read(at, min(READ_PIECE, stop - at))
            if not data:
                raise ShareGone
            for piece in range(0, len(data), WRITE_PIECE):
                await flow.wait_for_room()
                request.write(data[piece : piece + WRITE_PIECE])
            at += len(data)
    finally:
        if not request._disconnected:  # noqa: SLF001
            request.unregisterProducer()


def _prefetch_nothing(offset: int, size: int) -> None:
    """Fetch nothing ahead of what is read."""


async def answer_range(
    request: AnyRequest,
    read: Callable[[int, int], Awaitable[bytes]],
    length: int,
    prefetch: Callable[[int, int], None] = _prefetch_nothing,
) -> bytes:
    """The range of the *length* bytes that the request asks for, or all of them.

    A short range is returned; a longer one is written here.  *prefetch* is called with
    the range that is about to be read.  Raises :class:`Refusal`, and what
    :func:`write_range` does.
    """
    asked = read_range(request, length)
    if asked is not None:
        request.setResponseCode(http.PARTIAL_CONTENT)
        request.setHeader("content-range", f"bytes {asked.start}-{asked.stop - 1}/*")
    wanted = range(length) if asked is None else asked
    prefetch(wanted.start, min(len(wanted), PREFETCHED))
    size = min(len(wanted), ANSWERED_AT_ONCE)
    first = await read(wanted.start, size) if wanted else b""
    if len(first) == len(wanted):
        return first
    request.setHeader("content-length", str(len(wanted)))
    request.write(first)
    await write_range(request, read, wanted.start + len(first), wanted.stop)
    return b""


class TooShort(Exception):
    """The body has fewer bytes than its range."""


@define(eq=False)
class PatchBody:
    """Bytes for *writer* from *start* to *stop*; more are dropped."""

    writer: BucketWriter
    start: int
    stop: int
    _received: int = 0
    _error: Exception | None = None
    _held: bytearray = field(factory=bytearray, repr=False)
    _at: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._at = self.start

    def append(self, data: bytes) -> None:
        """Add the bytes that came next; an error is raised at the end."""
        room = self.stop - self.start - self._received
        self._received += min(len(data), room)
        self._held += data[:room]
        if len(self._held) >= ACCEPT_GRAIN:
            self._flush()

    def _flush(self) -> None:
        if self._held and self._error is None:
            data = bytes(self._held)
            try:
                self.writer.accept(self._at, data)
            except Exception as e:  # noqa: BLE001  (raised at the end)
                self._error = e
            self._at += len(data)
        self._held.clear()

    async def finish(self) -> bool:
        """End the body; whether the share is complete.

        Raises what the bytes were refused for, and :class:`TooShort`.
        """
        self._flush()
        if self._error is not None:
            raise self._error
        if self._received < self.stop - self.start:
            raise TooShort
        complete = self.writer.spool.complete()
        await self.writer.wait_to_answer()
        return complete


class PatchFile(RawIOBase):
    """The file of a request's content, as Twisted wants one, that feeds an upload."""

    def __init__(self, body: PatchBody) -> None:
        self.body = body
        self._size = 0

    def write(self, data: Any) -> int:
        """Hand the bytes on."""
        self.body.append(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        """How many bytes came."""
        return self._size

    def seek(self, offset: int, whence: int = 0) -> int:
        """Do nothing: there is nothing to go back to."""
        del whence
        return offset
