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
