"""How much one reference may ask, within what all references of its kind may ask.

A facet has one reference for each furl, and whoever holds the furl may open as many
connections as the gate lets in: so calls are counted by the furl's name, not by the
connection.  What is over the budget is refused at once, before it is parsed or waits
for the journal, and the log says so once a minute, not once a call.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from attrs import Factory, define, field
from twisted.logger import Logger

from lae_protocol.process.token_bucket import TokenBucket

#: References whose calls are remembered while none of them is under way.
REMEMBERED = 4096
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
class _Account:
    allowance: CallAllowance
    bucket: TokenBucket
    under_way: int = 0

    @classmethod
    def opened(cls, allowance: CallAllowance, now: float) -> _Account:
        full = TokenBucket.full(allowance.rate, allowance.burst, now)
        return cls(allowance, full)

    def begin(self, now: float) -> bool:
        """Count one more call, if there is room for it."""
        if self.under_way >= self.allowance.together:
            return False
        if not self.bucket.take(1, now):
            return False
        self.under_way += 1
        return True


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
    _accounts: OrderedDict[str, _Account] = Factory(OrderedDict)
    _everybody: _Account = field(init=False)
    _refused: int = 0
    _told: float = -TELL_EVERY

    def __attrs_post_init__(self) -> None:
        self._everybody = _Account.opened(self.everybody, self.seconds())

    def begin(self, name: str) -> bool:
        """Count one more call of the reference *name*; False refuses it.

        Each call that was not refused must :meth:`end`.
        """
        now = self.seconds()
        account = self._accounts.get(name) or _Account.opened(self.each, now)
        if not account.begin(now):
            return self._refuse(name, now)
        if not self._everybody.begin(now):
            account.under_way -= 1
            return self._refuse("all of them together", now)
        self._accounts[name] = account
        self._accounts.move_to_end(name)
        self._forget()
        return True

    def end(self, name: str) -> None:
        """A call of the reference *name* is over."""
        self._accounts[name].under_way -= 1
        self._everybody.under_way -= 1

    def _forget(self) -> None:
        """Forget those who asked longest ago, up to the first whose call goes on."""
        while len(self._accounts) > REMEMBERED:
            name, account = self._accounts.popitem(last=False)
            if account.under_way:
                self._accounts[name] = account
                return

    def _refuse(self, name: str, now: float) -> bool:
        self._refused += 1
        if now - self._told >= TELL_EVERY:
            _log.warn(
                "{count} calls of {facet} are refused: too many of {furl}",
                count=self._refused,
                facet=self.kind,
                furl=name,
            )
            self._refused, self._told = 0, now
        return False


@define(frozen=True, eq=False)
class CallShare:
    """One reference's part in a budget, by its *name*."""

    budget: CallBudget
    name: str

    def begin(self) -> bool:
        """See :meth:`CallBudget.begin`."""
        return self.budget.begin(self.name)

    def end(self) -> None:
        """See :meth:`CallBudget.end`."""
        self.budget.end(self.name)
