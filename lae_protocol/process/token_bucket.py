"""A token bucket: so much at once, so much a second on average.  Pure.

Time is seconds of any clock that never goes back.
"""

from __future__ import annotations

from collections import OrderedDict
from math import inf

from attrs import define, field

#: Names whose pace is remembered; the one not seen for longest is forgotten.
REMEMBERED = 10_000


@define(frozen=True)
class Rate:
    """*burst* at once, and *per_second* on average."""

    per_second: float
    burst: float


@define
class TokenBucket:
    """Holds at most *burst* and gains *rate* a second; full at first.

    It may be overdrawn: what is taken beyond *held* is a debt that later time pays.
    """

    rate: float
    burst: float
    held: float
    at: float

    @classmethod
    def full(cls, rate: float, burst: float, now: float) -> TokenBucket:
        """One that nobody has taken from."""
        return cls(rate, burst, burst, now)

    def _gain(self, now: float) -> None:
        gained = max(0.0, now - self.at) * self.rate
        self.held = min(self.burst, self.held + gained)
        self.at = max(self.at, now)

    def take(self, amount: float, now: float) -> bool:
        """Take it, if so much is there."""
        self._gain(now)
        if amount > self.held:
            return False
        self.held -= amount
        return True

    def owe(self, amount: float, now: float, longest: float = inf) -> float:
        """Take it in any case; the seconds until the debt is paid.

        No debt grows beyond what *longest* seconds pay: nobody waits for more, so
        nobody pays for it later either.
        """
        self._gain(now)
        self.held = max(self.held - amount, -longest * self.rate)
        return max(0.0, -self.held / self.rate)

    def count(self, now: float) -> int:
        """Take one: 0 if it is there, else the seconds until it is."""
        if self.take(1, now):
            return 0
        return int((1 - self.held) / self.rate) + 1


@define
class Paces:
    """A bucket for each name, of one *rate*, in bounded memory."""

    rate: Rate
    remembered: int = REMEMBERED
    _buckets: OrderedDict[str, TokenBucket] = field(factory=OrderedDict)

    def of(self, name: str, now: float) -> TokenBucket:
        """Return the bucket of *name*; a full one, if the name is not remembered."""
        bucket = self._buckets.pop(name, None)
        if bucket is None:
            bucket = TokenBucket.full(self.rate.per_second, self.rate.burst, now)
        self._buckets[name] = bucket
        while len(self._buckets) > self.remembered:
            self._buckets.popitem(last=False)
        return bucket
