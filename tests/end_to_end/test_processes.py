"""Site and daemon die, freeze and come back, each without the other's help."""

from __future__ import annotations

import signal
import time

import pytest
import requests

from lae_localcloud.customer.visit import VisitFailed
from tests.end_to_end.checks import check_served
from tests.end_to_end.customer import Customer
from tests.end_to_end.process import until
from tests.end_to_end.test_stripe import completed, post_webhook, secret_of

#: A page must come within this time, whatever the daemon does.
PAGE_WITHIN = 8.0
#: Stripe gets its answer within five seconds, and the machine a few to breathe.
WEBHOOK_WITHIN = 8.0
ENDS_WITHIN = 10.0


def test_with_the_daemon_down_registration_says_so_and_opens_nothing(stack) -> None:
    """The form is answered with a clear page, no session is opened, and the same form
    works once the daemon is back; the site is not restarted.
    """
    customer = Customer(stack, "daemon-down@example.org")
    form = customer.filled_form()
    site, before = stack.site.pid, len(stack.stripe.control.get("sessions"))
    stack.daemon.kill()
    stack.until_site_knows(up=False)
    landing = requests.get(stack.layout.site_url, timeout=PAGE_WITHIN)
    assert landing.status_code == 200
    answer = customer.send(form)
    assert answer.status_code == 503
    assert "You have not been charged" in answer.text
    assert len(stack.stripe.control.get("sessions")) == before
    stack.start_daemon()
    answer = customer.send(form)
    assert answer.status_code == 303
    customer.arrive(answer)
    customer.pay()
    check_served(stack, customer)
    assert stack.site.pid == site
    assert stack.site.code is None


def test_with_the_daemon_down_at_the_webhook_nothing_is_lost(stack) -> None:
    """Stripe is answered 503 and tries again until the daemon is back."""
    customer = Customer(stack, "webhook-down@example.org")
    customer.register()
    stack.daemon.kill()
    before = len(stack.stripe.deliveries())
    customer.leave()
    until(lambda: stack.stripe.deliveries(before), "Stripe tried")
    assert stack.stripe.deliveries(before)[0]["status"] == 503
    stack.start_daemon()
    check_served(stack, customer)
    event = completed(stack, stack.stripe.sessions(customer.signup_id)[0])

    def told() -> bool:
        sent = stack.stripe.deliveries(before)
        return any(s["event"] == event["id"] and s["status"] == 200 for s in sent)

    until(told, "Stripe's event was taken")


def test_a_daemon_killed_in_the_routine_goes_on_where_it_was(stack) -> None:
    """Killed while a host boots, the daemon takes up its signup when it is back; the
    open status page's stream goes on too.
    """
    customer = Customer(stack, "killed@example.org")
    customer.register()
    stack.cloud.control.put("slowness", boot=3)
    customer.pay()
    stack.operator.wait_for(customer.signup_id, "instance-launched")
    stack.daemon.kill()
    stack.start_daemon()
    kinds = {data.get("kind") for _, _, data in customer.visit.progress()}
    assert {"instance-launched", "claimed", "ready", "mail-accepted"} <= kinds
    check_served(stack, customer)


def test_the_site_restarts_alone(stack) -> None:
    """A site that is killed and started again serves its customers as before: the
    daemon is not restarted, and the owner's cookie still holds.
    """
    customer = Customer(stack, "site-killed@example.org")
    customer.register()
    daemon = stack.daemon.pid
    stack.site.kill()
    stack.start_site()
    stack.until_site_knows(up=True)
    customer.pay()
    check_served(stack, customer)
    assert stack.daemon.pid == daemon
    assert stack.daemon.code is None


def test_beside_a_frozen_daemon_the_site_still_answers(stack) -> None:
    """With the daemon stopped in its tracks pages come within seconds, and a webhook
    is answered 503 within five; continued, the daemon goes on.
    """
    customer = Customer(stack, "frozen@example.org")
    customer.register()
    (session,) = stack.stripe.sessions(customer.signup_id)
    event = {
        "id": "evt_while_frozen",
        "object": "event",
        "type": "checkout.session.completed",
        "data": {"object": {"object": "checkout.session", "id": session["id"]}},
    }
    visit = customer.visit
    at_stripe = visit.page, visit.url
    stack.daemon.send(signal.SIGSTOP)
    try:
        for path in ("/", "/signup?plan=small", f"/signup/{customer.signup_id}"):
            began = time.monotonic()
            try:
                visit.open(path)
            except VisitFailed as e:
                assert "503" in str(e), path
            assert time.monotonic() - began < PAGE_WITHIN, path
        began = time.monotonic()
        assert post_webhook(stack, event, secret_of(stack)) == 503
        assert time.monotonic() - began < WEBHOOK_WITHIN
    finally:
        stack.daemon.send(signal.SIGCONT)
    stack.until_site_knows(up=True)
    visit.page, visit.url = at_stripe
    customer.pay()
    check_served(stack, customer)


@pytest.mark.parametrize("frozen", ["site", "daemon"])
def test_one_ends_in_time_beside_the_other_frozen(stack, frozen) -> None:
    """SIGTERM ends daemon and site within ten seconds, with the other one connected
    and stopped in its tracks.
    """
    other, ending = stack.running[frozen], stack.site
    if frozen == "site":
        ending = stack.daemon
    stack.until_site_knows(up=True)
    other.send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        ending.send(signal.SIGTERM)
        ending.ended(30)
        assert time.monotonic() - began < ENDS_WITHIN
    finally:
        other.send(signal.SIGCONT)
    stack.in_good_times()
    stack.until_site_knows(up=True)


def test_a_second_daemon_on_a_journal_refuses(stack) -> None:
    """The second daemon ends at once with one line that names the first."""
    second = stack.run("second-daemon", stack.daemon_program())
    assert second.ended() == 1
    (line,) = [
        line for line in second.log.read_text().splitlines() if "another daemon" in line
    ]
    assert str(stack.daemon.pid) in line
    assert stack.daemon.code is None


def test_a_daemon_that_was_taken_over_writes_nothing_more(stack) -> None:
    """A daemon stopped in the middle of the routine and taken over ends when it is
    continued, having written nothing; everything is made once.  On the same ports, which
    the stopped daemon keeps, nothing is taken over, and what to do is said.
    """
    customer = Customer(stack, "taken-over@example.org")
    customer.register()
    first = stack.daemon
    number = stack.cloud.control.fault(service="s3", action="CreateBucket", kind="hold")
    customer.leave()
    until(lambda: stack.cloud.control.struck(number), "the bucket is being made")
    first.send(signal.SIGSTOP)
    try:
        stack.cloud.control.calm()
        before = stack.journal_numbers()
        vain = stack.run("in-vain", stack.daemon_program("--take-over"))
        assert vain.ended() == 1
        assert f"process {first.pid}.  End that process (kill -9" in vain.words()
        assert stack.journal_numbers() == before
        second = stack.run("taking-over", stack.daemon_elsewhere("--take-over"))
        second.ready()
        mailed = "SELECT 1 FROM events WHERE signup_id = ? AND kind = 'mail-accepted'"
        until(lambda: stack.journal_says(mailed, customer.signup_id), "its mail")
        written = stack.journal_numbers()
    finally:
        first.send(signal.SIGCONT)
    assert first.ended() == 1
    assert "another daemon took over this journal" in first.log.read_text()
    assert stack.journal_numbers() == written
    second.stop()
    stack.in_good_times()
    check_served(stack, customer)
    assert len(stack.cloud.instances(customer.signup_id, live=False)) == 1
