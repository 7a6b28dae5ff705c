"""The routes of immutable shares."""

from __future__ import annotations

from typing import Any

from allmydata.storage.http_common import Secrets
from allmydata.storage.http_server import _SCHEMAS, _HTTPError
from twisted.web import http

from lae_storage.server import http_answers as answers
from lae_storage.server.http_answers import AnyRequest, Refusal
from lae_storage.server.http_body import send
from lae_storage.server.http_both import advise, is_share, lease_secrets
from lae_storage.server.http_incoming import Incoming, IncomingFile, TooShort
from lae_storage.server.http_routes import (
    LEASE,
    SHARE,
    SI,
    UPLOAD,
    Asked,
    Routes,
    Served,
    asked_of,
)
from lae_storage.server.immutable import BucketWriter, UploadOver

#: The longest body of an allocation.
ALLOCATION = 8192
#: A PATCH is handed on in pieces of this size.
PIECE = 1024 * 1024

_routes = Routes()
ROUTES = _routes.all


@_routes.add(b"POST", f"immutable/{SI}", LEASE | UPLOAD)
async def allocate_buckets(served: Served, asked: Asked) -> bytes:
    """Begin uploads."""
    request = asked.request
    info = await answers.read_cbor(request, _SCHEMAS["allocate_buckets"], ALLOCATION)
    here, writers = await served.storage.allocate_buckets(
        asked.si,
        *lease_secrets(asked),
        sharenums=info["share-numbers"],
        allocated_size=info["allocated-size"],
    )
    for number, writer in writers.items():
        served.uploads.add_write_bucket(
            asked.si, number, asked.secrets[Secrets.UPLOAD], writer
        )
    answer = {"already-have": here, "allocated": set(writers)}
    return answers.write_cbor(request, answer)


@_routes.add(b"PUT", f"immutable/{SI}/{SHARE}/abort", UPLOAD)
async def abort_share_upload(served: Served, asked: Asked) -> bytes:
    """Throw an upload away."""
    try:
        writer = _writer(served, asked)
    except _HTTPError as e:
        stored = asked.share in served.storage.get_buckets(asked.si)
        if e.code == http.NOT_FOUND and stored:
            raise Refusal(http.NOT_ALLOWED) from None
        raise
    writer.abort()
    return b""


def receive(served: Served, request: AnyRequest) -> IncomingFile | None:
    """Where the body of a PATCH goes while it arrives, if it is in order.

    Whatever else it is finds its answer when it is all here.
    """
    if request.method != b"PATCH":
        return None
    try:
        asked = asked_of(ROUTES, request)[1]
        where = answers.content_range_of(request)
        writer = _writer(served, asked)
    except (Refusal, _HTTPError):
        return None
    return IncomingFile(Incoming(writer, where.start, where.stop))


def _writer(served: Served, asked: Asked) -> BucketWriter:
    writer: BucketWriter = served.uploads.get_write_bucket(
        asked.si, asked.share, asked.secrets[Secrets.UPLOAD]
    )
    return writer


@_routes.add(b"PATCH", f"immutable/{SI}/{SHARE}", UPLOAD)
async def write_share_data(served: Served, asked: Asked) -> bytes:
    """Some bytes of an upload; with the last of them the share is stored."""
    where = answers.content_range_of(asked.request)
    writer = _writer(served, asked)
    try:
        complete = await _incoming(asked.request, writer, where).end()
    except TooShort:
        text = "the body is not what the range says"
        raise Refusal(http.BAD_REQUEST, text) from None
    missing = [{"begin": a, "end": b} for a, b, _ in writer.required_ranges().ranges()]
    if complete:
        await writer.close()
        asked.request.setResponseCode(http.CREATED)
    return answers.write_cbor(asked.request, {"required": missing})


@_routes.add(b"GET", f"immutable/{SI}/shares")
async def list_shares(served: Served, asked: Asked) -> bytes:
    """The numbers of the shares."""
    return answers.write_cbor(asked.request, set(served.storage.get_buckets(asked.si)))


@_routes.add(b"GET", f"immutable/{SI}/{SHARE}")
async def read_share_chunk(served: Served, asked: Asked) -> bytes:
    """A range of a share, or all of it."""
    is_share(asked.request)
    reader = served.storage.get_buckets(asked.si).get(asked.share)
    if reader is None:
        raise Refusal(http.NOT_FOUND)
    return await send(asked.request, reader.read, reader.length, reader.want)


@_routes.add(b"POST", f"immutable/{SI}/{SHARE}/corrupt")
async def advise_corrupt_immutable(served: Served, asked: Asked) -> bytes:
    """A client's word that a share is corrupt."""
    if asked.share not in served.storage.get_buckets(asked.si):
        raise Refusal(http.NOT_FOUND)
    return await advise(served, b"immutable", asked)


def _incoming(request: AnyRequest, writer: BucketWriter, where: range) -> Incoming:
    content: Any = request.content
    if isinstance(content, IncomingFile):
        if content.incoming.writer is not writer:
            # The bytes went to an upload that is over; this is another one.
            raise UploadOver
        return content.incoming
    incoming = Incoming(writer, where.start, where.stop)
    while piece := content.read(PIECE):
        incoming.take(piece)
    return incoming
