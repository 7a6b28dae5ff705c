"""Reading immutable shares by ranges, ahead of the client where it reads in order.

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
from lae_storage.server.reads import Reads
from lae_storage.server.span import Span

#: A read from anywhere fetches at least so much; a run's spans grow to the largest.
SMALLEST, LARGEST = 64 * 1024, 4 * 1024 * 1024
#: So many bytes read in order make a run.
RUN = 512 * 1024
#: Shares up to this size are fetched on with the first bytes that make a run, larger
#: ones when the next are asked for: their first megabyte may be all that is wanted.
EAGER = 16 * 1024 * 1024
#: Seconds from a read to fetching ahead: by then it is answered, and while the client
#: deciphers we are idle.
MOMENT = 0.0015
#: Spans fetched ahead of a run.
AHEAD = 2
#: How many of them are under way at once where S3 answers within NEAR seconds, since
#: more would keep the first from coming; where it does not, all are.
AT_ONCE, NEAR = 2, 0.008
#: How much the last answer counts in what is known of S3's distance.
LAST = 0.3


@define(eq=False)
class Reader:
    """Reads all shares of a bucket with at most *limit* bytes in memory; what is *disk*
    on the disk is read there.
    """

    store: IObjectStore
    clock: IReactorTime
    limit: int
    disk: DiskCache
    _reads: OrderedDict[Hashable, Reads] = field(factory=OrderedDict)
    _held: int = 0
    #: Seconds to the first byte of an answer, lately.
    _distance: float = 0.0

    def want(self, key: str, length: int, offset: int, size: int) -> None:
        """Begin to fetch what is about to be read piece by piece."""
        stop = min(offset + size, length)
        if offset < stop and not self.disk.has(key):
            reads = self._of(key)
            run = reads.run_up_to(offset)
            self._cover(key, reads, range(offset, stop), length, run >= RUN)
            reads.wanted = stop
            if run >= RUN or _eager(length, run + stop - offset):
                reads.ends.append((stop, run + stop - offset))
                self._soon(key, reads, length)

    async def read(self, key: str, length: int, offset: int, size: int) -> bytes:
        """*size* bytes from *offset* of the share of *length*, cut at its end."""
        stop = min(offset + size, length)
        if offset >= stop:
            return b""
        cached = await self.disk.read(key, offset, stop - offset)
        if cached is not None:
            return cached
        reads = self._of(key)
        run = reads.run_up_to(offset)
        wanted = self._cover(key, reads, range(offset, stop), length, run >= RUN)
        reads.ends.append((stop, run + stop - offset))
        # The pieces of one long answer are no run: more was not asked for.
        more = run >= RUN and stop > reads.wanted
        if more or _eager(length, run + stop - offset):
            self._soon(key, reads, length)
        pieces: list[bytes | memoryview] = []
        for span in wanted:
            pieces += await span.read(max(offset, span.start), min(stop, span.stop))
        if run >= RUN:
            # A run does not come back.
            over = length if stop == length else offset
            for span in [s for s in reads.spans if s.stop <= over]:
                self._remove(reads, span)
        return b"".join(pieces)

    def keep(self, key: str, data: bytes) -> None:
        """A share that was just written is often read at once."""
        if 0 < len(data) <= self.limit // 8:
            reads = self._of(key)
            self._add(reads, Span.of(0, data))
            self._make_room(key)

    def forget(self, key: str) -> None:
        """A share that is gone; another may come under its name."""
        self.disk.drop(key)
        reads = self._reads.pop(key, Reads())
        for span in list(reads.spans):
            self._remove(reads, span)

    # -- fetching --------------------------------------------------------------

    def _of(self, key: str) -> Reads:
        reads = self._reads.get(key)
        if reads is None:
            reads = self._reads[key] = Reads()
        self._reads.move_to_end(key)
        return reads

    def _cover(
        self,
        key: str,
        reads: Reads,
        wanted: range,
        length: int,
        in_run: bool,  # noqa: FBT001
    ) -> list[Span]:
        """Spans that cover the range, in order; what is missing is fetched."""
        spans = []
        at = wanted.start
        while at < wanted.stop:
            span = reads.at(at)
            if span is None and not in_run:
                span = self._open(key, reads, at, length)
            if span is None:
                end = _border(at) if in_run else max(wanted.stop, at + SMALLEST)
                end = min(end, length, self._next(reads, at))
                span = self._fetch(key, reads, at, end)
            spans.append(span)
            at = span.stop
        self._make_room(key)
        return spans

    def _next(self, reads: Reads, at: int) -> int:
        """Where the next span after *at* begins, so that nothing is fetched twice."""
        starts = [s.start for s in reads.spans if s.start > at and s.error is None]
        return min(starts, default=1 << 62)

    def _soon(self, key: str, reads: Reads, length: int) -> None:
        if not reads.ahead:
            reads.ahead = True
            self.clock.callLater(MOMENT, self._read_ahead, key, reads, length)

    def _read_ahead(self, key: str, reads: Reads, length: int) -> None:
        reads.ahead, reads.ahead_of = False, length
        if self._reads.get(key) is not reads:
            return
        at_once = AT_ONCE if self._distance < NEAR else AHEAD
        at = max((end for end, run in reads.ends if run >= RUN), default=length)
        until = min(at + AHEAD * LARGEST, length)
        while at < until and self._held + LARGEST <= self.limit:
            span = reads.at(at)
            if span is None and reads.arriving() >= at_once:
                return
            if span is None:
                end = min(_border(at), length, self._next(reads, at))
                span = self._fetch(key, reads, at, end)
            at = span.stop

    def _open(self, key: str, reads: Reads, at: int, length: int) -> Span | None:
        """What is fetched of a share that nothing is known of, if that has the byte
        *at*: all of a small one, the beginning and the end of a large one.
        """
        if length <= beginning.WHOLE:
            return None if reads.spans else self._fetch(key, reads, 0, length)
        size, end_at = beginning.SIZE, beginning.end_of(length)
        known = any(s.start < size or s.stop > end_at for s in reads.spans)
        if known or size <= at < end_at:
            return None
        end, first = Span(end_at, length), Span(0, size)
        self._add(reads, end)
        self._add(reads, first)

        def ended(head: Head | None) -> None:
            data = None if head is None else beginning.found_in(head.metadata)
            if end.error is not None:
                self._give_up(reads, first, end.error)
            elif data is None:
                self._pour(key, reads, first)
            else:
                first.take(data)

        self._pour(key, reads, end).addCallback(ended)
        return end if at >= end_at else first

    def _fetch(self, key: str, reads: Reads, start: int, stop: int) -> Span:
        span = Span(start, stop)
        self._add(reads, span)
        self._pour(key, reads, span)
        return span

    def _pour(self, key: str, reads: Reads, span: Span) -> Deferred[Head | None]:
        """Fill the span; the object's head.  What keeps its bytes from coming is raised
        where they are awaited.
        """
        asked = self.clock.seconds()

        def arrived(data: bytes) -> None:
            if span.fresh():
                took = self.clock.seconds() - asked
                weight = LAST if self._distance else 1.0
                self._distance += weight * (took - self._distance)
            span.take(data)

        def ended(head: Head | None) -> Head | None:
            if not span.whole():
                self._give_up(reads, span, ShortShare(key))
            elif reads.ahead_of is not None:
                self._read_ahead(key, reads, reads.ahead_of)
            return head

        def failed(failure: Failure) -> None:
            assert isinstance(failure.value, Exception)
            self._give_up(reads, span, failure.value)

        pouring = self.store.pour(key, span.start, span.size, arrived)
        return pouring.addCallback(ended).addErrback(failed)

    def _give_up(self, reads: Reads, span: Span, error: Exception) -> None:
        self._remove(reads, span)
        span.fail(error)

    # -- what is kept ----------------------------------------------------------

    def _add(self, reads: Reads, span: Span) -> None:
        reads.spans.append(span)
        self._held += span.stop - span.start

    def _remove(self, reads: Reads, span: Span) -> None:
        if span in reads.spans:
            reads.spans.remove(span)
            self._held -= span.stop - span.start

    def _make_room(self, key: str) -> None:
        """Drop what was used longest ago, never what is on its way."""
        forgotten = []
        for oldest, reads in self._reads.items():
            if self._held <= self.limit:
                break
            for span in [s for s in reads.spans if s.whole()]:
                self._remove(reads, span)
            if oldest != key and not reads.spans:
                forgotten.append(oldest)
        for oldest in forgotten:
            del self._reads[oldest]


def _eager(length: int, run: int) -> bool:
    """Whether so long a run tells that all of the share is to be read."""
    return length <= EAGER and run >= RUN


def _border(at: int) -> int:
    """Where a large span from *at* ends: S3 keeps objects in blocks of such sizes."""
    return (at // LARGEST + 1) * LARGEST


class ShortShare(Exception):
    """The object is shorter than the index says: somebody changed the bucket."""
