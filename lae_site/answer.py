"""What goes back to a browser: pages, redirects, and form fields that came in."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

#: A form of ours is far smaller; the largest body of all is a webhook's.
LARGEST_FORM = 16 * 1024
_MOST_FIELDS = 20
PRIVATE = b"no-store"
PUBLIC = b"no-cache"


def page(request: Any, html: bytes, status: int = 200, cache: bytes = PRIVATE) -> bytes:
    """An HTML page."""
    return body(request, html, b"text/html; charset=utf-8", status, cache)


def text(request: Any, line: str, status: int = 200) -> bytes:
    """One line for machines."""
    return body(request, line.encode() + b"\n", b"text/plain; charset=utf-8", status)


def body(
    request: Any,
    data: bytes,
    media_type: bytes,
    status: int = 200,
    cache: bytes = PRIVATE,
) -> bytes:
    """Any answer with a length, so that HEAD tells it too."""
    request.setResponseCode(status)
    request.setHeader(b"content-type", media_type)
    request.setHeader(b"content-length", str(len(data)).encode())
    request.setHeader(b"cache-control", cache)
    return data


def see_other(request: Any, url: str) -> bytes:
    """Go there with GET.  *url* is a path of ours, or a checked address."""
    request.setHeader(b"location", url.encode("ascii"))
    return body(request, b"", b"text/plain; charset=utf-8", 303)


class FormMalformed(ValueError):
    """The body is no form of ours.  Answer 400."""


def form_fields(request: Any) -> dict[str, str]:
    """The fields of a form that was sent; raises :class:`FormMalformed`.

    Read from the body alone: what a link's query says is not what a person sent.
    """
    sent = request.content.read(LARGEST_FORM + 1)
    media_type = (request.getHeader("content-type") or "").partition(";")[0]
    if len(sent) > LARGEST_FORM or media_type.strip().lower() != (
        "application/x-www-form-urlencoded"
    ):
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
    """One value of the URL's query, or nothing."""
    values = request.args.get(name.encode()) or [b""]
    return str(values[0].decode("utf-8", "replace"))
