"""Both protocols to one storage server, from byte to byte, with no sockets.

Whoever asks says how time goes on until the answer is there: *go_on* is called again
and again, and may move the clocks of what the server waits for.
"""

from __future__ import annotations

import http.client
from base64 import b64encode
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from allmydata.storage.http_common import CBOR_MIME_TYPE, swissnum_auth_header
from allmydata.util import cbor
from attrs import define, field
from foolscap.api import Referenceable
from foolscap.broker import Broker
from foolscap.referenceable import TubRef
from foolscap.remoteinterface import getRemoteInterface
from foolscap.test.common import Loopback
from pycddl import Schema
from twisted.internet.defer import maybeDeferred
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

SWISSNUM = b"a-swissnum"
ANY = Schema("a = any")
#: Upstream's client looks at this before it looks at the status.
SHARE = "application/octet-stream"
TURNS = 60


def secret(name: str, value: bytes) -> str:
    """One of the secrets of a request."""
    return f"{name} {b64encode(value).decode()}"


@define(eq=False)
class Turn:
    """Something to be done in the next turn."""

    do: Callable[[], object] | None

    def cancel(self) -> None:
        self.do = None


@define
class Turns:
    """The part of a reactor that Foolscap and twisted.web need: a next turn.

    No Clock, since Foolscap lets go of references while the garbage is collected, which
    may be in the middle of anything.
    """

    waiting: list[Turn] = field(factory=list)

    def callLater(self, _: float, do: Callable[[], object]) -> Turn:
        turn = Turn(do)
        self.waiting.append(turn)
        return turn

    def go_on(self) -> None:
        """The next turn."""
        waiting, self.waiting = self.waiting, []
        for turn in waiting:
            if turn.do is not None:
                turn.do()


@define(frozen=True)
class Said:
    """An answer: what a client looks at."""

    status: int
    kind: str | None
    range: str | None
    body: Any


class _Bytes:
    """What http.client reads an answer from."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, _: str) -> BytesIO:
        return BytesIO(self.data)


@define
class Gbs:
    """HTTP to *site*; each request on a connection of its own."""

    site: Any
    go_on: Callable[[], None]

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        secrets: Iterable[str] = (),
        *,
        swissnum: bytes = SWISSNUM,
        **headers: str,
    ) -> Said:
        """One request; a *body* that is no bytes is sent as CBOR."""
        data = body if isinstance(body, bytes) else b""
        if body is not None and not isinstance(body, bytes):
            data = cbor.dumps(body)
            headers["content_type"] = CBOR_MIME_TYPE
        lines = [
            f"{method} /storage/v1/{path} HTTP/1.1",
            "Host: h",
            "Connection: close",
            f"Accept: {CBOR_MIME_TYPE}",
            f"Authorization: {swissnum_auth_header(swissnum).decode()}",
            f"Content-Length: {len(data)}",
            *(f"X-Tahoe-Authorization: {s}" for s in secrets),
            *(f"{n.replace('_', '-')}: {v}" for n, v in headers.items()),
        ]
        head = "".join(f"{line}\r\n" for line in lines)
        return self._answer(method, head.encode() + b"\r\n" + data)

    def _answer(self, method: str, request: bytes) -> Said:
        protocol, transport = self.site.buildProtocol(None), StringTransport()
        transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]
        protocol.makeConnection(transport)
        protocol.dataReceived(request)
        for _ in range(TURNS):
            if transport.disconnecting:
                break
            self.go_on()
        assert transport.disconnecting, "no answer"
        answer = http.client.HTTPResponse(_Bytes(transport.value()), method=method)  # type: ignore[arg-type]
        answer.begin()
        body: Any = answer.read()
        kind = answer.getheader("content-type")
        if kind == CBOR_MIME_TYPE and answer.status < 300:
            body = ANY.validate_cbor(body, True)
        elif answer.status >= 300:
            # For people: ours says more.
            body = None
            kind = kind if kind == SHARE else None
        return Said(answer.status, kind, answer.getheader("content-range"), body)


@define
class Foolscap:
    """Foolscap to *front*: one connection, with a broker at each end."""

    front: Referenceable
    go_on: Callable[[], None]
    _ends: list[Loopback] = field(factory=list)

    def connect(self) -> Any:
        """A new connection; the reference to the front."""
        here, there = Broker(TubRef("client")), Broker(TubRef("server"))
        self._ends = []
        for broker, peer in ((here, there), (there, here)):
            end = Loopback()
            end.protocol, end.peer = broker, peer
            broker.transport = end
            self._ends.append(end)
        for broker in (here, there):
            broker.connectionMade()
        tracker = there.getTrackerForMyReference(
            self.front.processUniqueID(), self.front
        )
        tracker.send()
        name = getRemoteInterface(self.front).__remote_name__
        return here.getTrackerForYourReference(tracker.clid, name).getRef()

    def disconnect(self) -> None:
        """The connection is lost, as both ends see."""
        for end in self._ends[:1]:
            end.loseConnection()
        for _ in range(4):
            self.go_on()

    def call(self, reference: Any, method: str, *arguments: Any) -> Any:
        """What a remote method answers, or the error's name."""
        found: list[Any] = []
        maybeDeferred(reference.callRemote, method, *arguments).addBoth(found.append)
        for _ in range(TURNS):
            if found:
                break
            self.go_on()
        assert found, "no answer"
        if isinstance(found[0], Failure):
            kind = found[0].type
            name = kind if isinstance(kind, str) else kind.__name__
            return f"failed: {name.rpartition('.')[2]}"
        return found[0]
