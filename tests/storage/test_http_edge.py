"""The HTTP front's edge: who may ask, how much, and what a failing S3 looks like."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from allmydata.storage.http_common import CBOR_MIME_TYPE, swissnum_auth_header
from allmydata.util import cbor
from pycddl import Schema
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from lae_storage.s3.interface import Unavailable
from lae_storage.server import http_front
from lae_storage.server.http_front import GuardedSite, HttpFront
from lae_storage.server.keys import si_text
from tests.twins.store import Request

SWISSNUM = b"a-swissnum"
KNOWN = swissnum_auth_header(SWISSNUM).decode()
SI = b"i" * 16
PATH = f"/storage/v1/immutable/{si_text(SI)}"


def secret(name: str) -> str:
    return f"{name} {b64encode(name[0].encode() * 32).decode()}"


LEASE = [secret("lease-renew-secret"), secret("lease-cancel-secret")]
UPLOAD = [secret("upload-secret")]


class Edge:
    """One connection after another to the front, with no sockets."""

    def __init__(self, serving: Any, folder: Path) -> None:
        self.front = HttpFront(None, serving.server, SWISSNUM)
        self.site = GuardedSite(self.front.get_resource(), SWISSNUM, folder)

    def send(self, head: str, body: bytes = b"") -> bytes:
        """What comes back for these bytes at once."""
        protocol, transport = self._connect(head, body)
        answer: bytes = transport.value()
        protocol.connectionLost(None)
        return answer

    def _connect(self, head: str, body: bytes) -> tuple[Any, Any]:
        protocol: Any = self.site.buildProtocol(None)
        transport: Any = StringTransport()
        transport.abortConnection = transport.loseConnection
        protocol.makeConnection(transport)
        protocol.dataReceived(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        return protocol, transport

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        secrets: list[str] | None = None,
        more: str = "",
    ) -> tuple[int, bytes]:
        """Status and body of one request by somebody who knows the swissnum."""
        head = self._head(method, path, body, secrets or []) + more
        start, _, rest = self.send(head, body).partition(b"\r\n\r\n")
        return int(start.split()[1]), rest

    def begin(self, method: str, path: str, body: bytes, secrets: list[str]) -> Any:
        """The transport to which the answer of such a request will come."""
        return self._connect(self._head(method, path, body, secrets), body)[1]

    def _head(self, method: str, path: str, body: bytes, secrets: list[str]) -> str:
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: h",
            "Connection: close",
            f"Authorization: {KNOWN}",
            f"Content-Length: {len(body)}",
            *(f"X-Tahoe-Authorization: {s}" for s in secrets),
        ]
        return "\n".join(lines) + "\n"


@pytest.fixture
def edge(serving: Any, tmp_path: Path) -> Edge:
    return Edge(serving, tmp_path)


def test_a_stranger_causes_nothing(serving: Any, edge: Edge) -> None:
    """Without the swissnum: 401, no request to S3, and no byte of the body kept."""
    serving.upload(SI, b"data")
    serving.store.requests.clear()
    for authorization in ("", "Authorization: Tahoe-LAFS d3Jvbmc=\n"):
        head = f"GET {PATH}/0 HTTP/1.1\nHost: h\n{authorization}Content-Length: 4\n"
        assert edge.send(head, b"body").startswith(b"HTTP/1.1 401")
    assert serving.store.requests == []
    # Also where the resource is served without the site that guards it.
    bare = Edge(serving, edge.site.folder)
    bare.site.find_refusal = lambda *_: None  # type: ignore[method-assign]
    assert bare.send(f"GET {PATH}/0 HTTP/1.1\nHost: h\n").startswith(b"HTTP/1.1 401")
    assert serving.store.requests == []


def test_a_strangers_body_is_dropped(edge: Edge, monkeypatch: Any) -> None:
    """The body of one who does not know the swissnum goes nowhere; a long one, and one
    whose length is not told, is refused before it comes.
    """
    kept: list[int] = []
    monkeypatch.setattr(
        http_front.Sink, "write", lambda self, data: kept.append(len(data)) or 0
    )
    head = f"POST {PATH} HTTP/1.1\nHost: h\n"
    assert edge.send(f"{head}Content-Length: 5000\n", bytes(4999)) == b""
    assert sum(kept) == 4999
    for length in ("Content-Length: 100000\n", "Transfer-Encoding: chunked\n"):
        answer = edge.send(head + length, b"")
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"connection: close" in answer
    assert edge.send(f"{head}Content-Length: 100000\n", bytes(100_000)) == answer
    assert sum(kept) == 4999


def test_a_body_too_long_is_refused(edge: Edge, monkeypatch: Any) -> None:
    """A length beyond the limit is refused at the headers; one untold, when reached."""
    monkeypatch.setattr(http_front, "LONGEST_BODY", 1000)
    assert edge.ask("POST", PATH, bytes(2000), LEASE + UPLOAD)[0] == 413
    chunked = "Transfer-Encoding: chunked\n"
    head = f"POST {PATH} HTTP/1.1\nHost: h\nAuthorization: {KNOWN}\n{chunked}"
    pieces = b"".join(b"200\r\n" + bytes(512) + b"\r\n" for _ in range(4))
    assert edge.send(head, pieces + b"0\r\n\r\n").startswith(b"HTTP/1.1 413")


def test_what_is_malformed(serving: Any, edge: Edge) -> None:
    """Each malformed request has its status, and none a traceback."""
    serving.upload(SI, b"0123456789")
    allocate = cbor.dumps({"share-numbers": {1}, "allocated-size": 5})
    for expected, method, path, body, secrets, more in [
        (404, "GET", "/", b"", [], ""),
        (404, "GET", "/storage/v1/immutable/TOO-SHORT/0", b"", [], ""),
        (404, "GET", f"{PATH}/00", b"", [], ""),
        (405, "DELETE", f"{PATH}/0", b"", [], ""),
        (400, "POST", PATH, allocate, UPLOAD, ""),
        (400, "GET", f"{PATH}/0", b"", UPLOAD, ""),
        (400, "POST", PATH, b"\xff", LEASE + UPLOAD, ""),
        (400, "POST", PATH, cbor.dumps({"a": 1}), LEASE + UPLOAD, ""),
        (413, "POST", PATH, bytes(8193), LEASE + UPLOAD, ""),
        (415, "POST", PATH, allocate, LEASE + UPLOAD, "Content-Type: text/plain\n"),
        (406, "GET", f"{PATH}/shares", b"", [], "Accept: text/html\n"),
        (416, "GET", f"{PATH}/0", b"", [], "Range: bytes=5-\n"),
        (416, "GET", f"{PATH}/0", b"", [], "Range: bytes=1-2,4-5\n"),
        (416, "GET", f"{PATH}/0", b"", [], "Range: molluscs=0-5\n"),
        (204, "GET", f"{PATH}/0", b"", [], "Range: bytes=10-20\n"),
        (404, "GET", f"{PATH}/7", b"", [], ""),
        (404, "PATCH", f"{PATH}/7", b"x", UPLOAD, "Content-Range: bytes 0-0/*\n"),
        (416, "PATCH", f"{PATH}/7", b"x", UPLOAD, "Content-Range: bytes *\n"),
        (405, "PUT", f"{PATH}/0/abort", b"", UPLOAD, ""),
        (404, "PUT", PATH.replace("immutable", "lease")[:-1] + "a", b"", LEASE, ""),
    ]:
        status, answer = _finished(edge, method, path, body, secrets, more)
        assert status == expected, (method, path, more, status, answer)
        assert b"Traceback" not in answer


def _finished(edge: Edge, method: str, path: str, *rest: Any) -> tuple[int, bytes]:
    return edge.ask(method, path, *rest)


def test_ranges(serving: Any, edge: Edge) -> None:
    """A range is answered by its bytes, and none by the whole share."""
    serving.upload(SI, b"0123456789")
    assert edge.ask("GET", f"{PATH}/0") == (200, b"0123456789")
    for header, expected in [("2-4", b"234"), ("8-100", b"89"), ("0-0", b"0")]:
        asked = edge.ask("GET", f"{PATH}/0", more=f"Range: bytes={header}\n")
        assert asked == (206, expected)


def test_a_long_answer_is_written_piece_by_piece(serving: Any, edge: Edge) -> None:
    """A share of several pieces comes whole, with its length told first."""
    data = bytes(range(256)) * 12_000
    serving.upload(SI, data)
    assert edge.ask("GET", f"{PATH}/0") == (200, data)


def test_s3_that_fails(serving: Any, edge: Edge) -> None:
    """The client is told 503, and the version is told all the same."""
    serving.upload(SI, bytes(1_000_000))
    serving.start()
    edge = Edge(serving, edge.site.folder)

    def fault(request: Request) -> None:
        raise Unavailable("SlowDown", "a text with details")

    serving.store.fault = fault
    status, answer = edge.ask("GET", f"{PATH}/0")
    assert status == 503
    assert b"details" not in answer
    assert edge.ask("GET", "/storage/v1/version")[0] == 200


def test_cbor_only(edge: Edge) -> None:
    """What is accepted decides: CBOR where it is, alone or among others."""
    for accepted in (CBOR_MIME_TYPE, "*/*", f"text/html, {CBOR_MIME_TYPE};q=0.5"):
        status, answer = edge.ask(
            "GET", "/storage/v1/version", more=f"Accept: {accepted}\n"
        )
        assert status == 200
        decoded = Schema("a = any").validate_cbor(answer, True)
        assert b"application-version" in decoded


def test_the_front_is_a_leaf(edge: Edge) -> None:
    """Every path is the front's own to judge."""
    assert isinstance(edge.front, Resource)
    assert edge.front.isLeaf


@pytest.mark.parametrize("kind", ["immutable", "mutable"])
def test_a_refused_read_says_what_it_would_have_been(edge: Edge, kind: str) -> None:
    """Upstream's client looks at the content type before it looks at the status."""
    path = PATH.replace("immutable", kind)
    head = f"GET {path}/5 HTTP/1.1\nHost: h\nAuthorization: {KNOWN}\n"
    answer = edge.send(head).lower()
    assert answer.startswith(b"http/1.1 404")
    assert b"content-type: application/octet-stream" in answer


def test_what_is_no_storage_index_is_not_found(edge: Edge) -> None:
    """Its last letter can have no bits beyond the 128; a PATCH finds that early."""
    for method in ("GET", "PATCH"):
        status, _ = edge.ask(method, f"{PATH[:-1]}b/0", b"x", UPLOAD)
        assert status == 404


def test_an_answer_that_cannot_be_finished_is_cut(serving: Any, edge: Edge) -> None:
    """A mutable share that is deleted while it is sent: the client does not wait."""
    serving.change(SI, bytes(200_000))
    data = {0: [bytes(64 * 1024)]}
    answers = [data, {}]
    serving.server.slot_readv = lambda *_: succeed(answers.pop(0))
    path = PATH.replace("immutable", "mutable")
    transport = edge.begin("GET", f"{path}/0", b"", [])
    assert b"200000" in transport.value()
    assert transport.disconnecting


def test_long_changes_share_the_memory(serving: Any, edge: Edge) -> None:
    """A change that finds no room in memory waits, unread, until another is done."""
    held: Deferred[None] = Deferred()
    waiting = [held]

    def fault(request: Request) -> Deferred[None] | None:
        if request.operation == "put" and request.key.startswith("mutable/"):
            return waiting.pop() if waiting else None
        return None

    serving.store.fault = fault
    edge.front.served.memory.limit = 5000
    path = PATH.replace("immutable", "mutable")
    secrets = [*LEASE, secret("write-enabler")]

    def change(letter: bytes) -> Any:
        write = {"offset": 0, "data": letter * 4000}
        share = {"test": [], "write": [write], "new-length": None}
        body = cbor.dumps({"test-write-vectors": {0: share}, "read-vector": []})
        return edge.begin("POST", f"{path}/read-test-write", body, secrets)

    first, second = change(b"a"), change(b"b")
    assert (first.value(), second.value()) == (b"", b"")
    assert edge.front.served.memory.used > 4000
    held.callback(None)
    assert first.value().startswith(b"HTTP/1.1 200")
    assert second.value().startswith(b"HTTP/1.1 200")
    assert edge.front.served.memory.used == 0
    assert serving.slot(SI) == b"b" * 4000


def allocate(edge: Edge, size: int) -> None:
    """Begin an upload of share 0."""
    body = cbor.dumps({"share-numbers": {0}, "allocated-size": size})
    assert edge.ask("POST", PATH, body, [*LEASE, *UPLOAD])[0] == 200


def test_a_body_for_an_upload_that_is_another_by_then(edge: Edge) -> None:
    """Its first bytes went with the first upload: it is to be sent again."""
    allocate(edge, 100)
    more = "Content-Range: bytes 0-99/100\n"
    head = edge._head("PATCH", f"{PATH}/0", bytes(100), UPLOAD) + more
    protocol, transport = edge._connect(head, bytes(50))
    assert edge.ask("PUT", f"{PATH}/0/abort", b"", UPLOAD)[0] == 200
    allocate(edge, 100)
    protocol.dataReceived(bytes(50))
    assert transport.value().startswith(b"HTTP/1.1 404")


def test_a_body_that_is_shorter_than_any_disk(edge: Edge) -> None:
    """A range of exabytes takes no longer to be refused than its body has bytes."""
    more = f"Content-Range: bytes 0-{10**18}/*\n"
    head = edge._head("PATCH", f"{PATH}/0", bytes(100), UPLOAD) + more
    protocol, transport = edge._connect(head, bytes(50))
    allocate(edge, 100)
    protocol.dataReceived(bytes(50))
    assert transport.value().startswith(b"HTTP/1.1 400")
