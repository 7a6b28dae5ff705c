"""The bucket's in-memory twin, with versions, and with faults on demand.

It answers at once, so that a test with a state machine needs no reactor; a test that
wants an operation held gives a fault that waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from itertools import count
from typing import TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface import implementer

from lae_storage.s3.interface import (
    Body,
    Bytes,
    ConditionFailed,
    Denied,
    Got,
    Head,
    IObjectStore,
    Listed,
    NotThere,
    Page,
    Unclear,
    Unfinished,
    VersionsPage,
    Withdrawn,
)

T = TypeVar("T")

#: Smallest part but the last, as S3 has it.
SMALLEST_PART = 5 * 1024 * 1024


@define(frozen=True)
class Request:
    """What a fault sees: the operation's name and the key."""

    operation: str
    key: str


#: Called before the effect.  May raise; may answer a Deferred to wait for; answers
#: "lose" to let the effect happen and lose the reply.
Fault = Callable[[Request], "Deferred[None] | str | None"]


@define
class _Object:
    data: bytes
    etag: str
    metadata: dict[str, str]
    modified: float
    unseen: int


@define
class _Upload:
    key: str
    metadata: dict[str, str]
    begun: float
    parts: dict[int, bytes] = field(factory=dict)


_NO_BODY = Bytes(b"")


def _all(body: Body) -> bytes:
    return body.read(0, body.size())


def _whole(body: Body) -> Deferred[None]:
    """Fires when the body is all here."""
    whole: Deferred[None] = Deferred()

    def look() -> None:
        if whole.called:
            return
        try:
            if body.here() >= body.size():
                whole.callback(None)
        except Withdrawn:
            whole.errback()

    body.tell(look)
    look()
    return whole


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


@implementer(IObjectStore)
@define
class MemoryStore:
    """A bucket in a dictionary.  *fault* sees each request; *requests* counts them.

    To so many requests as *unseen* says an object that was just written is not there,
    as in a bucket whose versioning is young.
    """

    page: int = 1000
    unseen: int = 0
    fault: Fault | None = None
    seconds: Callable[[], float] = field(default=lambda: 0.0)
    requests: list[Request] = field(factory=list)
    objects: dict[str, _Object] = field(factory=dict)
    uploads: dict[str, _Upload] = field(factory=dict)
    noncurrent: list[tuple[str, int]] = field(factory=list)
    _ids: count[int] = field(factory=count)

    def _do(
        self,
        operation: str,
        key: str,
        effect: Callable[[], T],
        body: Body = _NO_BODY,
    ) -> Deferred[T]:
        request = Request(operation, key)
        return Deferred.fromCoroutine(self._carry_out(request, effect, body))

    async def _carry_out(
        self, request: Request, effect: Callable[[], T], body: Body
    ) -> T:
        self.requests.append(request)
        verdict = self.fault(request) if self.fault is not None else None
        if isinstance(verdict, Deferred):
            await verdict
        await _whole(body)
        result = effect()
        if verdict == "lose":
            raise Unclear("ConnectionLost", "the reply was lost")
        return result

    def _store(
        self,
        key: str,
        data: bytes,
        metadata: Mapping[str, str],
        if_match: str | None,
        if_absent: bool,
    ) -> str:
        if if_absent and key in self.objects:
            raise ConditionFailed("PreconditionFailed")
        there = None if if_match is None else self._seen(key)
        if if_match is not None and (there is None or there.etag != if_match):
            raise ConditionFailed("PreconditionFailed" if there else "NoSuchKey")
        etag = _etag(data)
        self._supersede(key)
        self.objects[key] = _Object(
            data, etag, dict(metadata), self.seconds(), self.unseen
        )
        return etag

    def _seen(self, key: str) -> _Object | None:
        there = self.objects.get(key)
        if there is not None and there.unseen:
            there.unseen -= 1
            return None
        return there

    def _supersede(self, key: str) -> None:
        there = self.objects.pop(key, None)
        if there is not None:
            self.noncurrent.append((key, len(there.data)))

    def put(
        self,
        key: str,
        body: Body,
        metadata: Mapping[str, str],
        if_match: str | None = None,
        if_absent: bool = False,
    ) -> Deferred[str]:
        """See :meth:`IObjectStore.put`."""
        return self._do(
            "put",
            key,
            lambda: self._store(key, _all(body), metadata, if_match, if_absent),
            body,
        )

    def get(self, key: str, start: int = 0, length: int | None = None) -> Deferred[Got]:
        """See :meth:`IObjectStore.get`."""

        def effect() -> Got:
            there = self._seen(key)
            if there is None:
                raise NotThere("NoSuchKey")
            stop = len(there.data) if length is None else start + length
            head = Head(there.etag, len(there.data), there.metadata)
            return Got(head, there.data[start:stop])

        return self._do("get", key, effect)

    def pour(
        self, key: str, start: int, length: int, take: Callable[[bytes], None]
    ) -> Deferred[Head | None]:
        """See :meth:`IObjectStore.pour`."""

        def took(got: Got) -> Head | None:
            if not got.data:
                return None
            take(got.data)
            return got.head

        return self.get(key, start, length).addCallback(took)

    def head(self, key: str) -> Deferred[Head | None]:
        """See :meth:`IObjectStore.head`."""

        def effect() -> Head | None:
            there = self._seen(key)
            if there is None:
                return None
            return Head(there.etag, len(there.data), there.metadata)

        return self._do("head", key, effect)

    def delete(self, key: str, if_match: str | None = None) -> Deferred[None]:
        """See :meth:`IObjectStore.delete`."""

        def effect() -> None:
            there = self.objects.get(key)
            if there is not None and if_match not in (None, there.etag):
                raise ConditionFailed("PreconditionFailed")
            self._supersede(key)

        return self._do("delete", key, effect)

    def list_page(self, prefix: str, after: str | None = None) -> Deferred[Page]:
        """See :meth:`IObjectStore.list_page`."""

        def effect() -> Page:
            keys = sorted(
                k for k in self.objects if k.startswith(prefix) and k > (after or "")
            )
            shown = keys[: self.page]
            lines = tuple(
                Listed(k, o.etag, len(o.data), o.modified)
                for k in shown
                for o in (self.objects[k],)
            )
            return Page(lines, shown[-1] if len(keys) > self.page else None)

        return self._do("list", prefix, effect)

    def versions_page(
        self, after: tuple[str, str] | None = None
    ) -> Deferred[VersionsPage]:
        """See :meth:`IObjectStore.versions_page`."""

        def effect() -> VersionsPage:
            current = [(k, len(o.data), True) for k, o in self.objects.items()]
            older = [(k, size, False) for k, size in self.noncurrent]
            versions = sorted(current + older, key=lambda v: v[0])
            at = 0 if after is None else int(after[1])
            shown = versions[at : at + self.page]
            now = sum(size for _, size, latest in shown if latest)
            whole = sum(size for _, size, _ in shown)
            stop = at + len(shown)
            more = (shown[-1][0], str(stop)) if stop < len(versions) else None
            return VersionsPage(now, whole - now, more)

        return self._do("list-versions", "", effect)

    def begin_upload(self, key: str, metadata: Mapping[str, str]) -> Deferred[str]:
        """See :meth:`IObjectStore.begin_upload`."""

        def effect() -> str:
            upload_id = f"upload-{next(self._ids)}"
            self.uploads[upload_id] = _Upload(key, dict(metadata), self.seconds())
            return upload_id

        return self._do("begin", key, effect)

    def put_part(
        self, key: str, upload_id: str, number: int, body: Body
    ) -> Deferred[str]:
        """See :meth:`IObjectStore.put_part`."""

        def effect() -> str:
            upload = self.uploads.get(upload_id)
            if upload is None:
                raise NotThere("NoSuchUpload")
            data = upload.parts[number] = _all(body)
            return _etag(data)

        return self._do("part", key, effect, body)

    def complete_upload(
        self,
        key: str,
        upload_id: str,
        etags: tuple[str, ...],
        if_absent: bool,
    ) -> Deferred[str]:
        """See :meth:`IObjectStore.complete_upload`."""

        def effect() -> str:
            upload = self.uploads.get(upload_id)
            if upload is None:
                raise NotThere("NoSuchUpload")
            parts = [upload.parts.get(n + 1, b"") for n in range(len(etags))]
            if tuple(_etag(p) for p in parts) != etags:
                raise Denied("InvalidPart")
            if any(len(p) < SMALLEST_PART for p in parts[:-1]):
                raise Denied("EntityTooSmall")
            etag = self._store(key, b"".join(parts), upload.metadata, None, if_absent)
            del self.uploads[upload_id]
            return etag

        return self._do("complete", key, effect)

    def abort_upload(self, key: str, upload_id: str) -> Deferred[None]:
        """See :meth:`IObjectStore.abort_upload`."""

        def effect() -> None:
            self.uploads.pop(upload_id, None)

        return self._do("abort", key, effect)

    def list_uploads(self, prefix: str) -> Deferred[tuple[Unfinished, ...]]:
        """See :meth:`IObjectStore.list_uploads`."""
        return self._do(
            "uploads",
            prefix,
            lambda: tuple(
                Unfinished(u.key, i, u.begun)
                for i, u in self.uploads.items()
                if u.key.startswith(prefix)
            ),
        )
