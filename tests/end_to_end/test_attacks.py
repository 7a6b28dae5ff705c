"""All attacks of ``make attack`` at once, for seconds: each meets its bound."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

from tests.attack.attacks import ATTACKS
from tests.end_to_end.checks import check_served
from tests.end_to_end.customer import Customer

SECONDS = 4
#: What meets its bound later: after half a minute, at hundreds of places or streams.
#: Tests of the desk and the site show those (test_tubs.py, test_unpaid_holds.py,
#: test_stream.py).
LATER = {
    "registrations over a site's stolen furl",
    "invented names at the daemon's port",
    "700 streams of events",
}


def test_under_all_attacks_at_once_a_customer_is_served(stack) -> None:
    """Whoever stole a host's furl or the webhook's secret, or only floods, is refused;
    meanwhile another signs up, and of the first nothing is changed.
    """
    first = Customer(stack, "attacked@example.org")
    first.sign_up()
    check_served(stack, first)
    where = (str(stack.layout.root), stack.layout.site_url, first.signup_id)
    attackers = {
        name: subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.attack.attacker", name, *where),
                *(f"--seconds={SECONDS}", "--share=0.2"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ATTACKS
        if name not in LATER
    }
    try:
        second = Customer(stack, "beside-attacks@example.org")
        second.sign_up()
        check_served(stack, second)
        tallies = {
            name: Counter(json.loads(one.communicate(timeout=120)[0]))
            for name, one in attackers.items()
        }
    finally:
        for one in attackers.values():
            one.kill()
            one.wait()
    for name, tally in tallies.items():
        if not ATTACKS[name].harmless:
            assert ATTACKS[name].refused(tally), (name, tally)
    assert stack.operator.show(first.signup_id).row.state == "active"
    kept = stack.journal_says("SELECT DISTINCT kind FROM inbox")
    assert not [kind for (kind,) in kept if kind.startswith("s4.unknown")]
