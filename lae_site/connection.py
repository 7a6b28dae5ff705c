"""A visitor's connection: requests are judged by their heads and arrive in time."""

from __future__ import annotations

from typing import Any

from lae_site.draining import DrainableChannel


class BoundedChannel(DrainableChannel):
    """Refuses a request before its body is read, and a request that is slow to come.

    ``requests``, ``length`` and ``_path`` are Twisted's, of the request that arrives;
    ``site`` is the server.
    """

    site: Any
    _path: bytes
    _arriving = False
    _read_no_more = False

    def dataReceived(self, data: bytes) -> None:
        """Take what came, unless the connection only waits for its last answer."""
        if not self._read_no_more:
            super().dataReceived(data)  # type: ignore[no-untyped-call]

    def resetTimeout(self) -> None:
        """Count from a request's first byte, so that who sends byte by byte gains no
        time.
        """
        if not self._arriving:
            self._arriving = True
            super().resetTimeout()  # type: ignore[no-untyped-call]

    def allHeadersReceived(self) -> None:
        """Judge the request; if it is refused, answer it and read no body."""
        request: Any = self.requests[-1]
        judge = self.site.admission.judge
        request.refusal = judge(request, self._path, self.length)
        if request.refusal is not None:
            # With nothing more to read, Twisted goes on to the answer.
            self.length = 0
            request.requestHeaders.removeHeader(b"expect")
        if request.refusal is not None and request.refusal.delay:
            self.clearLineBuffer()  # type: ignore[no-untyped-call]
            self._read_no_more = True
            self.transport.pauseProducing()  # type: ignore[union-attr]
        super().allHeadersReceived()  # type: ignore[no-untyped-call]
        if request.refusal is not None:
            # What follows may be the body: it is no next request.
            self.persistent = False
            request.responseHeaders.setRawHeaders(b"connection", [b"close"])

    def allContentReceived(self) -> None:
        """Answer the request; the next one has its own time to arrive."""
        self._arriving = False
        super().allContentReceived()  # type: ignore[no-untyped-call]

    def lineLengthExceeded(self, line: bytes) -> None:
        """Answer what is too long for a head."""
        del line
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Answer what is not HTTP with our page and headers."""
        self.transport.write(self.site.bad_request)  # type: ignore[union-attr]
        self.site.refusals.tell("what is not HTTP", "400")
        self.loseConnection()  # type: ignore[no-untyped-call]
