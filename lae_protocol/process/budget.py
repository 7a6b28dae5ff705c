"""How much one reference may ask, within what all references of its kind may ask.

A facet has one reference for each furl, and whoever holds the furl may open as many
connections as the gate lets in: so calls are counted by the furl's name, not by the
connection.  (Copies of the site share a furl: each address has a budget of its own
there.)  What is over the budget is refused at once, before it is parsed or waits for
the journal, and the log says so once a minute, not once a call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from attrs import Factory, define, evolve, field
from twisted.logger import Logger

from lae_protocol.process.token_bucket import Paces, Rate, TokenBucket

#: Seconds between two log lines about refused calls.
TELL_EVERY = 60.0

_log = Logger()


@define(frozen=True)
class CallAllowance:
    """At most *together* calls under way; *burst* calls at once, and *rate* a second
    on average.
    """

    together: int
    burst: float
    rate: float


@define(eq=False)
class RefusedCalls:
    """Tells the log of the refused calls of one *kind*, by whom the last one was."""

    kind: str
    seconds: Callable[[], float]
    _untold: int = 0
    _told: float = -TELL_EVERY

    def tell(self, name: str) -> None:
        """Count one more; a line a minute says how many there were."""
        now = self.seconds()
        self._untold += 1
        if now - self._told >= TELL_EVERY:
            _log.warn(
                "{count} calls of {facet} are refused: too many of {furl}",
                count=self._untold,
                facet=self.kind,
                furl=name,
            )
            self._untold, self._told = 0, now


@define(eq=False)
class CallBudget:
    """The budget of the facets of one *kind*: *each* reference's, and *everybody*'s.

    *seconds* is a clock that never goes back.  References are known by a name that may
    be logged, such as the beginning of a hash.
    """

    kind: str
    each: CallAllowance
    everybody: CallAllowance
    seconds: Callable[[], float]
    _under_way: Counter[str] = Factory(Counter)
    _all_under_way: int = 0
    _paces: Paces = field(init=False)
    _everybodys_pace: TokenBucket = field(init=False)
    _refused: RefusedCalls = field(init=False)

    def __attrs_post_init__(self) -> None:
        rate, burst = self.everybody.rate, self.everybody.burst
        self._refused = RefusedCalls(self.kind, self.seconds)
        self._paces = Paces(Rate(self.each.rate, self.each.burst))
        self._everybodys_pace = TokenBucket.full(rate, burst, self.seconds())

    def begin(self, name: str) -> bool:
        """Count one more call of the reference *name*; False refuses it.

        Each call that was not refused must :meth:`end`.
        """
        now = self.seconds()
        has_room = self._under_way[name] < self.each.together
        if not has_room or not self._paces.of(name, now).take(1, now):
            return self._refuse(name)
        has_room = self._all_under_way < self.everybody.together
        if not has_room or not self._everybodys_pace.take(1, now):
            return self._refuse("all of them together")
        self._under_way[name] += 1
        self._all_under_way += 1
        return True

    def end(self, name: str) -> None:
        """A call of the reference *name* is over."""
        self._under_way[name] -= 1
        if not self._under_way[name]:
            del self._under_way[name]
        self._all_under_way -= 1

    def _refuse(self, name: str) -> bool:
        self._refused.tell(name)
        return False


@define(frozen=True, eq=False)
class CallShare:
    """One reference's part in a budget, by its *name*.

    Where *many_share_it*, each of the addresses from which it is used has such a part.
    """

    budget: CallBudget
    name: str
    many_share_it: bool = False

    def used_from(self, address: str) -> CallShare:
        """Return the part that pays for a call from *address*."""
        if not self.many_share_it:
            return self
        return evolve(self, name=f"{self.name} at {address}", many_share_it=False)

    def begin(self) -> bool:
        """See :meth:`CallBudget.begin`."""
        return self.budget.begin(self.name)

    def end(self) -> None:
        """See :meth:`CallBudget.end`."""
        self.budget.end(self.name)
