"""Bytes of a share that are here, or arriving."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from attrs import define, field
from twisted.internet.defer import Deferred


@define(eq=False)
class Span:
    """The bytes of a share from *start* to *stop*, in order as they arrive."""

    start: int
    stop: int
    error: Exception | None = None
    #: As they came, and where in the share each begins.
    _pieces: list[bytes] = field(factory=list, repr=False)
    _starts: list[int] = field(factory=list, repr=False)
    _filled: int = 0
    #: Who waits, and up to where.
    _waiting: list[tuple[int, Deferred[None]]] = field(factory=list, repr=False)

    @classmethod
    def of(cls, start: int, data: bytes) -> Span:
        """A span that is here."""
        span = cls(start, start + len(data))
        span.take(data)
        return span

    @property
    def size(self) -> int:
        """How many bytes there will be."""
        return self.stop - self.start

    def fresh(self) -> bool:
        """Whether nothing of it is here yet."""
        return self._filled == 0

    def whole(self) -> bool:
        """Whether all of it is here."""
        return self._filled == self.size

    def take(self, data: bytes) -> None:
        """The next bytes."""
        self._pieces.append(data)
        self._starts.append(self.start + self._filled)
        self._filled += len(data)
        self._tell()

    def fail(self, error: Exception) -> None:
        """No more will come."""
        self.error = error
        self._tell()

    def _tell(self) -> None:
        ready = [w for w in self._waiting if self._known(w[0])]
        self._waiting = [w for w in self._waiting if not self._known(w[0])]
        for _, waiter in ready:
            waiter.callback(None)

    def _known(self, stop: int) -> bool:
        return self.error is not None or self.start + self._filled >= stop

    async def read(self, start: int, stop: int) -> list[bytes | memoryview]:
        """The bytes of the share from *start* to *stop*, both within the span, in
        pieces: whoever joins them copies them once.

        Waits until they are here; raises what kept them from coming.
        """
        if not self._known(stop):
            waiter: Deferred[None] = Deferred()
            self._waiting.append((stop, waiter))
            await waiter
        if self.start + self._filled < stop:
            assert self.error is not None
            raise self.error
        return self._between(start, stop)

    def _between(self, start: int, stop: int) -> list[bytes | memoryview]:
        if start >= stop:
            return []
        first = bisect_right(self._starts, start) - 1
        last = bisect_left(self._starts, stop)
        wanted: list[bytes | memoryview] = list(self._pieces[first:last])
        # Only the ends are cut.
        wanted[-1] = memoryview(wanted[-1])[: stop - self._starts[last - 1]]
        wanted[0] = memoryview(wanted[0])[start - self._starts[first] :]
        return wanted
