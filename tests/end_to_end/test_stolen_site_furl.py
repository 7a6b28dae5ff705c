"""A site's furl was stolen: the recipe of docs/operations/keys.rst, as it stands there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import requests

from lae_protocol.removal_messages import RemoveUnpaid
from tests.end_to_end.checks import check_served
from tests.end_to_end.customer import Customer

SECONDS = 2  # of attack
_SECONDS = 15  # until a page has come


def flood(stack, stolen: Path) -> tuple[int, Counter[str]]:
    """Register without end over a stolen furl: how that ended, and what was answered."""
    attack = "registrations over a site's stolen furl"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.attack.attacker", attack, str(stolen)),
            *(stack.layout.site_url, "nobody", f"--seconds={SECONDS}", "--share=0.2"),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    told = json.loads(done.stdout) if done.returncode == 0 else {}
    return done.returncode, Counter(told)


def test_a_flooding_furl_is_replaced_while_the_site_goes_on(stack, tmp_path) -> None:
    """The thief's furl is good for nothing once the daemon has made another; meanwhile
    the site's pages come, a form that is sent again later is served, who has paid is
    served, and an operator removes what the flood has left.
    """
    paid = Customer(stack, "before-the-theft@example.org")
    paid.sign_up()
    furl = stack.layout.front_desk_furl
    stolen = tmp_path / "daemon" / furl.name
    stolen.parent.mkdir()
    stolen.write_text(furl.read_text())
    code, told = flood(stack, tmp_path)
    assert code == 0
    assert told["answered"] > 0, told
    waiting = Customer(stack, "in-the-flood@example.org")
    form = waiting.filled_form()

    # systemctl stop s4-daemon; mv front-desk.furl away; systemctl start s4-daemon
    stack.daemon.stop()
    furl.rename(tmp_path / "front-desk.furl.stolen")
    stack.run("daemon", stack.daemon_program()).ready()
    assert furl.read_text() != stolen.read_text()
    assert furl.stat().st_mode & 0o777 == 0o600
    assert flood(stack, tmp_path)[0] != 0, "the thief's furl is dead"

    stack.until_site_knows(up=False)
    assert requests.get(stack.layout.site_url, timeout=_SECONDS).status_code == 200
    answer = waiting.send(form)
    assert answer.status_code == 503
    assert "You have not been charged" in answer.text

    # install front-desk.furl for the site; systemctl restart s4-site@1
    stack.site.stop()
    stack.start_site()
    stack.until_site_knows(up=True)
    answer = waiting.send(form)
    assert answer.status_code == 303
    waiting.arrive(answer)
    waiting.pay()
    check_served(stack, waiting)
    check_served(stack, paid)

    left = stack.operator.insist(RemoveUnpaid(0, "w", only_count=True)).left
    assert left >= told["answered"]
    gone = 0
    while gone < left:
        removed = stack.operator.ask(RemoveUnpaid(0, "the flood"), 60)
        assert removed is not None
        gone += removed.removed
        assert removed.removed, removed
    open_ones = [
        one
        for one in stack.stripe.control.get("sessions")
        if one["status"] == "open" and one["customer_email"].endswith("@example.net")
    ]
    assert open_ones == []
