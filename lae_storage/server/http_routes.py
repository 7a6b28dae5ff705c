"""The routes of the HTTP front: what a request must be, and how it is answered."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from allmydata.storage.common import si_a2b
from allmydata.storage.http_common import Secrets
from allmydata.storage.http_server import _SCHEMAS, UploadsInProgress, _HTTPError
from attrs import define, field
from twisted.internet.defer import maybeDeferred
from twisted.web import http

from lae_storage.server.concurrency import Budget
from lae_storage.server.http_messages import (
    LONGEST_BODY,
    AnyRequest,
    PatchBody,
    PatchFile,
    Refusal,
    TooShort,
    answer_cbor,
    answer_range,
    body_size,
    read_cbor,
    read_content_range,
    read_secrets,
)
from lae_storage.server.immutable import BucketWriter, UploadOver
from lae_storage.server.status import V1
from lae_storage.server.storage_server import S3StorageServer

#: Changes to mutable files that are worked on at once; they take about three times as
#: much memory.
CHANGES_AT_ONCE = 32 * 1024 * 1024  # bytes
LONGEST_ADVISORY = 32 * 1024  # bytes
LONGEST_ALLOCATION = 8192  # bytes
#: Of a PATCH, handed on at once.
PATCH_PIECE = 1024 * 1024  # bytes

#: 128 bits: the last letter has three of them.
SI = r"(?P<si>[a-z2-7]{25}[aeimquy4])"
SHARE = r"(?P<share>0|[1-9]\d{0,18})"
NO_SECRETS: frozenset[Secrets] = frozenset()
LEASE_SECRETS = frozenset({Secrets.LEASE_RENEW, Secrets.LEASE_CANCEL})
UPLOAD_SECRET = frozenset({Secrets.UPLOAD})


@define(frozen=True, eq=False)
class Served:
    """What answers are made from; *memory* bounds the changes worked on at once."""

    storage: S3StorageServer
    uploads: UploadsInProgress = field(factory=UploadsInProgress)
    memory: Budget = field(factory=lambda: Budget(CHANGES_AT_ONCE))


@define(frozen=True)
class Asked:
    """One request: its secrets, and what its path names."""

    request: AnyRequest
    secrets: dict[Secrets, bytes]
    si: bytes
    share: int


Answer = Callable[[Served, Asked], Awaitable[bytes]]


@define(frozen=True)
class Route:
    """A method and a path; *secrets* must come with it, neither more nor fewer."""

    method: bytes
    path: re.Pattern[str]
    secrets: frozenset[Secrets]
    answer: Answer


#: All routes, in the order in which they are tried.
ROUTES: list[Route] = []


def route(
    method: bytes, path: str, secrets: frozenset[Secrets] = NO_SECRETS
) -> Callable[[Answer], Answer]:
    """Register an answer under ``/storage/v1/``."""
    pattern = re.compile(f"^/storage/v1/{path}$")

    def register(answer: Answer) -> Answer:
        ROUTES.append(Route(method, pattern, secrets, answer))
        return answer

    return register


def find_answer(request: AnyRequest) -> tuple[Answer, Asked]:
    """What answers a request, and what it asks; raises :class:`Refusal`."""
    found, match = _find_route(request)
    secrets = read_secrets(request, found.secrets)
    names = match.groupdict()
    asked = Asked(
        request,
        secrets,
        si_a2b(names["si"].encode()) if names.get("si") else b"",
        int(names.get("share") or 0),
    )
    return found.answer, asked


def _find_route(request: AnyRequest) -> tuple[Route, re.Match[str]]:
    path = request.path.decode("ascii", "replace")
    methods = set()
    for candidate in ROUTES:
        match = candidate.path.match(path)
        if match is not None:
            if candidate.method == request.method:
                return candidate, match
            methods.add(candidate.method)
    raise Refusal(http.NOT_ALLOWED if methods else http.NOT_FOUND)


# -- shares of both kinds ----------------------------------------------------------


@route(b"GET", "version")
async def get_version(served: Served, asked: Asked) -> bytes:
    """The limits, without those that only old clients read."""
    version = served.storage.get_version()
    shown = (
        b"maximum-immutable-share-size",
        b"maximum-mutable-share-size",
        b"available-space",
    )
    answer = {
        V1: {name: version[V1][name] for name in shown},
        b"application-version": version[b"application-version"],
    }
    return answer_cbor(asked.request, answer)


@route(b"PUT", f"lease/{SI}", LEASE_SECRETS)
async def add_or_renew_lease(served: Served, asked: Asked) -> bytes:
    """Add or renew a lease on all shares of a storage index."""
    if not served.storage.has_shares(asked.si):
        raise Refusal(http.NOT_FOUND)
    await served.storage.add_lease(asked.si, *get_lease_secrets(asked))
    asked.request.setResponseCode(http.NO_CONTENT)
    return b""


async def keep_advisory(served: Served, kind: bytes, asked: Asked) -> bytes:
    """Keep a client's report of a corrupt share of this *kind*."""
    info = await read_cbor(
        asked.request, _SCHEMAS["advise_corrupt_share"], LONGEST_ADVISORY
    )
    reason = info["reason"].encode("utf-8")
    advising = served.storage.advise_corrupt_share
    await maybeDeferred(advising, kind, asked.si, asked.share, reason)
    return b""


def mark_as_share(request: AnyRequest) -> None:
    """Say that the answer is a share's bytes."""
    # Also where it is refused: upstream's client looks at this before the status.
    request.setHeader("content-type", "application/octet-stream")


def get_lease_secrets(asked: Asked) -> tuple[bytes, bytes]:
    """The secrets that renew and cancel the lease."""
    return asked.secrets[Secrets.LEASE_RENEW], asked.secrets[Secrets.LEASE_CANCEL]


# -- immutable shares --------------------------------------------------------------


@route(b"POST", f"immutable/{SI}", LEASE_SECRETS | UPLOAD_SECRET)
async def allocate_buckets(served: Served, asked: Asked) -> bytes:
    """Begin uploads of new shares."""
    request = asked.request
    info = await read_cbor(request, _SCHEMAS["allocate_buckets"], LONGEST_ALLOCATION)
    here, writers = await served.storage.allocate_buckets(
        asked.si,
        *get_lease_secrets(asked),
        sharenums=info["share-numbers"],
        allocated_size=info["allocated-size"],
    )
    for number, writer in writers.items():
        served.uploads.add_write_bucket(
            asked.si, number, asked.secrets[Secrets.UPLOAD], writer
        )
    answer = {"already-have": here, "allocated": set(writers)}
    return answer_cbor(request, answer)


@route(b"PUT", f"immutable/{SI}/{SHARE}/abort", UPLOAD_SECRET)
async def abort_share_upload(served: Served, asked: Asked) -> bytes:
    """Throw an upload away."""
    try:
        writer = _get_writer(served, asked)
    except _HTTPError as e:
        stored = asked.share in served.storage.get_buckets(asked.si)
        if e.code == http.NOT_FOUND and stored:
            raise Refusal(http.NOT_ALLOWED) from None
        raise
    writer.abort()
    return b""


def receive(served: Served, request: AnyRequest) -> PatchFile | None:
    """Where the body of a PATCH goes while it arrives, if the PATCH is in order.

    Any other request is answered when all of its body is here.
    """
    if request.method != b"PATCH":
        return None
    try:
        asked = find_answer(request)[1]
        where = read_content_range(request)
        writer = _get_writer(served, asked)
    except (Refusal, _HTTPError):
        return None
    return PatchFile(PatchBody(writer, where.start, where.stop))


def _get_writer(served: Served, asked: Asked) -> BucketWriter:
    writer: BucketWriter = served.uploads.get_write_bucket(
        asked.si, asked.share, asked.secrets[Secrets.UPLOAD]
    )
    return writer


@route(b"PATCH", f"immutable/{SI}/{SHARE}", UPLOAD_SECRET)
async def write_share_data(served: Served, asked: Asked) -> bytes:
    """Some bytes of an upload; with the last of them the share is stored."""
    where = read_content_range(asked.request)
    writer = _get_writer(served, asked)
    try:
        complete = await _read_patch(asked.request, writer, where).finish()
    except TooShort:
        text = "the body is not what the range says"
        raise Refusal(http.BAD_REQUEST, text) from None
    missing = [{"begin": a, "end": b} for a, b, _ in writer.required_ranges().ranges()]
    if complete:
        await writer.close()
        asked.request.setResponseCode(http.CREATED)
    return answer_cbor(asked.request, {"required": missing})


@route(b"GET", f"immutable/{SI}/shares")
async def list_shares(served: Served, asked: Asked) -> bytes:
    """The numbers of the shares."""
    return answer_cbor(asked.request, set(served.storage.get_buckets(asked.si)))


@route(b"GET", f"immutable/{SI}/{SHARE}")
async def read_share_chunk(served: Served, asked: Asked) -> bytes:
    """A range of a share, or all of it."""
    mark_as_share(asked.request)
    reader = served.storage.get_buckets(asked.si).get(asked.share)
    if reader is None:
        raise Refusal(http.NOT_FOUND)
    return await answer_range(
        asked.request, reader.read, reader.length, reader.prefetch
    )


@route(b"POST", f"immutable/{SI}/{SHARE}/corrupt")
async def advise_corrupt_immutable(served: Served, asked: Asked) -> bytes:
    """Keep a client's report that a share is corrupt."""
    if asked.share not in served.storage.get_buckets(asked.si):
        raise Refusal(http.NOT_FOUND)
    return await keep_advisory(served, b"immutable", asked)


def _read_patch(request: AnyRequest, writer: BucketWriter, where: range) -> PatchBody:
    content: Any = request.content
    if isinstance(content, PatchFile):
        if content.body.writer is not writer:
            # The bytes went to an upload that has ended; this is another one.
            raise UploadOver
        return content.body
    body = PatchBody(writer, where.start, where.stop)
    while piece := content.read(PATCH_PIECE):
        body.append(piece)
    return body


# -- mutable slots -----------------------------------------------------------------


@route(
    b"POST",
    f"mutable/{SI}/read-test-write",
    LEASE_SECRETS | {Secrets.WRITE_ENABLER},
)
async def read_test_write(served: Served, asked: Asked) -> bytes:
    """Test, read and write all shares of a slot as one."""
    # A long body stays in a file until there is room for it in memory.
    async with served.memory.take(body_size(asked.request)):
        return await _read_test_write(served, asked)


async def _read_test_write(served: Served, asked: Asked) -> bytes:
    wanted = await read_cbor(
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
    passed, data = await served.storage.slot_testv_and_readv_and_writev(
        asked.si,
        (asked.secrets[Secrets.WRITE_ENABLER], *get_lease_secrets(asked)),
        vectors,
        [(r["offset"], r["size"]) for r in wanted["read-vector"]],
    )
    return answer_cbor(asked.request, {"success": passed, "data": data})


@route(b"GET", f"mutable/{SI}/shares")
async def enumerate_mutable_shares(served: Served, asked: Asked) -> bytes:
    """The numbers of the slot's shares."""
    numbers = await served.storage.enumerate_mutable_shares(asked.si)
    return answer_cbor(asked.request, numbers)


@route(b"GET", f"mutable/{SI}/{SHARE}")
async def read_mutable_chunk(served: Served, asked: Asked) -> bytes:
    """A range of a share, or all of it."""
    mark_as_share(asked.request)
    try:
        length = await served.storage.get_mutable_share_length(asked.si, asked.share)
    except KeyError:
        raise Refusal(http.NOT_FOUND) from None

    async def read(offset: int, size: int) -> bytes:
        found = await served.storage.slot_readv(
            asked.si, [asked.share], [(offset, size)]
        )
        # The share may have been deleted meanwhile: the answer ends there.
        data: bytes = found[asked.share][0] if asked.share in found else b""
        return data

    return await answer_range(asked.request, read, length)


@route(b"POST", f"mutable/{SI}/{SHARE}/corrupt")
async def advise_corrupt_mutable(served: Served, asked: Asked) -> bytes:
    """Keep a client's report that a share is corrupt."""
    if asked.share not in await served.storage.enumerate_mutable_shares(asked.si):
        raise Refusal(http.NOT_FOUND)
    return await keep_advisory(served, b"mutable", asked)
