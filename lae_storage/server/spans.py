"""What was fetched of a share, or is on its way, and what was lately read of it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque

from attrs import define, field
from twisted.internet.defer import Deferred

#: A larger span on its way makes other requests wait.
LARGE_SPAN = 128 * 1024  # bytes
#: Ends of recent reads that a run may go on from; most are of hashes.
RECENT_READS = 64


@define(eq=False)
class Span:
    """The bytes of a share from *start* to *stop*, in order as they arrive."""

    start: int
    stop: int
    error: Exception | None = None
    #: The bytes as they came, and where in the share each piece begins.
    _pieces: list[bytes] = field(factory=list, repr=False)
    _starts: list[int] = field(factory=list, repr=False)
    _filled: int = 0
    #: Up to where a waiter needs the bytes, and what wakes it.
    _waiting: list[tuple[int, Deferred[None]]] = field(factory=list, repr=False)

    @classmethod
    def of(cls, start: int, data: bytes) -> Span:
        """A span whose bytes are all here."""
        span = cls(start, start + len(data))
        span.append(data)
        return span

    @property
    def size(self) -> int:
        """How many bytes the span has when it is whole."""
        return self.stop - self.start

    def is_empty(self) -> bool:
        """Whether none of its bytes are here yet."""
        return self._filled == 0

    def is_whole(self) -> bool:
        """Whether all of its bytes are here."""
        return self._filled == self.size

    def append(self, data: bytes) -> None:
        """Add the bytes that arrived next."""
        self._pieces.append(data)
        self._starts.append(self.start + self._filled)
        self._filled += len(data)
        self._wake()

    def fail(self, error: Exception) -> None:
        """Raise this error where missing bytes are awaited: no more will come."""
        self.error = error
        self._wake()

    def _wake(self) -> None:
        ready = [w for w in self._waiting if self._is_decided(w[0])]
        self._waiting = [w for w in self._waiting if not self._is_decided(w[0])]
        for _, waiter in ready:
            waiter.callback(None)

    def _is_decided(self, stop: int) -> bool:
        return self.error is not None or self.start + self._filled >= stop

    async def read(self, start: int, stop: int) -> list[bytes | memoryview]:
        """The bytes of the share from *start* to *stop*, both within the span, in
        pieces: whoever joins them copies them once.

        Waits until they are here; raises what kept them from coming.
        """
        if not self._is_decided(stop):
            waiter: Deferred[None] = Deferred()
            self._waiting.append((stop, waiter))
            await waiter
        if self.start + self._filled < stop:
            assert self.error is not None
            raise self.error
        return self._pieces_between(start, stop)

    def _pieces_between(self, start: int, stop: int) -> list[bytes | memoryview]:
        if start >= stop:
            return []
        first = bisect_right(self._starts, start) - 1
        last = bisect_left(self._starts, stop)
        wanted: list[bytes | memoryview] = list(self._pieces[first:last])
        # Only the ends are cut.
        wanted[-1] = memoryview(wanted[-1])[: stop - self._starts[last - 1]]
        wanted[0] = memoryview(wanted[0])[start - self._starts[first] :]
        return wanted


@define(eq=False)
class ShareReads:
    """What is remembered of one share's reads."""

    spans: list[Span] = field(factory=list)
    #: Whether more is about to be fetched ahead.
    is_ahead_due: bool = False
    #: Where the latest answer ends that is read by pieces.
    wanted_until: int = 0
    #: The share's length, once something was fetched ahead.
    length: int | None = None
    #: Where recent reads ended, and how many bytes in order had been read by then.
    ends: deque[tuple[int, int]] = field(factory=lambda: deque(maxlen=RECENT_READS))

    def run_up_to(self, offset: int) -> int:
        """How many bytes were read in order, ending at *offset*."""
        return max((run for end, run in self.ends if end == offset), default=0)

    def count_arriving(self) -> int:
        """How many large spans are on their way."""
        return sum(s.size > LARGE_SPAN and not s.is_whole() for s in self.spans)

    def find_span(self, offset: int) -> Span | None:
        """A span that has the byte at *offset*."""
        for span in self.spans:
            if span.start <= offset < span.stop and span.error is None:
                return span
        return None
