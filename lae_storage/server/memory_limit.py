"""Bytes kept in memory for a while, with one limit over all of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from attrs import define, field

V = TypeVar("V")


@define
class Kept(Generic[V]):
    """Values by key, at most *limit* bytes of them; the longest unused goes first.

    *size* tells a value's bytes.
    """

    limit: int
    size: Callable[[V], int]
    held: int = 0
    _values: OrderedDict[Hashable, V] = field(factory=OrderedDict)

    def get(self, key: Hashable) -> V | None:
        """The value, which is thereby used."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def keep(self, key: Hashable, value: V) -> None:
        """Keep it, unless it alone is larger than a quarter of the limit."""
        self.drop(key)
        size = self.size(value)
        if size > self.limit // 4:
            return
        self._values[key] = value
        self.held += size
        while self.held > self.limit:
            _, oldest = self._values.popitem(last=False)
            self.held -= self.size(oldest)

    def clear(self) -> None:
        """Forget all."""
        self._values.clear()
        self.held = 0

    def drop(self, key: Hashable) -> None:
        """Forget it."""
        value = self._values.pop(key, None)
        if value is not None:
            self.held -= self.size(value)
