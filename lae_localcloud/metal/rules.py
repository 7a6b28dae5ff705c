"""The rules of the cloud's router, as nftables reads them: who reaches whom.  Pure.

As at EC2 they are outside of the instances, whose root changes none of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from attrs import define

from lae_localcloud.front.groups import ALL, ANYWHERE, Allowed

#: Where the metadata service is, at EC2 as here.
METADATA = "169.254.169.254"
#: Names of what the cloud itself serves are in it.
AMAZON = "amazonaws.test"
VPC = "10.78.0.0/16"
#: AWS keeps the first addresses of a subnet: its router, its resolver, one for later.
ROUTER, RESOLVER, SERVICES = "10.78.0.1", "10.78.0.2", "10.78.0.3"

#: What a new group lets out, until somebody says otherwise.
EVERYTHING_OUT = Allowed("out", ALL, 0, 0, ANYWHERE)


@define(frozen=True)
class Plug:
    """A cable into the router.  *groups* None: nothing limits it (a client's)."""

    interface: str
    address: str
    public: str | None = None
    groups: tuple[Allowed, ...] | None = None
    is_cut: bool = False


def rules(plugs: Iterable[Plug]) -> str:
    """All rules, in place of those before, in one transaction."""
    plugs = list(plugs)
    published = [p for p in plugs if p.public is not None]
    hosts = [p for p in plugs if p.groups is not None]
    lines = [
        *("table ip cloud", "delete table ip cloud", "table ip cloud {"),
        *_map("inwards", {str(p.public): p.address for p in published}),
        *_map("outwards", {p.address: str(p.public) for p in published}),
        *_interfaces("cut", (p.interface for p in plugs if p.is_cut)),
        *_interfaces("hosts", (p.interface for p in hosts)),
        *_chain("type filter hook prerouting priority raw; policy accept", "arrives"),
        " iifname lo accept",
        " iifname @cut drop",
        # Nobody takes another's address.
        " fib saddr . iif oif missing drop",
        # From outside nothing leads to private addresses, but names are told.
        f" ip daddr {RESOLVER} accept",
        f" iifname != @hosts ip daddr {{ {METADATA}, {VPC} }} drop",
        " }",
        *_chain("type nat hook prerouting priority dstnat; policy accept", "in_nat"),
        " dnat to ip daddr map @inwards",
        " }",
        *_chain("type nat hook postrouting priority srcnat; policy accept", "out_nat"),
        " oifname != @hosts snat to ip saddr map @outwards",
        # A host that asks another (or itself) by a public address goes out and in.
        " oifname @hosts ct status dnat snat to ip saddr map @outwards",
        " }",
        *_chain("type filter hook postrouting priority 300; policy accept", "leaves"),
        " oifname @cut drop",
        " }",
        *_chain("type filter hook forward priority 0; policy drop", "between"),
        " ct state established,related accept",
        # To a host what its groups let in; from a host what they let out.
        " iifname @hosts jump let_out",
        " oifname @hosts jump let_in",
        " oifname != @hosts accept",
        " }",
        *_grouped("let_out", hosts, "out", "return", "drop"),
        *_grouped("let_in", hosts, "in", "accept", "drop"),
        "}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _map(name: str, pairs: dict[str, str]) -> list[str]:
    elements = ", ".join(f"{k} : {v}" for k, v in sorted(pairs.items()))
    filled = [f"  elements = {{ {elements} }}"] if pairs else []
    return [f" map {name} {{", "  type ipv4_addr : ipv4_addr", *filled, " }"]


def _interfaces(name: str, of: Iterable[str]) -> list[str]:
    elements = ", ".join(sorted(of))
    filled = [f"  elements = {{ {elements} }}"] if elements else []
    return [f" set {name} {{", "  type ifname", *filled, " }"]


def _chain(hook: str, name: str) -> list[str]:
    return [f" chain {name} {{", f" {hook};"]


def _grouped(
    name: str,
    hosts: list[Plug],
    way: Literal["in", "out"],
    then: str,
    otherwise: str,
) -> list[str]:
    said = [
        f" {_match(allowed, host.address)} {then}"
        for host in hosts
        for allowed in host.groups or ()
        if allowed.way == way
    ]
    return [f" chain {name} {{", *said, f" {otherwise}", " }"]


def _match(allowed: Allowed, own: str) -> str:
    """What a packet of a new connection must be."""
    mine, other = ("daddr", "saddr") if allowed.way == "in" else ("saddr", "daddr")
    said = f"ip {mine} {own}"
    if allowed.network != ANYWHERE:
        said += f" ip {other} {allowed.network}"
    if allowed.protocol in ("tcp", "udp"):
        said += f" {allowed.protocol} dport {allowed.first}-{allowed.last}"
    elif allowed.protocol != ALL:
        said += f" ip protocol {allowed.protocol}"
    return said
