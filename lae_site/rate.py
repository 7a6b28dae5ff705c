"""The rate limit of registrations: a token bucket per client, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from attrs import define, field

#: How many clients are remembered; the one not seen for longest is forgotten first.
_CLIENTS = 10_000
#: Registrations allowed at once: at least this many, or a minute's worth if more.
_BURST = 5
_BURST_SHARE = 1 / 60  # of an hour


def client_of(peer: str, forwarded: str | None, proxies: int) -> str:
    """Find the client: the address that the outermost of our own *proxies* saw.

    Entries further left in ``X-Forwarded-For`` are the visitor's own claim.  An IPv6
    client is its /64 network, since a visitor can use any address of it.
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
    """Allows *per_hour* events an hour for each client, a few of them at once."""

    per_hour: int
    seconds: Callable[[], float]
    _buckets: OrderedDict[str, tuple[float, float]] = field(factory=OrderedDict)

    def take(self, client: str) -> int:
        """Count one event: 0 if it is allowed, else the seconds to wait."""
        most = max(_BURST, self.per_hour * _BURST_SHARE)
        now, burst = self.seconds(), float(min(most, self.per_hour))
        tokens, since = self._buckets.pop(client, (burst, now))
        tokens = min(burst, tokens + (now - since) * self.per_hour / 3600)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, now)
        while len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if allowed else int((1 - tokens) * 3600 / self.per_hour) + 1
