"""Reading immutable shares by ranges, ahead of a client that reads in order.

A client reads a large file a segment at a time, waiting for each, with an excursion
to the hash trees now and then.  So each share remembers where its recent reads ended;
a read that goes on from there is part of a run, and a run is fetched in large spans,
two ahead.  A read from elsewhere fetches little more than it asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from lae_storage.s3.interface import Head, IObjectStore
from lae_storage.server import beginning
from lae_storage.server.cache import DiskCache
from lae_storage.server.spans import ShareReads, Span

#: A read from anywhere fetches at least so much.
SMALLEST_SPAN = 64 * 1024  # bytes
#: A span of a run.
LARGEST_SPAN = 4 * 1024 * 1024  # bytes
#: So much read in order makes a run.
RUN_LENGTH = 512 * 1024  # bytes
#: A share up to this size is fetched on with the first bytes that make a run, a larger
#: one when the next are asked for: its first megabyte may be all that is wanted.
EAGER_SIZE = 16 * 1024 * 1024  # bytes
#: From a read to fetching ahead: by then the read is answered, and while the client
#: deciphers we are idle.
AHEAD_DELAY = 0.0015  # s
#: Spans fetched ahead of a run.
SPANS_AHEAD = 2
#: S3 is near where the first byte of an answer comes sooner.
NEAR = 0.008  # s
#: Large spans that a near S3 is asked for at once: more would delay the first one.
NEAR_AT_ONCE = 2
#: The latest answer's weight in the mean time to the first byte.
LATEST_WEIGHT = 0.3


@define(eq=False)
class Reader:
    """Reads all shares of a bucket, with at most *limit* bytes of them in memory.

    What the *disk* cache has is read there.
    """

    store: IObjectStore
    clock: IReactorTime
    limit: int
    disk: DiskCache
    _reads: OrderedDict[Hashable, ShareReads] = field(factory=OrderedDict)
    _held: int = 0
    #: Mean seconds to the first byte of an answer.
    _distance: float = 0.0

    def prefetch(self, key: str, length: int, offset: int, size: int) -> None:
        """Begin to fetch a range that is about to be read piece by piece."""
        stop = min(offset + size, length)
        if offset < stop and not self.disk.has(key):
            reads = self._reads_of(key)
            run = reads.run_up_to(offset)
            self._cover(key, reads, range(offset, stop), length, run >= RUN_LENGTH)
            reads.wanted_until = stop
            if run >= RUN_LENGTH or _is_eager(length, run + stop - offset):
                reads.ends.append((stop, run + stop - offset))
                self._read_ahead_soon(key, reads, length)

    async def read(self, key: str, length: int, offset: int, size: int) -> bytes:
        """*size* bytes from *offset* of the share of *length*, cut at its end."""
        stop = min(offset + size, length)
        if offset >= stop:
            return b""
        cached = await self.disk.read(key, offset, stop - offset)
        if cached is not None:
            return cached
        reads = self._reads_of(key)
        run = reads.run_up_to(offset)
        wanted = self._cover(key, reads, range(offset, stop), length, run >= RUN_LENGTH)
        reads.ends.append((stop, run + stop - offset))
        # The pieces of one long answer are no run: more was not asked for.
        more = run >= RUN_LENGTH and stop > reads.wanted_until
        if more or _is_eager(length, run + stop - offset):
            self._read_ahead_soon(key, reads, length)
        pieces: list[bytes | memoryview] = []
        for span in wanted:
            pieces += await span.read(max(offset, span.start), min(stop, span.stop))
        if run >= RUN_LENGTH:
            # A run does not come back.
            over = length if stop == length else offset
            for span in [s for s in reads.spans if s.stop <= over]:
                self._remove(reads, span)
        return b"".join(pieces)

    def add(self, key: str, data: bytes) -> None:
        """Keep a share that was just written: it is often read at once."""
        if 0 < len(data) <= self.limit // 8:
            reads = self._reads_of(key)
            self._add(reads, Span.of(0, data))
            self._make_room(key)

    def forget(self, key: str) -> None:
        """Forget a share that is gone; another of its name may come."""
        self.disk.drop(key)
        reads = self._reads.pop(key, ShareReads())
        for span in list(reads.spans):
            self._remove(reads, span)

    # -- fetching --------------------------------------------------------------

    def _reads_of(self, key: str) -> ShareReads:
        reads = self._reads.get(key)
        if reads is None:
            reads = self._reads[key] = ShareReads()
        self._reads.move_to_end(key)
        return reads

    def _cover(
        self,
        key: str,
        reads: ShareReads,
        wanted: range,
        length: int,
        in_run: bool,  # noqa: FBT001
    ) -> list[Span]:
        """Spans that cover the range, in order; missing ones are fetched."""
        spans = []
        at = wanted.start
        while at < wanted.stop:
            span = reads.find_span(at)
            if span is None and not in_run:
                span = self._fetch_unknown(key, reads, at, length)
            if span is None:
                end = _span_end(at) if in_run else max(wanted.stop, at + SMALLEST_SPAN)
                end = min(end, length, self._next_span_start(reads, at))
                span = self._fetch(key, reads, at, end)
            spans.append(span)
            at = span.stop
        self._make_room(key)
        return spans

    def _next_span_start(self, reads: ShareReads, at: int) -> int:
        """Where the next span after *at* begins, so that nothing is fetched twice."""
        starts = [s.start for s in reads.spans if s.start > at and s.error is None]
        return min(starts, default=1 << 62)

    def _read_ahead_soon(self, key: str, reads: ShareReads, length: int) -> None:
        if not reads.is_ahead_due:
            reads.is_ahead_due = True
            self.clock.callLater(AHEAD_DELAY, self._read_ahead, key, reads, length)

    def _read_ahead(self, key: str, reads: ShareReads, length: int) -> None:
        reads.is_ahead_due, reads.length = False, length
        if self._reads.get(key) is not reads:
            return
        at_once = NEAR_AT_ONCE if self._distance < NEAR else SPANS_AHEAD
        at = max((end for end, run in reads.ends if run >= RUN_LENGTH), default=length)
        until = min(at + SPANS_AHEAD * LARGEST_SPAN, length)
        while at < until and self._held + LARGEST_SPAN <= self.limit:
            span = reads.find_span(at)
            if span is None and reads.count_arriving() >= at_once:
                return
            if span is None:
                end = min(_span_end(at), length, self._next_span_start(reads, at))
                span = self._fetch(key, reads, at, end)
            at = span.stop

    def _fetch_unknown(
        self, key: str, reads: ShareReads, at: int, length: int
    ) -> Span | None:
        """The span with the byte *at* of a share of which nothing was read yet.

        All of a small share is fetched, the beginning and the end of a large one; None
        where the byte is between these, or something was read.
        """
        if length <= beginning.WHOLE:
            return None if reads.spans else self._fetch(key, reads, 0, length)
        size, end_at = beginning.SIZE, beginning.find_end(length)
        known = any(s.start < size or s.stop > end_at for s in reads.spans)
        if known or size <= at < end_at:
            return None
        end, first = Span(end_at, length), Span(0, size)
        self._add(reads, end)
        self._add(reads, first)

        def ended(head: Head | None) -> None:
            data = None if head is None else beginning.read_beginning(head.metadata)
            if end.error is not None:
                self._give_up(reads, first, end.error)
            elif data is None:
                self._fill(key, reads, first)
            else:
                first.append(data)

        self._fill(key, reads, end).addCallback(ended)
        return end if at >= end_at else first

    def _fetch(self, key: str, reads: ShareReads, start: int, stop: int) -> Span:
        span = Span(start, stop)
        self._add(reads, span)
        self._fill(key, reads, span)
        return span

    def _fill(self, key: str, reads: ShareReads, span: Span) -> Deferred[Head | None]:
        """Fill the span; the object's head.

        An error is raised where the span's bytes are awaited.
        """
        asked = self.clock.seconds()

        def arrived(data: bytes) -> None:
            if span.is_empty():
                took = self.clock.seconds() - asked
                weight = LATEST_WEIGHT if self._distance else 1.0
                self._distance += weight * (took - self._distance)
            span.append(data)

        def ended(head: Head | None) -> Head | None:
            if not span.is_whole():
                self._give_up(reads, span, ShortShare(key))
            elif reads.length is not None:
                self._read_ahead(key, reads, reads.length)
            return head

        def failed(failure: Failure) -> None:
            assert isinstance(failure.value, Exception)
            self._give_up(reads, span, failure.value)

        pouring = self.store.pour(key, span.start, span.size, arrived)
        return pouring.addCallback(ended).addErrback(failed)

    def _give_up(self, reads: ShareReads, span: Span, error: Exception) -> None:
        self._remove(reads, span)
        span.fail(error)

    # -- what is kept ----------------------------------------------------------

    def _add(self, reads: ShareReads, span: Span) -> None:
        reads.spans.append(span)
        self._held += span.stop - span.start

    def _remove(self, reads: ShareReads, span: Span) -> None:
        if span in reads.spans:
            reads.spans.remove(span)
            self._held -= span.stop - span.start

    def _make_room(self, key: str) -> None:
        """Drop what was used longest ago, never what is on its way."""
        forgotten = []
        for oldest, reads in self._reads.items():
            if self._held <= self.limit:
                break
            for span in [s for s in reads.spans if s.is_whole()]:
                self._remove(reads, span)
            if oldest != key and not reads.spans:
                forgotten.append(oldest)
        for oldest in forgotten:
            del self._reads[oldest]


def _is_eager(length: int, run: int) -> bool:
    """Whether so long a run says that the whole share will be read."""
    return length <= EAGER_SIZE and run >= RUN_LENGTH


def _span_end(at: int) -> int:
    """Where a large span from *at* ends: S3 keeps objects in blocks of such sizes."""
    return (at // LARGEST_SPAN + 1) * LARGEST_SPAN


class ShortShare(Exception):
    """The object is shorter than the index says: somebody changed the bucket."""
