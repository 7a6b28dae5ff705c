"""Who may come and stay, among connections that have not said who they are.  Pure.

A connection is a *stranger* until it has shown what it may ask for; then it is
*admitted*.  Strangers are few, stay for a short while and bring little; when there are
too many the one that waited longest makes room for the next.  So a crowd of silent
connections keeps nobody out who shows at once that they belong here.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from ipaddress import IPv6Address, ip_address
from typing import Generic, TypeVar

from attrs import Factory, define, field

from lae_protocol.process.token_bucket import Paces, Rate, TokenBucket

G = TypeVar("G", bound=Hashable)

#: Addresses that are remembered: those from which somebody was admitted, and those
#: that came last.
REMEMBERED = 4096
#: Seconds for which an address counts as one from which somebody was admitted.
KNOWN_FOR = 24 * 3600.0
#: How often strangers of one address may ask for what nobody has: hosts that were
#: replaced do so.  More of them are turned away for a while, before the handshake.
MISNAMED = Rate(per_second=1.0, burst=30.0)
LONGEST_EXCLUSION = 10.0  # s


@define(frozen=True)
class CrowdLimits:
    """Of one port.  Connections at the same time, *most* in all and *per_address*
    from one.  A stranger has *patience* seconds, and may bring *unproved* bytes.

    From addresses from which nobody was admitted lately there are at most *strangers*
    together and *strangers_per_address* each that are not admitted yet, and from each
    at most *burst* connections come at once and *rate* a second on average, and from
    all of them together *burst_of_all* and *rate_of_all*: each may cost a TLS
    handshake, a millisecond.  (An office behind one address may well open hundreds at
    once; where somebody belongs, the first two limits are enough.)

    Who is admitted by one name has at most *per_name* connections: the oldest ends for
    the newest.  None where many share a name.
    """

    most: int = 2000
    per_address: int = 1000
    strangers: int = 256
    strangers_per_address: int = 128
    patience: float = 30.0
    unproved: int = 64 * 1024
    burst: float = 200.0
    rate: float = 20.0
    burst_of_all: float = 1000.0
    rate_of_all: float = 200.0
    per_name: int | None = None


@define(frozen=True)
class Refuse:
    """Close it at once; *why* is for the log."""

    why: str


@define(frozen=True)
class Take(Generic[G]):
    """Let it in, and end *instead* first."""

    instead: G | None = None


def neighbourhood(host: str) -> str:
    """What counts as one address: IPv4's own, and IPv6's network of 64 bits."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> 64 << 64))
    return str(address)


@define(eq=False)
class Crowd(Generic[G]):
    """The connections of one port."""

    limits: CrowdLimits
    _all: dict[G, str] = field(factory=dict)
    _strangers: dict[str, dict[G, None]] = field(factory=dict)
    _count: Counter[str] = field(factory=Counter)
    _named: dict[str, dict[G, None]] = field(factory=dict)
    _name_of: dict[G, str] = field(factory=dict)
    _known: OrderedDict[str, float] = field(factory=OrderedDict)
    _paces: Paces = field(init=False)
    _misnamed: Paces = Factory(lambda: Paces(MISNAMED, REMEMBERED))
    _everybody: TokenBucket | None = None
    _unproved: int = 0

    @_paces.default
    def _make_paces(self) -> Paces:
        return Paces(Rate(self.limits.rate, self.limits.burst), REMEMBERED)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def strangers(self) -> int:
        """How many have not been admitted."""
        return self._unproved

    def judge(self, address: str, now: float) -> Refuse | Take[G]:
        """May one more come from *address*?"""
        limits, known = self.limits, self._is_known(address, now)
        why = None if known else self._why_not_now(address, now)
        if why is not None:
            return Refuse(why)
        theirs = self._strangers.get(address, {})
        if self._count[address] >= limits.per_address or (
            not known and len(theirs) >= limits.strangers_per_address
        ):
            if not theirs:
                return Refuse("too many connections from one address")
            return Take(next(iter(theirs)))
        if len(self._all) >= limits.most and not self._unproved:
            return Refuse("too many connections")
        crowds = self._too_many(now, known=known)
        if not crowds:
            return Take()
        largest = max(crowds, key=len)
        return Take(next(iter(largest)))

    def _too_many(self, now: float, *, known: bool) -> list[dict[G, None]]:
        """The crowds of strangers of which the largest must give a place, if any."""
        limits = self.limits
        if len(self._all) >= limits.most:
            return list(self._strangers.values())
        if known or self._unproved < limits.strangers:
            return []
        crowds = [
            crowd
            for at, crowd in self._strangers.items()
            if not self._is_known(at, now)
        ]
        return crowds if sum(map(len, crowds)) >= limits.strangers else []

    def _is_known(self, address: str, now: float) -> bool:
        last = self._known.get(address)
        return last is not None and now - last < KNOWN_FOR

    def _why_not_now(self, address: str, now: float) -> str | None:
        """Why nobody more may come now from an address that is not known."""
        if self._misnamed.of(address, now).owe(0, now):
            return "connections from its address ask for what nobody has"
        limits = self.limits
        if self._everybody is None:
            burst, rate = limits.burst_of_all, limits.rate_of_all
            self._everybody = TokenBucket.full(rate, burst, now)
        pace = self._paces.of(address, now)
        if pace.take(1, now) and self._everybody.take(1, now):
            return None
        return "too many connections in a short time"

    def arrived(self, guest: G, address: str) -> None:
        """It is here, a stranger."""
        self._all[guest] = address
        self._count[address] += 1
        self._strangers.setdefault(address, {})[guest] = None
        self._unproved += 1

    def admitted(self, guest: G, now: float, name: str) -> G | None:
        """It showed by *name* that it belongs here; too late is no matter.

        Returns the connection that must end for it, if there is one.
        """
        address = self._all.get(guest)
        if address is None:
            return None
        self._no_stranger(guest, address)
        self._known.pop(address, None)
        self._known[address] = now
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return self._oldest_too_many(guest, name)

    def misnamed(self, guest: G, now: float) -> None:
        """It asked for what nobody has: its address is turned away, if that happens
        too often.
        """
        address = self._all.get(guest)
        if address is not None:
            self._misnamed.of(address, now).owe(1, now, LONGEST_EXCLUSION)

    def _oldest_too_many(self, guest: G, name: str) -> G | None:
        most = self.limits.per_name
        if most is None or guest in self._name_of:
            return None
        theirs = self._named.setdefault(name, {})
        theirs[guest] = None
        self._name_of[guest] = name
        return next(iter(theirs)) if len(theirs) > most else None

    def left(self, guest: G) -> None:
        """It is gone; for the second time changes nothing."""
        address = self._all.pop(guest, None)
        if address is None:
            return
        self._no_stranger(guest, address)
        name = self._name_of.pop(guest, None)
        if name is not None:
            del self._named[name][guest]
            if not self._named[name]:
                del self._named[name]
        self._count[address] -= 1
        if not self._count[address]:
            del self._count[address]

    def _no_stranger(self, guest: G, address: str) -> None:
        theirs = self._strangers.get(address, {})
        if guest in theirs:
            del theirs[guest]
            self._unproved -= 1
            if not theirs:
                del self._strangers[address]
