"""Who a visitor's neighbours are, and how much one neighbourhood may have.

A neighbourhood is an IPv4 address, or an IPv6 network of 64 bits, since a visitor there
can use any address of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from attrs import define, field

from lae_protocol.process.crowd import neighbourhood


def find_client(peer: str, forwarded: str, proxies: int) -> str:
    """Find the client: the neighbourhood that the outermost of our own *proxies* saw.

    Entries further left in ``X-Forwarded-For`` are the visitor's own claim.
    """
    hops = [h.strip() for h in forwarded.split(",") if h.strip()]
    seen = hops[-proxies] if 0 < proxies <= len(hops) else peer
    try:
        ip_address(seen)
    except ValueError:
        seen = peer
    return neighbourhood(seen)


def client_of(request: Any, proxies: int) -> str:
    """Find the neighbourhood that a request comes from.

    Several lines of ``X-Forwarded-For`` are one list: a proxy may add a line of its own
    below those that a visitor sent.
    """
    peer = host_of(request.getClientAddress())
    lines = request.requestHeaders.getRawHeaders("x-forwarded-for", [])
    return find_client(peer, ",".join(lines), proxies)


def neighbourhood_of(address: Any) -> str:
    """Find the neighbourhood of a connection's other end."""
    return neighbourhood(host_of(address))


def host_of(address: Any) -> str:
    """Return the address's host; a UNIX socket's peer is local."""
    return str(getattr(address, "host", "local"))


@define
class Places:
    """Places for what lasts: *most* in all, and *each* for one neighbourhood."""

    most: int
    each: int
    _held: dict[Any, str] = field(factory=dict)
    _count: Counter[str] = field(factory=Counter)

    def has_room(self, client: str) -> bool:
        """Whether one more may come from this neighbourhood."""
        return len(self._held) < self.most and self._count[client] < self.each

    def take(self, holder: Any, client: str) -> None:
        """Give *holder* a place, which it has until it leaves."""
        self._held[holder] = client
        self._count[client] += 1

    def leave(self, holder: Any) -> None:
        """Free the place of *holder*, if it has one."""
        client = self._held.pop(holder, None)
        if client is None:
            return
        self._count[client] -= 1
        if not self._count[client]:
            del self._count[client]

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._held)
