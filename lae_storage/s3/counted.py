"""A bucket whose operations are counted, and whose writes are watched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import define
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from lae_storage.s3.interface import (
    Body,
    Got,
    Head,
    IObjectStore,
    Page,
    Unfinished,
    VersionsPage,
)


class WatchesWrites(Protocol):
    """What hears of each write, how it ended."""

    def taken(self) -> None:
        """It was taken."""

    def note(self, failure: Failure) -> None:
        """It failed."""


@implementer(IObjectStore)
@define(eq=False)
class CountedStore:
    """Hands on to *store*, tells *count* the kind of each operation first, and *writes*
    what became of each write.

    What *store* repeats by itself counts once.
    """

    store: IObjectStore
    count: Callable[[str], None]
    writes: WatchesWrites

    def _watched(self, written: Deferred[str]) -> Deferred[str]:
        def taken(told: str) -> str:
            self.writes.taken()
            return told

        def failed(failure: Failure) -> Failure:
            self.writes.note(failure)
            return failure

        return written.addCallbacks(taken, failed)

    def put(
        self,
        key: str,
        body: Body,
        metadata: Mapping[str, str],
        if_match: str | None = None,
        if_absent: bool = False,  # noqa: FBT001, FBT002
    ) -> Deferred[str]:
        """See :meth:`IObjectStore.put`."""
        self.count("put")
        written = self.store.put(key, body, metadata, if_match, if_absent)
        return self._watched(written)

    def get(self, key: str, start: int = 0, length: int | None = None) -> Deferred[Got]:
        """See :meth:`IObjectStore.get`."""
        self.count("get")
        return self.store.get(key, start, length)

    def pour(
        self, key: str, start: int, length: int, take: Callable[[bytes], None]
    ) -> Deferred[Head | None]:
        """See :meth:`IObjectStore.pour`."""
        self.count("get")
        return self.store.pour(key, start, length, take)

    def head(self, key: str) -> Deferred[Head | None]:
        """See :meth:`IObjectStore.head`."""
        self.count("head")
        return self.store.head(key)

    def delete(self, key: str, if_match: str | None = None) -> Deferred[None]:
        """See :meth:`IObjectStore.delete`."""
        self.count("delete")
        return self.store.delete(key, if_match)

    def list_page(self, prefix: str, after: str | None = None) -> Deferred[Page]:
        """See :meth:`IObjectStore.list_page`."""
        self.count("list")
        return self.store.list_page(prefix, after)

    def versions_page(
        self, after: tuple[str, str] | None = None
    ) -> Deferred[VersionsPage]:
        """See :meth:`IObjectStore.versions_page`."""
        self.count("list-versions")
        return self.store.versions_page(after)

    def begin_upload(self, key: str, metadata: Mapping[str, str]) -> Deferred[str]:
        """See :meth:`IObjectStore.begin_upload`."""
        self.count("begin-upload")
        return self._watched(self.store.begin_upload(key, metadata))

    def put_part(
        self, key: str, upload_id: str, number: int, body: Body
    ) -> Deferred[str]:
        """See :meth:`IObjectStore.put_part`."""
        self.count("put-part")
        return self._watched(self.store.put_part(key, upload_id, number, body))

    def complete_upload(
        self,
        key: str,
        upload_id: str,
        etags: tuple[str, ...],
        if_absent: bool,  # noqa: FBT001
    ) -> Deferred[str]:
        """See :meth:`IObjectStore.complete_upload`."""
        self.count("complete-upload")
        return self.store.complete_upload(key, upload_id, etags, if_absent)

    def abort_upload(self, key: str, upload_id: str) -> Deferred[None]:
        """See :meth:`IObjectStore.abort_upload`."""
        self.count("abort-upload")
        return self.store.abort_upload(key, upload_id)

    def list_uploads(self, prefix: str) -> Deferred[tuple[Unfinished, ...]]:
        """See :meth:`IObjectStore.list_uploads`."""
        self.count("list-uploads")
        return self.store.list_uploads(prefix)
