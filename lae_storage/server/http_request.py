"""The edge of the HTTP front: who may ask, and how much a request may bring.

Everything is checked when the headers are here, before a byte of the body is kept:
without the swissnum a request costs one comparison, and its body goes nowhere.  What
may come before the headers are here is limited at :mod:`lae_protocol.process.gate`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from allmydata.storage.http_common import swissnum_auth_header
from allmydata.util.hashutil import timing_safe_compare
from twisted.web import http
from twisted.web.server import Request, Site

#: Bodies up to this size are kept in memory, as every PATCH of upstream's client is.
IN_MEMORY = 2 * 1024 * 1024
#: The longest body of an authenticated request: one change of a mutable file.
LONGEST_BODY = 1024 * 1024 * 1024
#: Bodies up to this size are waited for before a refusal is told, as clients expect
#: it; one that is longer or untold is refused at once, and the connection closed.
WAITED_FOR = 16 * 1024
#: Seconds in which a connection must send something.
IDLE = 15 * 60


class Sink(BytesIO):
    """Keeps nothing."""

    def write(self, data: Any) -> int:
        """Drop it."""
        return len(data)


class GuardedRequest(Request):
    """Refused before its body, where it is nobody's or too long.

    *refusal* is the status to answer with, None for a request to be served.
    """

    refusal: int | None = None

    def gotLength(self, length: int | None) -> None:
        """The headers are here: decide where the body goes."""
        channel: Any = self.channel
        site: GuardedSite = channel.site
        # Twisted tells the request itself only when its body is here.
        self.method = channel._command  # noqa: SLF001
        self.path = channel._path.partition(b"?")[0]  # noqa: SLF001
        self.refusal = site.judge(self, length)
        if self.refusal is not None:
            self.content = Sink()
            if length is None or length > WAITED_FOR:
                self._refuse_unread(self.refusal)
        elif (taken := site.resource.receive(self)) is not None:
            self.content = taken
        elif length is not None and length <= IN_MEMORY:
            self.content = BytesIO()
        else:
            self.content = tempfile.TemporaryFile(dir=site.folder)  # noqa: SIM115

    def _refuse_unread(self, status: int) -> None:
        """Answer now; whatever comes yet is not looked at."""
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
        """A piece of the body; one without a length may grow too long."""
        assert self.content is not None
        if self.refusal is None and self.content.tell() + len(data) > LONGEST_BODY:
            self.refusal = http.REQUEST_ENTITY_TOO_LARGE
            self.content = Sink()
        self.content.write(data)


class Receives(Protocol):
    """A resource that may take a body while it arrives."""

    def receive(self, request: Request) -> Any:
        """The file that the body is to be written to, or None for one of its own."""


class GuardedSite(Site):
    """Serves *resource* to those who know *swissnum*; *folder* is for long bodies."""

    resource: Receives

    def __init__(
        self,
        resource: Any,
        swissnum: bytes,
        folder: Path,
        admit: Callable[[Any], object] = lambda _: None,
    ) -> None:
        """*admit* is told the address of each connection that knows the swissnum."""
        super().__init__(  # type: ignore[no-untyped-call]
            resource, requestFactory=GuardedRequest, timeout=IDLE
        )
        self._expected = swissnum_auth_header(swissnum)
        self.folder, self._admit = folder, admit

    def log(self, _: Any) -> None:
        """No access log: a storage index in it would tell who reads what."""

    def judge(self, request: Request, length: int | None) -> int | None:
        """The status to refuse with, or None."""
        authorization = request.getHeader(b"authorization") or b""
        if not timing_safe_compare(authorization, self._expected):
            return http.UNAUTHORIZED
        self._admit(request.getClientAddress())  # type: ignore[no-untyped-call]
        if length is not None and length > LONGEST_BODY:
            return http.REQUEST_ENTITY_TOO_LARGE
        return None
