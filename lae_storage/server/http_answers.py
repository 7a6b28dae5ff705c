"""What the HTTP front reads from requests and writes to answers, the same for all."""

from __future__ import annotations

import mmap
import re
from os import SEEK_END
from typing import Any

from allmydata.storage.http_common import CBOR_MIME_TYPE, Secrets, get_content_type
from allmydata.storage.http_server import (
    ClientSecretsException,
    _extract_secrets,
)
from allmydata.util import cbor
from allmydata.util.cputhreadpool import defer_to_thread
from twisted.web import http

#: Bodies up to this size are checked where they are: it takes less than a thread does.
AT_ONCE = 64 * 1024
#: ``twisted.web.server.Request``, whose methods have no types.
AnyRequest = Any

_RANGE = re.compile(r"^bytes=(\d{1,19})-(\d{1,19})$")
_CONTENT_RANGE = re.compile(r"^bytes (\d{1,19})-(\d{1,19})/(\*|\d{1,19})$")


class Refusal(Exception):
    """Answer with this status and text."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(status, text)
        self.status, self.text = status, text


def secrets_of(
    request: AnyRequest, required: frozenset[Secrets]
) -> dict[Secrets, bytes]:
    """The request's secrets, exactly those; upstream's reading of them."""
    given = request.requestHeaders.getRawHeaders("X-Tahoe-Authorization", [])
    try:
        found: dict[Secrets, bytes] = _extract_secrets(given, set(required))
    except ClientSecretsException:
        # Its text would tell what was sent.
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
    if size <= AT_ONCE:
        return schema.validate_cbor(content.read(), True)  # noqa: FBT003
    try:
        # A long body is in a file: the reader maps it and makes no copy.
        message = mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ)
    except (ValueError, OSError):
        message = content.read()
    return await defer_to_thread(schema.validate_cbor, message, True)  # noqa: FBT003


def write_cbor(request: AnyRequest, data: object) -> bytes:
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


def range_of(request: AnyRequest, length: int) -> range | None:
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


def content_range_of(request: AnyRequest) -> range:
    """Where a PATCH writes; raises :class:`Refusal`."""
    match = _CONTENT_RANGE.match(request.getHeader("content-range") or "")
    if match is None or int(match[2]) < int(match[1]):
        raise Refusal(http.REQUESTED_RANGE_NOT_SATISFIABLE)
    return range(int(match[1]), int(match[2]) + 1)
