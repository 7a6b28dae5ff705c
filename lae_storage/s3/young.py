"""A bucket that is so young that S3 may not show what is in it.

S3 documents that for up to 15 minutes after versioning was first enabled on a bucket,
requests for objects that were created or replaced since may be answered 404
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html).
A customer's bucket is versioned from its first minute, and the first file comes in the
next.  So a 404 for what this node wrote, or saw in a listing, or was told to be in the
way of its write, is asked again and never believed; what nobody knows of is absent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from lae_protocol.process.retry import pause
from lae_storage.s3.interface import (
    Body,
    ConditionFailed,
    Got,
    Head,
    IObjectStore,
    NotThere,
    Page,
    Unavailable,
    Unfinished,
    VersionsPage,
)

T = TypeVar("T")
_log = Logger()
#: S3's 15 minutes, and one for the difference of two clocks.
YOUNG_FOR = 16 * 60.0  # s
#: A 404 is asked again for so long; with what came before, less than clients wait.
ASK_WITHIN = 20.0  # s
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # s


@implementer(IObjectStore)
@define(eq=False)
class YoungBucketStore:
    """Hands on to *store*, and until *grown* (of *reactor*'s clock) doubts what is 404.

    Raises :class:`Unavailable` where S3 does not show within :data:`ASK_WITHIN` what
    must be there.
    """

    store: IObjectStore
    reactor: IReactorTime
    rng: Random = field(repr=False)
    grown: float
    _known: set[str] = field(factory=set)

    def _is_young(self) -> bool:
        if self.reactor.seconds() < self.grown:
            return True
        self._known.clear()
        return False

    def _know(self, *keys: str) -> None:
        if self._is_young():
            self._known.update(keys)

    async def _shown(self, key: str, ask: Callable[[], Awaitable[T | None]]) -> T:
        """What *ask* answers, once that is not None; raises NotThere where it may be
        believed.
        """
        last = self.reactor.seconds() + ASK_WITHIN
        attempt = 0
        while (found := await ask()) is None:
            if not self._is_young() or key not in self._known:
                raise NotThere("NoSuchKey", key)
            if self.reactor.seconds() >= last:
                raise Unavailable("NotShownYet", key)
            if not attempt:
                _log.info("a young bucket does not show {key} yet", key=key)
            wait = pause(attempt, self.rng, FIRST_PAUSE, LONGEST_PAUSE)
            await deferLater(self.reactor, wait)
            attempt += 1
        return found

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

        async def once() -> str | None:
            try:
                return await self.store.put(key, body, metadata, if_match, if_absent)
            except ConditionFailed as e:
                if e.code == "NoSuchKey":
                    # Nothing was written: S3 saw no object to compare.
                    if self._is_young() and key in self._known:
                        return None
                else:
                    self._know(key)
                raise

        async def go() -> str:
            try:
                etag = await self._shown(key, once)
            except NotThere:
                raise ConditionFailed("NoSuchKey", key) from None
            self._know(key)
            return etag

        return Deferred.fromCoroutine(go())

    def get(self, key: str, start: int = 0, length: int | None = None) -> Deferred[Got]:
        """See :meth:`IObjectStore.get`."""

        async def once() -> Got | None:
            try:
                return await self.store.get(key, start, length)
            except NotThere:
                return None

        return Deferred.fromCoroutine(self._shown(key, once))

    def pour(
        self, key: str, start: int, length: int, take: Callable[[bytes], None]
    ) -> Deferred[Head | None]:
        """See :meth:`IObjectStore.pour`."""
        poured = 0

        def taken(data: bytes) -> None:
            nonlocal poured
            poured += len(data)
            take(data)

        async def once() -> tuple[Head | None] | None:
            try:
                rest = length - poured
                return (await self.store.pour(key, start + poured, rest, taken),)
            except NotThere:
                return None

        async def go() -> Head | None:
            (head,) = await self._shown(key, once)
            return head

        return Deferred.fromCoroutine(go())

    def head(self, key: str) -> Deferred[Head | None]:
        """See :meth:`IObjectStore.head`."""

        async def go() -> Head | None:
            try:
                return await self._shown(key, lambda: self.store.head(key))
            except NotThere:
                return None

        return Deferred.fromCoroutine(go())

    def delete(self, key: str, if_match: str | None = None) -> Deferred[None]:
        """See :meth:`IObjectStore.delete`."""

        async def go() -> None:
            await self.store.delete(key, if_match)
            self._known.discard(key)

        return Deferred.fromCoroutine(go())

    def list_page(self, prefix: str, after: str | None = None) -> Deferred[Page]:
        """See :meth:`IObjectStore.list_page`."""

        async def go() -> Page:
            page = await self.store.list_page(prefix, after)
            self._know(*(listed.key for listed in page.objects))
            return page

        return Deferred.fromCoroutine(go())

    def versions_page(
        self, after: tuple[str, str] | None = None
    ) -> Deferred[VersionsPage]:
        """See :meth:`IObjectStore.versions_page`."""
        return self.store.versions_page(after)

    # -- uploads ---------------------------------------------------------------

    def begin_upload(self, key: str, metadata: Mapping[str, str]) -> Deferred[str]:
        """See :meth:`IObjectStore.begin_upload`."""
        return self.store.begin_upload(key, metadata)

    def put_part(
        self, key: str, upload_id: str, number: int, body: Body
    ) -> Deferred[str]:
        """See :meth:`IObjectStore.put_part`."""
        return self.store.put_part(key, upload_id, number, body)

    def complete_upload(
        self,
        key: str,
        upload_id: str,
        etags: tuple[str, ...],
        if_absent: bool,  # noqa: FBT001
    ) -> Deferred[str]:
        """See :meth:`IObjectStore.complete_upload`."""

        async def go() -> str:
            try:
                etag = await self.store.complete_upload(
                    key, upload_id, etags, if_absent
                )
            except ConditionFailed:
                self._know(key)
                raise
            self._know(key)
            return etag

        return Deferred.fromCoroutine(go())

    def abort_upload(self, key: str, upload_id: str) -> Deferred[None]:
        """See :meth:`IObjectStore.abort_upload`."""
        return self.store.abort_upload(key, upload_id)

    def list_uploads(self, prefix: str) -> Deferred[tuple[Unfinished, ...]]:
        """See :meth:`IObjectStore.list_uploads`."""
        return self.store.list_uploads(prefix)
