"""Bytes of a share that are here, or arriving."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred


@define(eq=False)
class Span:
    """The bytes of a share from *start* to *stop*, in order as they arrive."""

    start: int
    stop: int
    error: Exception | None = None
    _data: bytearray | bytes = field(init=False, repr=False)
    _filled: int = 0
    #: Who waits, and up to where.
    _waiting: list[tuple[int, Deferred[None]]] = field(factory=list, repr=False)

    def __attrs_post_init__(self) -> None:
        self._data = bytearray(self.size)

    @classmethod
    def of(cls, start: int, data: bytes) -> Span:
        """A span that is here."""
        span = cls(start, start)
        span.stop, span._data, span._filled = start + len(data), data, len(data)
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
        assert isinstance(self._data, bytearray)
        end = self._filled + len(data)
        self._data[self._filled : end] = data
        self._filled = end
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

    async def read(self, start: int, stop: int) -> bytes:
        """The bytes of the share from *start* to *stop*, both within the span.

        Waits until they are here; raises what kept them from coming.
        """
        if not self._known(stop):
            waiter: Deferred[None] = Deferred()
            self._waiting.append((stop, waiter))
            await waiter
        if self.start + self._filled < stop:
            assert self.error is not None
            raise self.error
        with memoryview(self._data) as view:
            return bytes(view[start - self.start : stop - self.start])
