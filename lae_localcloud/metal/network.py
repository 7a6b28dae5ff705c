"""The cloud's network: one namespace that is the router, and one for each machine.

Nothing of it is in the machine's own namespace, and no route leads there or further.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from attrs import evolve

from lae_localcloud.front.groups import Allowed
from lae_localcloud.metal.namespace import Namespace, said
from lae_localcloud.metal.rules import (
    METADATA,
    RESOLVER,
    ROUTER,
    SERVICES,
    Plug,
    rules,
)

#: Of documentation (RFC 5737): no machine anywhere has them.
PUBLIC = IPv4Network("198.51.100.0/24")
CLIENTS = IPv4Network("203.0.113.0/24")


class Network:
    """All names begin with *prefix*.  Every method blocks, for some milliseconds."""

    def __init__(self, prefix: str, folder: Path) -> None:
        self.prefix = prefix
        self.cloud = Namespace(f"{prefix}-cloud")
        #: Names are asked for at the cloud's own resolver.
        self.resolver = folder / "resolv.conf"
        self._plugs: dict[str, Plug] = {}
        self._number = 0
        self._published = 0

    def make(self) -> None:
        """The router and the addresses of what the cloud itself serves."""
        self.resolver.write_text(f"nameserver {RESOLVER}\noptions timeout:2\n")
        self.cloud.make()
        own = (ROUTER, RESOLVER, SERVICES, METADATA)
        self.cloud.ip(*(f"addr add {address}/32 dev lo" for address in own))
        route = "echo 1 > /proc/sys/net/ipv4/ip_forward"
        said(*self.cloud.words(), "sh", "-c", route)
        self._apply()

    def namespace(self, name: str) -> Namespace:
        """The namespace of the machine *name*."""
        return Namespace(f"{self.prefix}-{name}")

    def plug_in(
        self, name: str, address: str, groups: tuple[Allowed, ...] | None
    ) -> Namespace:
        """A namespace for a machine with that address, and its cable."""
        self._number += 1
        interface = f"v{self._number}"
        namespace = self.namespace(name)
        namespace.make()
        self.cloud.ip(
            f"link add {interface} type veth peer name eth0 netns {namespace.name}",
            f"link set {interface} up",
            f"route add {address}/32 dev {interface}",
        )
        namespace.ip(
            f"addr add {address}/32 dev eth0",
            "link set eth0 up",
            f"route add {ROUTER}/32 dev eth0",
            f"route add default via {ROUTER}",
        )
        self._plugs[name] = Plug(interface, address, groups=groups)
        self._apply()
        return namespace

    def plug_in_client(self, name: str) -> Namespace:
        """A namespace somewhere in the internet, for a customer's programs."""
        clients = sum(p.groups is None for p in self._plugs.values())
        return self.plug_in(name, str(CLIENTS[10 + clients]), None)

    def unplug(self, name: str) -> None:
        """The machine is gone, with its addresses; nothing where it is unknown."""
        if self._plugs.pop(name, None) is not None:
            self._apply()
            self.namespace(name).remove()

    def publish(self, name: str) -> str:
        """Give it a public address that nobody had before, in place of any it had."""
        used = {p.public for p in self._plugs.values()}
        while True:
            # A whole round later an address may come back, as at AWS.
            offset = 10 + self._published % (PUBLIC.num_addresses - 20)
            self._published += 1
            address = str(IPv4Address(int(PUBLIC.network_address) + offset))
            if address not in used:
                break
        self._change(name, public=address)
        return address

    def unpublish(self, name: str) -> None:
        """It has no public address any more."""
        self._change(name, public=None)

    def regroup(self, name: str, groups: tuple[Allowed, ...]) -> None:
        """Its security groups say something else now."""
        self._change(name, groups=groups)

    def cut(self, name: str) -> None:
        """Its cable is cut: silence both ways."""
        self._change(name, is_cut=True)

    def mend(self, name: str) -> None:
        """Its cable is whole again."""
        self._change(name, is_cut=False)

    def is_plugged(self, name: str) -> bool:
        """Whether there is such a machine."""
        return name in self._plugs

    def _change(self, name: str, **changes: Any) -> None:
        changed = evolve(self._plugs[name], **changes)
        if changed != self._plugs[name]:
            self._plugs[name] = changed
            self._apply()

    def _apply(self) -> None:
        self.cloud.nft(rules(self._plugs.values()))
