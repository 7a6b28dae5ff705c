"""Giving memory back to the system when a node has nothing to move.

Shares go through buffers of some megabytes; glibc keeps what was freed between those
that are still in use, so that a node at rest would hold what it took under load.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from attrs import define, field


def trim() -> None:
    """Give back whole free pages; nothing where the C library has no malloc_trim(3)."""
    trimming = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trimming is not None:
        trimming(0)


#: Of mallopt(3): when the heap's end is given back, and what is no part of the heap.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: Bytes.
KEPT = 24 * 1024 * 1024


def keep() -> None:
    """Keep what is freed, up to :data:`KEPT`, for what is allocated next.

    Else each megabyte of a share is new memory, which the system must clear: a quarter
    of what reading it costs us.
    """
    tuning = getattr(ctypes.CDLL(None), "mallopt", None)
    if tuning is not None:
        tuning(M_MMAP_THRESHOLD, KEPT)
        tuning(M_TRIM_THRESHOLD, KEPT)


@define(eq=False)
class Rests:
    """Calls *give_back* when what *moved* tells stood still since the last look, once
    for each time that it had moved.
    """

    moved: Callable[[], int]
    give_back: Callable[[], None] = trim
    _seen: int = field(default=0, init=False)
    _given: int = field(default=0, init=False)

    def look(self) -> None:
        """Look; it takes some milliseconds where there is something to give back."""
        moved = self.moved()
        if moved == self._seen != self._given:
            self._given = moved
            self.give_back()
        self._seen = moved
