"""The log of what is refused: a line for each, but never as many as attackers send."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.logger import Logger

from lae_protocol.process.token_bucket import TokenBucket

#: Lines at once, and a second on average: ten a minute.
_BURST = 20.0
_RATE = 1 / 6

_log = Logger()


@define
class RefusalLog:
    """Tells of refusals without visitors' addresses.  *seconds* is a clock."""

    seconds: Callable[[], float]
    _untold: int = 0
    _pace: TokenBucket = field(init=False)

    @_pace.default
    def _full(self) -> TokenBucket:
        return TokenBucket.full(_RATE, _BURST, self.seconds())

    def tell(self, what: str, why: str) -> None:
        """Log one line, or count what is not told until the next line."""
        if not self._pace.take(1, self.seconds()):
            self._untold += 1
            return
        _log.info(
            "{what} refused: {why}; not told before: {count}",
            what=what,
            why=why,
            count=self._untold,
        )
        self._untold = 0
