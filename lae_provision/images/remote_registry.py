"""A registry over HTTPS, as its specification (OCI distribution) has it.

Each call is safe to repeat, and is repeated a few times where the registry is away or
busy.  A layer is sent whole; after an interruption those that had arrived are not sent
again.  A token that ends is replaced once.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from lae_protocol.aws.agent import Answer, BytesBody
from lae_protocol.aws.body import read_body
from lae_protocol.process.deadline import with_deadline
from lae_protocol.process.retry import retrying
from lae_protocol.secret import Secret
from lae_provision.aws.faults import fault_of
from lae_provision.errors import ProvisionError, Refused, TryLater
from lae_provision.images import manifest, signature
from lae_provision.images.manifest import Document, digest_of_bytes

T = TypeVar("T")

_SECONDS = 30.0  # s; for headers, and for small bodies
_SECONDS_OF_BLOB = 600.0  # s
_ATTEMPTS = 4
_BASE = 0.2  # s
_CAP = 5.0  # s
_LARGEST = 1 << 30  # bytes
_ACCEPTED = f"{manifest.MANIFEST}, {signature.MANIFEST}"
_OK, _CREATED, _ACCEPTED_STATUS, _NOT_FOUND = 200, 201, 202, 404
_BUSY, _BROKEN = 429, 500
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DENIED = frozenset({401, 403})


class Tokens(Protocol):
    """Gives tokens for ``Basic``."""

    async def current(self, *, ended: bool = False) -> Secret:
        """The one that is used; a new one if the last one *ended*."""
        ...


class TokenRefused(Refused):
    """The registry does not take the token, or its holder may not do this."""


@define(frozen=True)
class RemoteRegistry:
    """One registry.  *url* is where it is, without a slash at its end."""

    reactor: Any
    rng: Random
    agent: IAgent
    url: str
    tokens: Tokens = field(repr=False)

    async def has_blob(self, repository: str, digest: str) -> bool:
        """Whether this layer, or configuration, is there."""
        path = f"/v2/{repository}/blobs/{digest}"
        return (await self._ask("HEAD", path, {_OK, _NOT_FOUND})).status == _OK

    async def put_blob(self, repository: str, data: bytes) -> bool:
        """Send it, if it is not there; whether it was sent."""
        digest = digest_of_bytes(data)

        async def once() -> bool:
            if await self.has_blob(repository, digest):
                return False
            path = f"/v2/{repository}/blobs/uploads/"
            begun = await self._once("POST", path, {_ACCEPTED_STATUS}, b"")
            (place,) = begun.headers.getRawHeaders("location", [""])
            target = urljoin(f"{self.url}{path}", place)
            mark = "&" if "?" in target else "?"
            await self._once(
                "PUT",
                f"{target}{mark}digest={digest}",
                {_CREATED},
                data,
                kind="application/octet-stream",
            )
            return True

        return await self._attempt(once)

    async def blob(self, repository: str, digest: str) -> bytes:
        """Its bytes; raises :class:`Refused` where they are not those of the digest."""
        path = f"/v2/{repository}/blobs/{digest}"
        data = (await self._ask("GET", path, {_OK})).body
        if digest_of_bytes(data) != digest:
            raise Refused("DIGEST_INVALID", f"{digest} has other bytes in the registry")
        return data

    async def manifest(self, repository: str, reference: str) -> Document | None:
        """The manifest by tag or digest; None if there is none."""
        path = f"/v2/{repository}/manifests/{reference}"
        found = await self._ask("GET", path, {_OK, _NOT_FOUND})
        if found.status == _NOT_FOUND:
            return None
        (kind,) = found.headers.getRawHeaders("content-type", [""])
        document = Document(found.body, kind.partition(";")[0])
        if ":" in reference and document.digest != reference:
            raise Refused(
                "DIGEST_INVALID", f"{reference} has other bytes in the registry"
            )
        return document

    async def put_manifest(
        self, repository: str, reference: str, document: Document
    ) -> None:
        """Store it under a tag or its digest; its blobs must be there."""
        path = f"/v2/{repository}/manifests/{reference}"
        kind = document.media_type
        await self._ask("PUT", path, {_CREATED}, document.data, kind=kind)

    async def _ask(
        self,
        method: str,
        path: str,
        fine: set[int],
        body: bytes | None = None,
        *,
        kind: str | None = None,
    ) -> Answer:
        return await self._attempt(
            lambda: self._once(method, path, fine, body, kind=kind)
        )

    async def _attempt(self, call: Callable[[], Awaitable[T]]) -> T:
        async def once() -> T:
            try:
                return await call()
            except Exception as e:
                fault = fault_of(e)
                if fault is None or fault is e:
                    raise
                raise fault from None

        return await retrying(
            self.reactor,
            self.rng,
            once,
            attempts=_ATTEMPTS,
            base=_BASE,
            cap=_CAP,
            is_retryable=lambda e: isinstance(e, TryLater),
        )

    async def _once(
        self,
        method: str,
        place: str,
        fine: set[int],
        body: bytes | None = None,
        *,
        kind: str | None = None,
    ) -> Answer:
        """One request, with a new token if the last one ended meanwhile."""
        url = urljoin(self.url, place)
        if urlsplit(url).netloc != urlsplit(self.url).netloc:
            raise Refused("ELSEWHERE", "the registry sends uploads to another host")
        for renewed in (False, True):
            token = await self.tokens.current(ended=renewed)
            headers = {"authorization": f"Basic {token.reveal()}", "accept": _ACCEPTED}
            if kind is not None:
                headers["content-type"] = kind
            answer = await self._send(method, url, headers, body)
            if answer.status in _REDIRECTS and method == "GET":
                # To a store of files, with a signature of its own in the URL; the
                # token is not that store's business.
                (target,) = answer.headers.getRawHeaders("location", [""])
                answer = await self._send("GET", urljoin(url, target), {}, None)
            if answer.status in fine:
                return answer
            if answer.status not in _DENIED or renewed:
                break
        raise _refusal(answer)

    async def _send(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> Answer:
        seconds = _SECONDS_OF_BLOB if "/blobs/" in url else _SECONDS
        asking: Deferred[IResponse] = self.agent.request(
            method.encode(),
            url.encode(),
            Headers({name: [value] for name, value in headers.items()}),
            None if body is None else BytesBody(body),
        )
        response = await with_deadline(self.reactor, seconds, "the registry", asking)
        if method == "HEAD":
            return Answer(response.code, response.headers, b"")
        whole = await read_body(
            self.reactor, response, seconds=_SECONDS_OF_BLOB, limit=_LARGEST
        )
        return Answer(response.code, response.headers, whole)


def _refusal(answer: Answer) -> ProvisionError:
    """What the registry says, as one of our errors."""
    try:
        (first, *_) = json.loads(answer.body)["errors"]
        code, message = str(first["code"]), str(first["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "HTTP", f"the registry answers with {answer.status}"
    if answer.status in _DENIED:
        return TokenRefused(code, message)
    if answer.status == _BUSY or answer.status >= _BROKEN:
        return TryLater(code, message)
    return Refused(code, message)
