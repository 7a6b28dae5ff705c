"""What the storage server asks of a bucket.

The essay.  A *condition* (``if_match``, ``if_absent``) is what makes a write safe
against a second writer and against a dead one whose request is still on its way;
every write that could lose something carries one.  Who retries: an implementation
repeats by itself only what is harmless to repeat (reads, unconditional puts of parts
and of objects with unique names, aborts).  A conditional write is sent **once**; when
its reply is lost it raises :class:`Unclear`, and :mod:`lae_storage.s3.conditional`
finds out what became of it by the writer's token in the object's metadata.

Every method answers a Deferred and none blocks.  Every request has a deadline; one
whose body grows is given the time that this may take, :data:`GROWS_WITHIN`.  Where a
body is withdrawn before its end was sent, the request ends and has no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import define, field
from twisted.internet.defer import Deferred
from zope.interface import Interface

#: Seconds in which a body that grows is to be whole; S3 waits no longer for the next
#: bytes of a body (RequestTimeout).
GROWS_WITHIN = 20.0


class StoreError(Exception):
    """The base: what S3 said, without keys or secrets."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code


class NotThere(StoreError):
    """No such object (or upload).  Trying again gives the same answer."""


class ConditionFailed(StoreError):
    """The object is not as the condition says: 412, or 404 with ``if_match``.

    Read it again and decide anew; it may be one's own first try that won.
    """


class Contended(StoreError):
    """409: another conditional request was under way at the same moment.

    Nothing was written.  Look and try again; a whole multipart upload starts anew.
    """


class Unclear(StoreError):
    """The reply was lost: the write may have happened, or may happen yet."""


class Unavailable(StoreError):
    """Throttled, unreachable or failing, after all tries.  Try again later."""


class Withdrawn(StoreError):
    """The body was taken back before its end: nothing was written."""


class Denied(StoreError):
    """Refused for good: rights, a bucket that is gone, a request it cannot mean."""


class Body(Protocol):
    """Bytes to send, that can be read more than once and need not be in memory.

    A body may grow while it is sent: its size is known, and its bytes come in order.
    Its methods raise :class:`Withdrawn` when they are not to come any more.
    """

    def size(self) -> int:
        """How many."""

    def here(self) -> int:
        """How many of them, from the beginning, can be read now."""

    def tell(self, listener: Callable[[], None]) -> None:
        """Call *listener* whenever more is here; the one before is told no more."""

    def read(self, start: int, length: int) -> bytes:
        """Some of what is here; short only at the end."""


@define(frozen=True)
class Bytes:
    """A :class:`Body` in memory."""

    data: bytes = field(repr=False)

    def size(self) -> int:
        """How many bytes."""
        return len(self.data)

    def here(self) -> int:
        """All of them."""
        return len(self.data)

    def tell(self, listener: Callable[[], None]) -> None:
        """Nothing more will come."""

    def read(self, start: int, length: int) -> bytes:
        """Some of them."""
        return self.data[start : start + length]


@define(frozen=True)
class Head:
    """An object without its bytes.  *size* is the whole object's."""

    etag: str
    size: int
    metadata: Mapping[str, str]


@define(frozen=True)
class Got:
    """An object, or the range of it that was asked for; *head* is of the whole."""

    head: Head
    data: bytes = field(repr=False)


@define(frozen=True)
class Listed:
    """One line of a listing.  *modified* is seconds since 1970."""

    key: str
    etag: str
    size: int
    modified: float


@define(frozen=True)
class Page:
    """Up to 1,000 objects in the order of their keys; *after* continues, None ends."""

    objects: tuple[Listed, ...]
    after: str | None


@define(frozen=True)
class VersionsPage:
    """Some versions of objects in the order of their keys, added up: the bytes of those
    that are current, and of those that are not.  *after* continues, None ends.
    """

    current: int
    noncurrent: int
    after: tuple[str, str] | None


@define(frozen=True)
class Unfinished:
    """A multipart upload that nobody completed.  *begun* is seconds since 1970."""

    key: str
    upload_id: str
    begun: float


class IObjectStore(Interface):
    """One bucket (or a prefix in it)."""

    def put(
        key: str,
        body: Body,
        metadata: Mapping[str, str],
        if_match: str | None = None,
        if_absent: bool = False,  # noqa: FBT001, FBT002
    ) -> Deferred[str]:
        """Write an object whole; its ETag.

        With a condition: sent once; raises ConditionFailed, Contended, Unclear.
        Without: repeated within bounds; raises Unavailable.
        """

    def get(key: str, start: int = 0, length: int | None = None) -> Deferred[Got]:
        """Read an object or a range of it (short at its end); raises NotThere.

        A range that begins at or after the end is empty, not an error.
        """

    def pour(
        key: str, start: int, length: int, take: Callable[[bytes], None]
    ) -> Deferred[Head | None]:
        """Read a range, handing on its bytes in order as they arrive, each once.

        Fires at the range's end, or the object's if that is before, with the object's
        head where there were bytes.  *take* must not raise.  What is cut short is asked
        for again from there on; raises NotThere.
        """

    def head(key: str) -> Deferred[Head | None]:
        """Look at an object; None where there is none."""

    def delete(key: str, if_match: str | None = None) -> Deferred[None]:
        """Delete; what is not there is deleted.  Raises ConditionFailed when the
        object has another ETag than *if_match*.
        """

    def list_page(prefix: str, after: str | None = None) -> Deferred[Page]:
        """One page of the objects whose keys begin with *prefix*."""

    def versions_page(after: tuple[str, str] | None = None) -> Deferred[VersionsPage]:
        """One page of all versions; deletions take no bytes."""

    def begin_upload(key: str, metadata: Mapping[str, str]) -> Deferred[str]:
        """Begin a multipart upload; its id."""

    def put_part(key: str, upload_id: str, number: int, body: Body) -> Deferred[str]:
        """Send part *number* (from 1; all but the last at least 5 MiB); its ETag."""

    def complete_upload(
        key: str,
        upload_id: str,
        etags: tuple[str, ...],
        if_absent: bool,  # noqa: FBT001
    ) -> Deferred[str]:
        """Make the parts an object; its ETag.

        Sent once; raises ConditionFailed, Contended (begin anew), NotThere (no such
        upload: it may be complete already), Unclear.
        """

    def abort_upload(key: str, upload_id: str) -> Deferred[None]:
        """Throw an upload away; one that is gone is success."""

    def list_uploads(prefix: str) -> Deferred[tuple[Unfinished, ...]]:
        """All unfinished uploads whose keys begin with *prefix*."""
