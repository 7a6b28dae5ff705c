"""The daemon's two Tubs, on ports that are kept for life: their furls are mailed,
configured and baked into hosts.

The private Tub serves the front desk and operators, the other one hosts.  Names of
operators and hosts are looked up when they are used, since the journal keeps hashes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from twisted.internet.endpoints import serverFromString

from lae_flapp.desk.hosts import BootstrapFacet, HostDesk, HostFacet
from lae_flapp.settings import TubSettings
from lae_protocol.furl import Furl, facet_kind
from lae_protocol.ids import base32
from lae_protocol.process.answer import Answering
from lae_protocol.process.crowd import CrowdLimits
from lae_protocol.process.gate import gate_before
from lae_protocol.process.tub import make_tub
from lae_protocol.remote import BOOTSTRAP, HOST
from lae_protocol.secret import Secret

#: Connections at the same time: every customer's host keeps one, and hosts may stand
#: behind one address; all of them come back at once when the daemon starts.
LIMITS = CrowdLimits(
    most=4000,
    per_address=4000,
    strangers=1000,
    strangers_per_address=1000,
    burst=4000,
    rate=100,
    burst_of_all=4000,
    rate_of_all=400,
)


def serving_tub(reactor: Any, settings: TubSettings, certificate: Path) -> Any:
    """Make a Tub with its kept certificate, on its kept port; not started yet."""
    tub = make_tub(certificate)
    endpoint = serverFromString(reactor, settings.listen)  # type: ignore[no-untyped-call]
    tub.listenOn(endpoint)
    gate_before(reactor, tub, LIMITS)
    tub.setLocation(settings.location)
    return tub


def furl_of(tub: Any, location: str, swissnum: str) -> Furl:
    """Compose the furl of a name at this Tub, with a plain HOST:PORT hint."""
    return Furl.parse(f"pb://{tub.getTubID()}@{location}/{swissnum}")


def new_name(kind: Literal["b", "f", "h", "o"]) -> str:
    """Make the name of one facet: bootstrap, front desk, host, operator."""
    return kind + base32(secrets.token_bytes(32))


def keep_furl(path: Path, tub: Any, location: str, kind: Literal["f", "o"]) -> Furl:
    """Write the furl that others are configured with, for its owner alone: with the
    name that *path* has, or a new one; nothing changes where the furl is there.
    """
    known = path.read_text("ascii") if path.exists() else None
    name = new_name(kind) if known is None else Furl.parse(known).swissnum
    furl = furl_of(tub, location, name)
    text = furl.reveal() + "\n"
    if known != text:
        partial = path.with_name(path.name + ".new")
        partial.unlink(missing_ok=True)
        made = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(made, "w", encoding="ascii") as out:
            out.write(text)
        partial.rename(path)
    return furl


def serve_hosts(tub: Any, desk: HostDesk) -> None:
    """Answer every name of the right shape; the facets know who holds it."""

    def look_up(name: str) -> Any:
        match facet_kind(name):
            case "b":
                return Answering(BOOTSTRAP, BootstrapFacet(desk, Secret(name)).answer)
            case "h":
                return Answering(HOST, HostFacet(desk, Secret(name)).answer)
        return None

    tub.registerNameLookupHandler(look_up)


def serve_operators(tub: Any, facet: Callable[[Secret], Any]) -> None:
    """Answer the names of operators."""

    def look_up(name: str) -> Any:
        return facet(Secret(name)) if facet_kind(name) == "o" else None

    tub.registerNameLookupHandler(look_up)
