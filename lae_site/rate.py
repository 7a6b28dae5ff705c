"""How often one visitor may register: a token bucket per client, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from attrs import define, field

#: Clients remembered; the one unseen longest is forgotten first.
_CLIENTS = 10_000
#: So many at once are always allowed; or, where that is more, a minute's worth.
_BURST = 5
_BURST_SHARE = 1 / 60


def client_of(peer: str, forwarded: str | None, proxies: int) -> str:
    """Who asks: the address that the outermost of our own *proxies* saw.

    What stands further left in ``X-Forwarded-For`` is the visitor's own claim.  An
    IPv6 visitor has a network of 64 bits to choose from, so that is what is counted.
    """
    hops = [h.strip() for h in (forwarded or "").split(",") if h.strip()]
    seen = hops[-proxies] if 0 < proxies <= len(hops) else peer
    try:
        address = ip_address(seen)
    except ValueError:
        return peer
    if isinstance(address, IPv6Address):
        return str(IPv6Address(int(address) >> 64 << 64))
    return str(address)


@define
class RateLimit:
    """At most *per_hour* events an hour for each client, a few of them at once."""

    per_hour: int
    seconds: Callable[[], float]
    _buckets: OrderedDict[str, tuple[float, float]] = field(factory=OrderedDict)

    def take(self, client: str) -> int:
        """Spend one; 0 when allowed, else the seconds until the next is."""
        most = max(_BURST, self.per_hour * _BURST_SHARE)
        now, burst = self.seconds(), float(min(most, self.per_hour))
        tokens, since = self._buckets.pop(client, (burst, now))
        tokens = min(burst, tokens + (now - since) * self.per_hour / 3600)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, now)
        while len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if allowed else int((1 - tokens) * 3600 / self.per_hour) + 1
