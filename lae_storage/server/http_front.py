"""The HTTP front ("Great Black Swamp"): the routes, in upstream's order.

It stands in for upstream's ``HTTPServer`` and takes the same arguments.  Requests
come through :mod:`lae_storage.server.http_request`, which has checked the swissnum;
a resource used without that site checks it here.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from allmydata.storage.common import si_a2b
from allmydata.storage.http_common import Secrets, swissnum_auth_header
from allmydata.storage.http_server import _SCHEMAS, UploadsInProgress, _HTTPError
from allmydata.util.hashutil import timing_safe_compare
from attrs import define
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from lae_storage.server import http_answers as answers
from lae_storage.server.bucket_writer import BucketWriter
from lae_storage.server.budget import Budget
from lae_storage.server.http_answers import AnyRequest, Refusal
from lae_storage.server.http_body import ClientGone, pour
from lae_storage.server.http_incoming import Incoming, IncomingFile, TooShort
from lae_storage.server.http_refusals import refusal_of
from lae_storage.server.http_request import LONGEST_BODY
from lae_storage.server.storage_server import S3StorageServer
from lae_storage.server.telling import V1

_log = Logger()
#: The longest bodies of an allocation and of an advisory.
ALLOCATION, ADVISORY = 8192, 32 * 1024
#: Bytes of changes to mutable files that are worked on at once; they take about three
#: times as much memory.
BODIES = 32 * 1024 * 1024
#: What is answered in one piece; what is longer begins with so much.
FIRST = 64 * 1024
#: Bytes that are asked of S3 at once for one answer.
MOST = 4 * 1024 * 1024
#: A PATCH is handed on in pieces of this size.
PIECE = 1024 * 1024

_SI = r"(?P<si>[a-z2-7]{26})"
_SHARE = r"(?P<share>0|[1-9]\d{0,18})"
_NONE: frozenset[Secrets] = frozenset()
_LEASE = frozenset({Secrets.LEASE_RENEW, Secrets.LEASE_CANCEL})
_UPLOAD = frozenset({Secrets.UPLOAD})


@define(frozen=True)
class Asked:
    """One request: its secrets, and what its path names."""

    request: AnyRequest
    secrets: dict[Secrets, bytes]
    si: bytes
    share: int


Answer = Callable[["HttpFront", Asked], Awaitable[bytes]]


@define(frozen=True)
class Route:
    """A method and a path; *secrets* must come with it, neither more nor fewer."""

    method: bytes
    path: re.Pattern[str]
    secrets: frozenset[Secrets]
    answer: Answer


ROUTES: list[Route] = []


def route(
    method: bytes, path: str, secrets: frozenset[Secrets] = _NONE
) -> Callable[[Answer], Answer]:
    """Register an answer under ``/storage/v1/``."""
    pattern = re.compile(f"^/storage/v1/{path}$")

    def register(answer: Answer) -> Answer:
        ROUTES.append(Route(method, pattern, secrets, answer))
        return answer

    return register


def _all_at_once(offset: int, size: int) -> None:
    """Nothing is fetched ahead of what is read."""


class HttpFront(Resource):
    """All routes as one resource."""

    isLeaf = True

    def __init__(self, reactor: Any, server: S3StorageServer, swissnum: bytes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        del reactor  # upstream's signature
        self.storage = server
        self._expected = swissnum_auth_header(swissnum)
        self.uploads = UploadsInProgress()
        self._memory = Budget(BODIES)
        server.register_bucket_writer_close_handler(self.uploads.remove_write_bucket)

    def get_resource(self) -> HttpFront:
        """The resource to serve, as upstream's class has it."""
        return self

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
        answer, asked = self._asked(request)
        try:
            return await answer(self, asked)
        except Exception as e:
            refused = refusal_of(e)
            if refused is None:
                raise
            raise refused from None

    def _asked(self, request: AnyRequest) -> tuple[Answer, Asked]:
        found, match = _find(request)
        secrets = answers.secrets_of(request, found.secrets)
        names = match.groupdict()
        asked = Asked(
            request,
            secrets,
            si_a2b(names["si"].encode()) if names.get("si") else b"",
            int(names.get("share") or 0),
        )
        return found.answer, asked

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

    # -- both kinds ------------------------------------------------------------

    @route(b"GET", "version")
    async def version(self, asked: Asked) -> bytes:
        """The limits, without what only clients of old read."""
        version = self.storage.get_version()
        kept = (
            b"maximum-immutable-share-size",
            b"maximum-mutable-share-size",
            b"available-space",
        )
        shown = {
            V1: {name: version[V1][name] for name in kept},
            b"application-version": version[b"application-version"],
        }
        return answers.write_cbor(asked.request, shown)

    @route(b"PUT", f"lease/{_SI}", _LEASE)
    async def add_or_renew_lease(self, asked: Asked) -> bytes:
        """A lease on all shares of a storage index."""
        if not self.storage.has_shares(asked.si):
            raise Refusal(http.NOT_FOUND)
        await self.storage.add_lease(asked.si, *_lease_secrets(asked))
        asked.request.setResponseCode(http.NO_CONTENT)
        return b""

    # -- immutable shares ------------------------------------------------------

    @route(b"POST", f"immutable/{_SI}", _LEASE | _UPLOAD)
    async def allocate_buckets(self, asked: Asked) -> bytes:
        """Begin uploads."""
        request = asked.request
        info = await answers.read_cbor(
            request, _SCHEMAS["allocate_buckets"], ALLOCATION
        )
        here, writers = await self.storage.allocate_buckets(
            asked.si,
            *_lease_secrets(asked),
            sharenums=info["share-numbers"],
            allocated_size=info["allocated-size"],
        )
        for number, writer in writers.items():
            self.uploads.add_write_bucket(
                asked.si, number, asked.secrets[Secrets.UPLOAD], writer
            )
        answer = {"already-have": here, "allocated": set(writers)}
        return answers.write_cbor(request, answer)

    @route(b"PUT", f"immutable/{_SI}/{_SHARE}/abort", _UPLOAD)
    async def abort_share_upload(self, asked: Asked) -> bytes:
        """Throw an upload away."""
        try:
            writer = self._writer(asked)
        except _HTTPError as e:
            stored = asked.share in self.storage.get_buckets(asked.si)
            if e.code == http.NOT_FOUND and stored:
                raise Refusal(http.NOT_ALLOWED) from None
            raise
        writer.abort()
        return b""

    def receive(self, request: AnyRequest) -> IncomingFile | None:
        """Where the body of a PATCH goes while it arrives, if it is in order.

        Whatever else it is finds its answer when it is all here.
        """
        if request.method != b"PATCH":
            return None
        try:
            asked = self._asked(request)[1]
            where = answers.content_range_of(request)
            writer = self._writer(asked)
        except (Refusal, _HTTPError):
            return None
        return IncomingFile(Incoming(writer, where.start, where.stop))

    def _writer(self, asked: Asked) -> BucketWriter:
        writer: BucketWriter = self.uploads.get_write_bucket(
            asked.si, asked.share, asked.secrets[Secrets.UPLOAD]
        )
        return writer

    @route(b"PATCH", f"immutable/{_SI}/{_SHARE}", _UPLOAD)
    async def write_share_data(self, asked: Asked) -> bytes:
        """Some bytes of an upload; with the last of them the share is stored."""
        where = answers.content_range_of(asked.request)
        writer = self._writer(asked)
        try:
            complete = await _incoming(asked.request, writer, where).end()
        except TooShort:
            text = "the body is not what the range says"
            raise Refusal(http.BAD_REQUEST, text) from None
        missing = [
            {"begin": a, "end": b} for a, b, _ in writer.required_ranges().ranges()
        ]
        if complete:
            await writer.close()
            asked.request.setResponseCode(http.CREATED)
        return answers.write_cbor(asked.request, {"required": missing})

    @route(b"GET", f"immutable/{_SI}/shares")
    async def list_shares(self, asked: Asked) -> bytes:
        """The numbers of the shares."""
        return answers.write_cbor(
            asked.request, set(self.storage.get_buckets(asked.si))
        )

    @route(b"GET", f"immutable/{_SI}/{_SHARE}")
    async def read_share_chunk(self, asked: Asked) -> bytes:
        """A range of a share, or all of it."""
        _is_share(asked.request)
        reader = self.storage.get_buckets(asked.si).get(asked.share)
        if reader is None:
            raise Refusal(http.NOT_FOUND)
        return await self._send(asked.request, reader.read, reader.length, reader.want)

    @route(b"POST", f"immutable/{_SI}/{_SHARE}/corrupt")
    async def advise_corrupt_immutable(self, asked: Asked) -> bytes:
        """A client's word that a share is corrupt."""
        if asked.share not in self.storage.get_buckets(asked.si):
            raise Refusal(http.NOT_FOUND)
        return await self._advise(b"immutable", asked)

    # -- mutable slots ---------------------------------------------------------

    @route(
        b"POST",
        f"mutable/{_SI}/read-test-write",
        _LEASE | {Secrets.WRITE_ENABLER},
    )
    async def read_test_write(self, asked: Asked) -> bytes:
        """Test, read and write all shares of a slot as one."""
        # A long body is in a file until it is its turn to be in memory.
        async with self._memory.take(answers.body_size(asked.request)):
            return await self._read_test_write(asked)

    async def _read_test_write(self, asked: Asked) -> bytes:
        wanted = await answers.read_cbor(
            asked.request, _SCHEMAS["mutable_read_test_write"], LONGEST_BODY
        )
        vectors = {
            number: (
                [(t["offset"], t["size"], b"eq", t["specimen"]) for t in v["test"]],
                [(w["offset"], w["data"]) for w in v["write"]],
                v["new-length"],
            )
            for number, v in wanted["test-write-vectors"].items()
        }
        passed, data = await self.storage.slot_testv_and_readv_and_writev(
            asked.si,
            (asked.secrets[Secrets.WRITE_ENABLER], *_lease_secrets(asked)),
            vectors,
            [(r["offset"], r["size"]) for r in wanted["read-vector"]],
        )
        return answers.write_cbor(asked.request, {"success": passed, "data": data})

    @route(b"GET", f"mutable/{_SI}/shares")
    async def enumerate_mutable_shares(self, asked: Asked) -> bytes:
        """The numbers of the slot's shares."""
        numbers = await self.storage.enumerate_mutable_shares(asked.si)
        return answers.write_cbor(asked.request, numbers)

    @route(b"GET", f"mutable/{_SI}/{_SHARE}")
    async def read_mutable_chunk(self, asked: Asked) -> bytes:
        """A range of a share, or all of it."""
        _is_share(asked.request)
        try:
            length = await self.storage.get_mutable_share_length(asked.si, asked.share)
        except KeyError:
            raise Refusal(http.NOT_FOUND) from None

        async def read(offset: int, size: int) -> bytes:
            found = await self.storage.slot_readv(
                asked.si, [asked.share], [(offset, size)]
            )
            # The share may have been deleted meanwhile: the answer ends there.
            data: bytes = found[asked.share][0] if asked.share in found else b""
            return data

        return await self._send(asked.request, read, length)

    @route(b"POST", f"mutable/{_SI}/{_SHARE}/corrupt")
    async def advise_corrupt_mutable(self, asked: Asked) -> bytes:
        """A client's word that a share is corrupt."""
        if asked.share not in await self.storage.enumerate_mutable_shares(asked.si):
            raise Refusal(http.NOT_FOUND)
        return await self._advise(b"mutable", asked)

    # -- parts of answers ------------------------------------------------------

    async def _advise(self, kind: bytes, asked: Asked) -> bytes:
        info = await answers.read_cbor(
            asked.request, _SCHEMAS["advise_corrupt_share"], ADVISORY
        )
        reason = info["reason"].encode("utf-8")
        advise = self.storage.advise_corrupt_share
        await maybeDeferred(advise, kind, asked.si, asked.share, reason)
        return b""

    async def _send(
        self,
        request: AnyRequest,
        read: Callable[[int, int], Awaitable[bytes]],
        length: int,
        want: Callable[[int, int], None] = _all_at_once,
    ) -> bytes:
        asked = answers.range_of(request, length)
        if asked is not None:
            request.setResponseCode(http.PARTIAL_CONTENT)
            request.setHeader(
                "content-range", f"bytes {asked.start}-{asked.stop - 1}/*"
            )
        wanted = range(length) if asked is None else asked
        want(wanted.start, min(len(wanted), MOST))
        first = await read(wanted.start, min(len(wanted), FIRST)) if wanted else b""
        if len(first) == len(wanted):
            return first
        request.setHeader("content-length", str(len(wanted)))
        request.write(first)
        await pour(request, read, wanted.start + len(first), wanted.stop)
        return b""


def _incoming(request: AnyRequest, writer: BucketWriter, where: range) -> Incoming:
    content: Any = request.content
    if isinstance(content, IncomingFile) and content.incoming.writer is writer:
        return content.incoming
    incoming = Incoming(writer, where.start, where.stop)
    for _ in range(where.start, where.stop, PIECE):
        incoming.take(content.read(PIECE))
    return incoming


def _is_share(request: AnyRequest) -> None:
    # Also where it is refused: upstream's client looks at this before the status.
    request.setHeader("content-type", "application/octet-stream")


def _lease_secrets(asked: Asked) -> tuple[bytes, bytes]:
    return asked.secrets[Secrets.LEASE_RENEW], asked.secrets[Secrets.LEASE_CANCEL]


def _find(request: AnyRequest) -> tuple[Route, re.Match[str]]:
    path = request.path.decode("ascii", "replace")
    methods = set()
    for candidate in ROUTES:
        match = candidate.path.match(path)
        if match is not None:
            if candidate.method == request.method:
                return candidate, match
            methods.add(candidate.method)
    raise Refusal(http.NOT_ALLOWED if methods else http.NOT_FOUND)
