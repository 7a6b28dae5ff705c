"""The bucket over HTTP: Twisted's Agent with our own signature."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from random import Random
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IAgent
from zope.interface import implementer

from lae_protocol.aws.agent import SigningAgent
from lae_protocol.aws.credentials import CredentialsSource
from lae_protocol.aws.sigv4 import Scope
from lae_storage.s3 import answers
from lae_storage.s3.answers import Asked
from lae_storage.s3.exchange import OK, Exchange, Reply
from lae_storage.s3.interface import (
    Body,
    Bytes,
    Denied,
    Got,
    Head,
    IObjectStore,
    NotThere,
    Page,
    Unfinished,
    VersionsPage,
)

T = TypeVar("T")
#: Seconds that no request outlives, the largest part with the slowest network.
LONGEST = 600.0
META = "x-amz-meta-"


@define(frozen=True)
class BucketPlace:
    """Where a bucket is.  *endpoint* is None on AWS (then the bucket's own host name
    is used), else the base URL of another S3, asked by path.
    """

    bucket: str
    region: str
    endpoint: str | None = None
    prefix: str = ""

    def url(self, key: str, query: Mapping[str, str]) -> str:
        """The object's (or with no key the bucket's) address, quoted."""
        if self.endpoint is None:
            base = f"https://{self.bucket}.s3.{self.region}.amazonaws.com/"
        else:
            base = f"{self.endpoint.rstrip('/')}/{self.bucket}/"
        asked = urlencode(sorted(query.items()), quote_via=quote, safe="")
        return base + quote(key, safe="/-_.~") + (f"?{asked}" if asked else "")


@implementer(IObjectStore)
class HttpStore:
    """A bucket on S3 or on what speaks like it."""

    def __init__(
        self,
        reactor: IReactorTime,
        agent: IAgent,
        credentials: CredentialsSource,
        place: BucketPlace,
        *,
        rng: Random | None = None,
    ) -> None:
        signing = SigningAgent(
            reactor, agent, credentials, Scope(place.region, "s3"), patience=LONGEST
        )
        jitter = rng or Random()  # noqa: S311  (no secret)
        self._place = place
        self._exchange = Exchange(reactor, signing, place.url, jitter)
        self._ask = self._exchange.ask

    def __repr__(self) -> str:
        return f"<HttpStore {self._place.bucket}/{self._place.prefix}>"

    def _key(self, key: str) -> str:
        return self._place.prefix + key

    @staticmethod
    def _run(
        asking: Callable[[], Coroutine[Deferred[Any], Any, T]],
    ) -> Deferred[T]:
        return Deferred.fromCoroutine(asking())

    # -- objects ---------------------------------------------------------------

    def put(
        self,
        key: str,
        body: Body,
        metadata: Mapping[str, str],
        if_match: str | None = None,
        if_absent: bool = False,  # noqa: FBT001, FBT002
    ) -> Deferred[str]:
        """See :meth:`IObjectStore.put`."""
        conditional = if_absent or if_match is not None
        headers = {META + name: value for name, value in metadata.items()}
        if if_match is not None:
            headers["if-match"] = if_match
        if if_absent:
            headers["if-none-match"] = "*"
        asked = Asked(
            "PUT", self._key(key), conditional, "once" if conditional else "repeatable"
        )

        async def go() -> str:
            return (await self._ask(asked, headers=headers, body=body)).header("etag")

        return self._run(go)

    def get(self, key: str, start: int = 0, length: int | None = None) -> Deferred[Got]:
        """See :meth:`IObjectStore.get`."""
        return self._run(lambda: self._get(key, start, length))

    async def _get(self, key: str, start: int, length: int | None) -> Got:
        headers = {}
        if length == 0:
            head = await self._head(key)
            if head is None:
                raise NotThere("NoSuchKey", key)
            return Got(head, b"")
        if start or length is not None:
            last = "" if length is None else start + length - 1
            headers["range"] = f"bytes={start}-{last}"
        try:
            reply = await self._ask(Asked("GET", self._key(key)), headers=headers)
        except Denied as e:
            if e.code not in ("InvalidRange", f"HTTP{answers.RANGE_NOT_SATISFIABLE}"):
                raise
            return await self._get(key, 0, 0)
        head = _head_of(reply)
        if reply.status == OK and headers:
            # A server may ignore the range of an empty object.
            stop = head.size if length is None else start + length
            return Got(head, reply.body[start:stop])
        return Got(head, reply.body)

    def pour(
        self, key: str, start: int, length: int, take: Callable[[bytes], None]
    ) -> Deferred[Head | None]:
        """See :meth:`IObjectStore.pour`."""
        asked = Asked("GET", self._key(key))

        async def go() -> Head | None:
            headers = await self._exchange.pour(asked, start, start + length, take)
            return None if headers is None else _head_of(Reply(OK, headers, b""))

        return self._run(go)

    def head(self, key: str) -> Deferred[Head | None]:
        """See :meth:`IObjectStore.head`."""
        return self._run(lambda: self._head(key))

    async def _head(self, key: str) -> Head | None:
        try:
            return _head_of(await self._ask(Asked("HEAD", self._key(key))))
        except NotThere:
            return None

    def delete(self, key: str, if_match: str | None = None) -> Deferred[None]:
        """See :meth:`IObjectStore.delete`."""

        async def go() -> None:
            headers = {} if if_match is None else {"if-match": if_match}
            try:
                await self._ask(Asked("DELETE", self._key(key)), headers=headers)
            except NotThere:
                return

        return self._run(go)

    def list_page(self, prefix: str, after: str | None = None) -> Deferred[Page]:
        """See :meth:`IObjectStore.list_page`."""
        query = {"list-type": "2", "max-keys": "1000", "prefix": self._key(prefix)}
        if after is not None:
            query["start-after"] = self._key(after)

        async def go() -> Page:
            page = answers.page_of((await self._ask(Asked("GET", ""), query)).body)
            return page if not self._place.prefix else self._without_prefix(page)

        return self._run(go)

    def _without_prefix(self, page: Page) -> Page:
        cut = len(self._place.prefix)
        lines = tuple(evolve(o, key=o.key[cut:]) for o in page.objects)
        return Page(lines, page.after and page.after[cut:])

    def versions_page(
        self, after: tuple[str, str] | None = None
    ) -> Deferred[VersionsPage]:
        """See :meth:`IObjectStore.versions_page`."""
        query = {"versions": "", "max-keys": "1000", "prefix": self._key("")}
        if after is not None:
            query["key-marker"], query["version-id-marker"] = after

        async def go() -> VersionsPage:
            reply = await self._ask(Asked("GET", ""), query)
            return answers.versions_of(reply.body)

        return self._run(go)

    # -- uploads in parts ------------------------------------------------------

    def begin_upload(self, key: str, metadata: Mapping[str, str]) -> Deferred[str]:
        """See :meth:`IObjectStore.begin_upload`."""
        headers = {META + name: value for name, value in metadata.items()}

        async def go() -> str:
            asked = Asked("POST", self._key(key), effect="repeatable")
            reply = await self._ask(asked, {"uploads": ""}, headers, Bytes(b""))
            return answers.upload_id_of(reply.body)

        return self._run(go)

    def put_part(
        self, key: str, upload_id: str, number: int, body: Body
    ) -> Deferred[str]:
        """See :meth:`IObjectStore.put_part`."""
        query = {"partNumber": str(number), "uploadId": upload_id}

        async def go() -> str:
            asked = Asked("PUT", self._key(key), effect="repeatable")
            return (await self._ask(asked, query, body=body)).header("etag")

        return self._run(go)

    def complete_upload(
        self,
        key: str,
        upload_id: str,
        etags: tuple[str, ...],
        if_absent: bool,  # noqa: FBT001
    ) -> Deferred[str]:
        """See :meth:`IObjectStore.complete_upload`."""
        headers = {"if-none-match": "*"} if if_absent else {}
        asked = Asked("POST", self._key(key), effect="once")
        body = Bytes(answers.parts_document(etags))

        async def go() -> str:
            reply = await self._ask(asked, {"uploadId": upload_id}, headers, body)
            return answers.completed_etag(asked, reply.body)

        return self._run(go)

    def abort_upload(self, key: str, upload_id: str) -> Deferred[None]:
        """See :meth:`IObjectStore.abort_upload`."""

        async def go() -> None:
            try:
                await self._ask(
                    Asked("DELETE", self._key(key)), {"uploadId": upload_id}
                )
            except NotThere:
                return

        return self._run(go)

    def list_uploads(self, prefix: str) -> Deferred[tuple[Unfinished, ...]]:
        """See :meth:`IObjectStore.list_uploads`."""
        return self._run(lambda: self._list_uploads(prefix))

    async def _list_uploads(self, prefix: str) -> tuple[Unfinished, ...]:
        cut = len(self._place.prefix)
        found: list[Unfinished] = []
        markers: Mapping[str, str] | None = {}
        while markers is not None:
            query = {"uploads": "", "prefix": self._key(prefix), **markers}
            reply = await self._ask(Asked("GET", ""), query)
            page = answers.uploads_of(reply.body)
            found += page.uploads
            markers = page.markers
        return tuple(Unfinished(u.key[cut:], u.upload_id, u.begun) for u in found)


def _head_of(reply: Reply) -> Head:
    """The object's size is the range's total, where the answer is a range."""
    of_range = reply.header("content-range").rpartition("/")[2]
    size = int(of_range or reply.header("content-length") or len(reply.body))
    metadata = {
        name.decode().lower().removeprefix(META): values[0].decode()
        for name, values in reply.headers.getAllRawHeaders()
        if name.lower().startswith(META.encode())
    }
    return Head(reply.header("etag"), size, metadata)
