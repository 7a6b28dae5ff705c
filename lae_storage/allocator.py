"""Return free memory to the system while a node moves no shares.

Shares pass through buffers of some megabytes.  glibc keeps freed memory between buffers
in use, so an idle node would keep the memory that it took under load.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from attrs import define, field


def trim() -> None:
    """Return whole free pages, if the C library has malloc_trim(3)."""
    trimming = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trimming is not None:
        trimming(0)


#: Parameter of mallopt(3): free bytes at the heap's end that are kept.
M_TRIM_THRESHOLD = -1
#: Parameter of mallopt(3): the size from which an allocation is not on the heap.
M_MMAP_THRESHOLD = -3
KEPT = 24 * 1024 * 1024  # bytes


def keep() -> None:
    """Keep up to :data:`KEPT` of freed memory for the next allocations.

    Otherwise each megabyte of a share is new memory that the kernel must clear, which
    takes a quarter of the time of reading the share.
    """
    tuning = getattr(ctypes.CDLL(None), "mallopt", None)
    if tuning is not None:
        tuning(M_MMAP_THRESHOLD, KEPT)
        tuning(M_TRIM_THRESHOLD, KEPT)


@define(eq=False)
class Rests:
    """Calls *give_back* once after each burst of traffic: when the count that *moved*
    returns has changed, and then stayed the same from one look to the next.
    """

    moved: Callable[[], int]
    give_back: Callable[[], None] = trim
    _seen: int = field(default=0, init=False)
    _given: int = field(default=0, init=False)

    def look(self) -> None:
        """Look at the count; returning memory takes some milliseconds."""
        moved = self.moved()
        if moved == self._seen != self._given:
            self._given = moved
            self.give_back()
        self._seen = moved
