"""The routes that shares of both kinds have."""

from __future__ import annotations

from allmydata.storage.http_common import Secrets
from allmydata.storage.http_server import _SCHEMAS
from twisted.internet.defer import maybeDeferred
from twisted.web import http

from lae_storage.server import http_answers as answers
from lae_storage.server.http_answers import AnyRequest, Refusal
from lae_storage.server.http_routes import LEASE, SI, Asked, Routes, Served
from lae_storage.server.telling import V1

#: The longest body of an advisory.
ADVISORY = 32 * 1024

_routes = Routes()
ROUTES = _routes.all


@_routes.add(b"GET", "version")
async def version(served: Served, asked: Asked) -> bytes:
    """The limits, without what only clients of old read."""
    version = served.storage.get_version()
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


@_routes.add(b"PUT", f"lease/{SI}", LEASE)
async def add_or_renew_lease(served: Served, asked: Asked) -> bytes:
    """A lease on all shares of a storage index."""
    if not served.storage.has_shares(asked.si):
        raise Refusal(http.NOT_FOUND)
    await served.storage.add_lease(asked.si, *lease_secrets(asked))
    asked.request.setResponseCode(http.NO_CONTENT)
    return b""


async def advise(served: Served, kind: bytes, asked: Asked) -> bytes:
    """Keep a client's word of a share of this *kind*."""
    info = await answers.read_cbor(
        asked.request, _SCHEMAS["advise_corrupt_share"], ADVISORY
    )
    reason = info["reason"].encode("utf-8")
    advising = served.storage.advise_corrupt_share
    await maybeDeferred(advising, kind, asked.si, asked.share, reason)
    return b""


def is_share(request: AnyRequest) -> None:
    """The answer is a share's bytes."""
    # Also where it is refused: upstream's client looks at this before the status.
    request.setHeader("content-type", "application/octet-stream")


def lease_secrets(asked: Asked) -> tuple[bytes, bytes]:
    """The secrets that renew and cancel the lease."""
    return asked.secrets[Secrets.LEASE_RENEW], asked.secrets[Secrets.LEASE_CANCEL]
