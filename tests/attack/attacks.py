"""The attacks: who makes it, what bounds it, and how its tally shows that it was bound.

Each attacker is a process of its own, :mod:`tests.attack.attacker`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from attrs import define

from tests.attack import over_foolscap, over_http
from tests.attack.pace import Pace, Tally
from tests.attack.target import Target


@define(frozen=True)
class Attack:
    """*bound* is for people; *refused* counts what was turned away."""

    name: str
    run: Callable[[Target, Pace, Tally], None]
    bound: str
    refused: Callable[[Counter[str]], int]
    #: What an attacker gets for one that is let through is nothing, too.
    harmless: bool = False
    #: False where visitors are asked to come later, as docs/security.rst says.
    signups_go_on: bool = True


def _of(*words: str) -> Callable[[Counter[str]], int]:
    return lambda tally: sum(tally[word] for word in words)


ATTACKS = {
    attack.name: attack
    for attack in (
        Attack(
            "invented names at the daemon's port",
            over_foolscap.invented_names,
            "few strangers at once; after 30 misnamings, one a second",
            _of(
                "closed by the daemon",
                "ConnectionDone",
                "ConnectionLost",
                "ConnectError",
            ),
        ),
        Attack(
            "1,500 calls in flight over one host's furl",
            over_foolscap.host_floods,
            "4 calls under way, 1 a second; refusals come 2 a second",
            _of("try-later", "FacetSlow"),
        ),
        Attack(
            "a host that reports 2^63 bytes",
            over_foolscap.lying_host,
            "refused, told to operators; refusals come 2 a second",
            _of("try-later", "malformed", "FacetSlow"),
        ),
        Attack(
            "signed events of unknown types",
            over_http.unknown_events,
            "no row, no call of the daemon; 10 a second",
            _of("413", "429"),
            harmless=True,
        ),
        Attack(
            "forged refunds and disputes, signed",
            over_http.forged_refunds,
            "what Stripe shows of the charge counts; 10 a second",
            _of("429"),
            harmless=True,
        ),
        Attack(
            "bodies of 500 KB to any path",
            over_http.large_bodies,
            "16 KB where a route says no more; refusals come 2 a second",
            _of("413", "429", "ConnectionError"),
        ),
        Attack(
            "300 half bodies that never end",
            over_http.half_bodies,
            "16 KB kept of each, few from one address",
            _of("413", "429", "closed", "ConnectionResetError", "BrokenPipeError"),
        ),
        Attack(
            "700 streams of events",
            over_http.event_streams,
            "few from one address",
            _of("429", "503", "ConnectionError"),
        ),
        # The last: its holds keep places for half an hour.
        Attack(
            "registrations over a site's stolen furl",
            over_foolscap.registrations,
            "2 a second, others wait; unpaid places are a part of what is free",
            lambda tally: tally.total() - tally["answered"],
            signups_go_on=False,
        ),
    )
}
