"""A stretch of a spool on its way into the bucket, perhaps while it is received."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from lae_storage.s3.interface import Withdrawn
from lae_storage.server.spool import Spool

#: Who sends is told of so many new bytes at once.
GRAIN = 128 * 1024


def _nobody() -> None:
    return


@define(eq=False)
class Stretch:
    """A Body of *length* bytes of the spool from *start*.

    While it is *held* its last byte is kept back, so that what nobody closed is never
    a whole object.
    """

    spool: Spool
    start: int
    length: int
    held: bool = False
    _withdrawn: bool = False
    _told: int = 0
    _listener: Callable[[], None] = _nobody

    def size(self) -> int:
        """How many bytes."""
        return self.length

    def here(self) -> int:
        """How many of them can be sent now."""
        if self._withdrawn:
            raise Withdrawn("Withdrawn")
        return max(0, min(self.spool.front - self.start, self.length - self.held))

    def whole(self) -> bool:
        """Whether all of it was received."""
        return self.spool.front >= self.start + self.length

    def tell(self, listener: Callable[[], None]) -> None:
        """Call *listener* when more is here."""
        self._listener = listener

    def withdraw(self) -> None:
        """Send it no further: as it is not all sent, nothing is written."""
        self._withdrawn = True
        self._listener()

    def grown(self) -> None:
        """The spool has more."""
        if self._withdrawn:
            return
        here = self.here()
        if here - self._told >= GRAIN or (here > self._told and self.whole()):
            self._told = here
            self._listener()

    def read(self, start: int, length: int) -> bytes:
        """Some of what is here."""
        length = max(0, min(length, self.length - start))
        return self.spool.read(self.start + start, length)
