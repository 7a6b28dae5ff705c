"""The site's process beside a daemon that is frozen, gone, and back."""

from __future__ import annotations

import json
import signal
import time
import urllib.error
import urllib.request

import pytest

from lae_protocol.secret import Secret
from lae_site.stripe_signature import expected_signature


def webhook(running) -> int:
    """Send a webhook as Stripe does; the status of the answer."""
    event = {
        "object": "event",
        "id": "evt_1",
        "type": "customer.subscription.updated",
        "data": {"object": {"object": "subscription", "id": "sub_1"}},
    }
    now, body = str(int(time.time())), json.dumps(event).encode()
    signature = expected_signature(Secret("whsec_browser"), now, body)
    request = urllib.request.Request(
        running.site_url + "/webhook/stripe",
        body,
        {"Stripe-Signature": f"t={now},v1={signature}"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


@pytest.fixture
def frozen(running):
    """The daemon's twin, stopped but not gone: the worst kind of away."""
    running.wait_until(lambda: running.health()["daemon"]["answers"])
    assert webhook(running) == 200
    running.twin.send_signal(signal.SIGSTOP)
    yield running
    running.twin.send_signal(signal.SIGCONT)
    if running.site.poll() is not None:
        running.start_site()
    running.wait_until(lambda: running.health()["daemon"]["answers"])


def test_a_frozen_daemon_holds_nobody_up(frozen) -> None:
    """A webhook is answered 503, and pages are served; then the site goes on."""
    assert webhook(frozen) == 503
    assert frozen.health()["daemon"]["answers"] is False
    frozen.twin.send_signal(signal.SIGCONT)
    frozen.wait_until(lambda: webhook(frozen) == 200)


def test_it_ends_beside_a_frozen_daemon(frozen) -> None:
    """SIGTERM ends the site, whatever the daemon does."""
    frozen.site.terminate()
    frozen.site.wait()
    assert "stopping without it" in frozen.log()


def test_it_starts_and_serves_with_the_daemon_down(running) -> None:
    """The site starts with nothing behind the furl, says so, and finds the daemon
    when it comes.
    """
    running.stop_twin()
    running.site.terminate()
    running.site.wait()
    running.start_site()
    health = running.health()
    assert health["status"] == "failing"
    assert health["daemon"]["answers"] is False
    assert health["daemon"]["seconds_since_answer"] is None
    with urllib.request.urlopen(running.site_url + "/") as page:
        assert b"You cannot sign up at the moment" in page.read()
    assert webhook(running) == 503
    running.start_twin()
    running.wait_until(lambda: running.health()["daemon"]["answers"])
    assert webhook(running) == 200
