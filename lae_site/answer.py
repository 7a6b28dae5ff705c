"""Answers to a browser (pages, redirects), and the fields of a form that it sent."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

_MOST_FIELDS = 20
PRIVATE = b"no-store"
PUBLIC = b"no-cache"


def page(request: Any, html: bytes, status: int = 200, cache: bytes = PRIVATE) -> bytes:
    """Answer with an HTML page."""
    return body(request, html, b"text/html; charset=utf-8", status, cache)


def text(request: Any, line: str, status: int = 200) -> bytes:
    """Answer with one line of text, for machines."""
    return body(request, line.encode() + b"\n", b"text/plain; charset=utf-8", status)


def body(
    request: Any,
    data: bytes,
    media_type: bytes,
    status: int = 200,
    cache: bytes = PRIVATE,
) -> bytes:
    """Answer with *data*, and with its length, which HEAD needs."""
    request.setResponseCode(status)
    request.setHeader(b"content-type", media_type)
    request.setHeader(b"content-length", str(len(data)).encode())
    request.setHeader(b"cache-control", cache)
    return data


def see_other(request: Any, url: str) -> bytes:
    """Redirect to *url* with GET; *url* is a path of ours, or a checked address."""
    request.setHeader(b"location", url.encode("ascii"))
    return body(request, b"", b"text/plain; charset=utf-8", 303)


class FormMalformed(ValueError):
    """The request's body is not one of our forms: answer 400."""


def form_fields(request: Any) -> dict[str, str]:
    """Read the fields of a form; raises :class:`FormMalformed`.

    The URL's query is ignored: a link may carry one that no person typed.
    """
    sent = request.content.read()
    media_type = (request.getHeader("content-type") or "").partition(";")[0]
    if media_type.strip().lower() != "application/x-www-form-urlencoded":
        raise FormMalformed
    try:
        fields = parse_qs(
            sent.decode("utf-8"),
            keep_blank_values=True,
            max_num_fields=_MOST_FIELDS,
            errors="strict",
        )
    except ValueError:
        raise FormMalformed from None
    return {name: values[0] for name, values in fields.items()}


def query(request: Any, name: str) -> str:
    """Read one value of the URL's query; empty where it is missing."""
    values = request.args.get(name.encode()) or [b""]
    return str(values[0].decode("utf-8", "replace"))
