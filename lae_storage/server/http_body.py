"""Long answers, written as fast as the client takes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web import http
from zope.interface import implementer

from lae_storage.server import http_answers as answers
from lae_storage.server.http_answers import AnyRequest

#: Bytes of a share asked for at once.
PIECE = 256 * 1024
#: Bytes written at once, so that the client deciphers while we encipher.
WRITE = 64 * 1024
#: What is answered in one piece; what is longer begins with so much.
FIRST = 64 * 1024
#: Bytes that are asked of S3 at once for one answer.
MOST = 4 * 1024 * 1024


class ClientGone(Exception):
    """The connection ended before the answer did."""


class ShareGone(Exception):
    """There is less of the share than the answer has promised."""


@implementer(IPushProducer)
@define(eq=False)
class Faucet:
    """Tells a coroutine when it may write on."""

    _open: bool = True
    _gone: bool = False
    _waiting: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        """The connection's buffer is full."""
        self._open = False

    def resumeProducing(self) -> None:
        """There is room again."""
        self._open = True
        self._go_on()

    def stopProducing(self) -> None:
        """The client is gone."""
        self._gone = True
        self._go_on()

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def ready(self) -> None:
        """Wait for room; raises :class:`ClientGone`."""
        if not self._open and not self._gone:
            self._waiting = Deferred()
            await self._waiting
        if self._gone:
            raise ClientGone


async def pour(
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
    faucet = Faucet()
    request.registerProducer(faucet, True)  # noqa: FBT003  (Twisted's signature)
    try:
        at = start
        while at < stop:
            data = await read(at, min(PIECE, stop - at))
            if not data:
                raise ShareGone
            for piece in range(0, len(data), WRITE):
                await faucet.ready()
                request.write(data[piece : piece + WRITE])
            at += len(data)
    finally:
        if not request._disconnected:  # noqa: SLF001
            request.unregisterProducer()


def _all_at_once(offset: int, size: int) -> None:
    """Nothing is fetched ahead of what is read."""


async def send(
    request: AnyRequest,
    read: Callable[[int, int], Awaitable[bytes]],
    length: int,
    want: Callable[[int, int], None] = _all_at_once,
) -> bytes:
    """The range of the *length* bytes that the request asks for, or all of them.

    What is short is answered; what is longer is written here.  *want* is told what is
    about to be read.  Raises :class:`Refusal`, and what :func:`pour` does.
    """
    asked = answers.range_of(request, length)
    if asked is not None:
        request.setResponseCode(http.PARTIAL_CONTENT)
        request.setHeader("content-range", f"bytes {asked.start}-{asked.stop - 1}/*")
    wanted = range(length) if asked is None else asked
    want(wanted.start, min(len(wanted), MOST))
    first = await read(wanted.start, min(len(wanted), FIRST)) if wanted else b""
    if len(first) == len(wanted):
        return first
    request.setHeader("content-length", str(len(wanted)))
    request.write(first)
    await pour(request, read, wanted.start + len(first), wanted.stop)
    return b""
