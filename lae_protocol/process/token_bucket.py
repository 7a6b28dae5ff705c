"""A token bucket: so much at once, so much a second on average.  Pure.

Time is seconds of any clock that never goes back.
"""

from __future__ import annotations

from attrs import define


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

    def owe(self, amount: float, now: float) -> float:
        """Take it in any case; the seconds until the debt is paid."""
        self._gain(now)
        self.held -= amount
        return max(0.0, -self.held / self.rate)
