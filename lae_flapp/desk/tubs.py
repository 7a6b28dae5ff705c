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
from lae_flapp.journal.secrets import hash_of
from lae_flapp.journal.threads import asked_by
from lae_flapp.settings import TubSettings
from lae_protocol.furl import Furl, facet_kind
from lae_protocol.ids import base32
from lae_protocol.process.answer import Answering
from lae_protocol.process.budget import CallAllowance, CallBudget, CallShare
from lae_protocol.process.crowd import CrowdLimits
from lae_protocol.process.gate import gate_before
from lae_protocol.process.tub import make_tub
from lae_protocol.remote import BOOTSTRAP, HOST
from lae_protocol.secret import Secret

#: Connections at the same time: every customer's host keeps one, and hosts may stand
#: behind one address; all of them come back at once when the daemon starts.  A host
#: that connects anew may have a few that have not ended yet; sites share one furl, and
#: an operator runs many commands at once.
LIMITS = CrowdLimits(
    most=4000,
    per_address=4000,
    strangers=1000,
    strangers_per_address=1000,
    burst=4000,
    rate=100,
    burst_of_all=4000,
    rate_of_all=400,
    per_name=64,
)


#: A host reports once a minute, and asks for its identity once.
EACH_HOST = CallAllowance(together=4, burst=20, rate=1)
#: All hosts report when the daemon starts.
ALL_HOSTS = CallAllowance(together=200, burst=4000, rate=400)
#: Names that nobody holds are refused, and each refusal reads the journal.
NOBODY = CallAllowance(together=10, burst=100, rate=20)
#: Scripts may run many commands at once.
EACH_OPERATOR = CallAllowance(together=64, burst=500, rate=100)
ALL_OPERATORS = CallAllowance(together=128, burst=1000, rate=200)
#: Each open page waits for news, in one call of up to 20 s.
EACH_SITE = CallAllowance(together=1000, burst=1000, rate=300)
ALL_SITES = CallAllowance(together=2000, burst=4000, rate=1000)


def serving_tub(
    reactor: Any,
    settings: TubSettings,
    certificate: Path,
    is_live: Callable[[Secret], bool],
) -> Any:
    """Make a Tub with its kept certificate, on its kept port; not started yet.

    A connection may stay that asks for what is registered, or by a name that *is_live*.
    """
    tub = make_tub(certificate)
    endpoint = serverFromString(reactor, settings.listen)  # type: ignore[no-untyped-call]
    tub.listenOn(endpoint)

    def admits(name: str) -> bool:
        return name in tub.nameToReference or is_live(Secret(name))

    gate_before(reactor, tub, LIMITS, admits)
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


def serve_hosts(tub: Any, desk: HostDesk, seconds: Callable[[], float]) -> None:
    """Answer every name of the right shape; the facets know who holds it.

    *seconds* is a clock that never goes back.
    """
    live = CallBudget("hosts", EACH_HOST, ALL_HOSTS, seconds)
    dead = CallBudget("names that no host has", NOBODY, NOBODY, seconds)

    def look_up(name: str) -> Any:
        swissnum = Secret(name)
        known = desk.journal.is_live(swissnum)
        share = (
            CallShare(live, logged_name(swissnum)) if known else CallShare(dead, "them")
        )
        match facet_kind(name):
            case "b":
                facet = BootstrapFacet(desk, swissnum)
                return Answering(BOOTSTRAP, asked_by("hosts", facet.answer), share)
            case "h":
                answer = asked_by("hosts", HostFacet(desk, swissnum).answer)
                return Answering(HOST, answer, share)
        return None

    tub.registerNameLookupHandler(look_up)


def serve_operators(
    tub: Any, facet: Callable[[Secret, CallShare], Any], seconds: Callable[[], float]
) -> None:
    """Answer the names of operators; *seconds* is a clock that never goes back."""
    budget = CallBudget("operators", EACH_OPERATOR, ALL_OPERATORS, seconds)

    def look_up(name: str) -> Any:
        if facet_kind(name) != "o":
            return None
        swissnum = Secret(name)
        return facet(swissnum, CallShare(budget, logged_name(swissnum)))

    tub.registerNameLookupHandler(look_up)


def share_of_sites(seconds: Callable[[], float]) -> CallShare:
    """What the copies of the site may ask over their one furl: each address for itself,
    so that who has stolen the furl leaves the others their part.
    """
    budget = CallBudget("sites", EACH_SITE, ALL_SITES, seconds)
    return CallShare(budget, "the front desk's", many_share_it=True)


def logged_name(swissnum: Secret) -> str:
    """How logs name a furl: by its kind and the beginning of its hash, which is in the
    journal; nobody finds the furl by it.
    """
    return f"{swissnum.reveal()[0]}:{hash_of(swissnum)[:8]}"
