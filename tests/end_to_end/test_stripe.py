"""Payments as they go wrong: webhooks, tabs, cards."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import requests

from lae_localcloud.customer.visit import VisitFailed
from lae_localcloud.stripe.delivery import signature
from tests.end_to_end.checks import check_paid_once, check_served
from tests.end_to_end.customer import Customer
from tests.end_to_end.process import until
from tests.end_to_end.stack import Stack

DECLINED, ASKS = "4000000000000002", "4000002500003155"


def post_webhook(stack: Stack, event: dict, secret: str, at: float = 0) -> int:
    """Send an event to the site, signed with *secret*; the status answered."""
    body = json.dumps(event).encode()
    header = signature(secret, body, int(at or time.time()))
    answer = requests.post(
        f"{stack.layout.site_url}/webhook/stripe",
        data=body,
        headers={"Stripe-Signature": header},
        timeout=30,
    )
    return answer.status_code


def secret_of(stack: Stack) -> str:
    path: Path = stack.layout.stripe / "webhook-secret-0"
    return path.read_text().strip()


def completed(stack: Stack, session: dict) -> dict:
    """The event that Stripe made of a session."""
    return next(
        event
        for event in stack.stripe.all("events")
        if event["type"] == "checkout.session.completed"
        and event["data"]["object"]["id"] == session["id"]
    )


def test_the_browser_settles_what_no_webhook_tells(stack) -> None:
    """With every webhook lost for ever the browser's return is enough."""
    stack.stripe.weather(drop=["*"])
    customer = Customer(stack, "returned@example.org")
    customer.sign_up()
    check_served(stack, customer)


def test_a_look_through_stripe_settles_what_nobody_tells(stack) -> None:
    """With every webhook lost and the browser closed, the daemon's own look from time
    to time finds the payment.
    """
    stack.daemon.stop()
    stack.start_daemon(reconcile=3)
    stack.stripe.weather(drop=["*"])
    customer = Customer(stack, "reconciled@example.org")
    customer.register()
    customer.leave()
    check_served(stack, customer)
    stack.daemon.stop()


def test_doubled_and_shuffled_webhooks_change_nothing(stack) -> None:
    """Webhooks sent three times in any order end in one of everything."""
    stack.stripe.weather(copies=3, window=0.5, order="shuffled", spread=1.0)
    before = len(stack.stripe.deliveries())
    customer = Customer(stack, "doubled@example.org")
    customer.register()
    customer.leave()
    check_served(stack, customer)
    statuses = [sent["status"] for sent in stack.stripe.deliveries(before)]
    assert len(statuses) >= 3
    assert set(statuses) == {200}


def test_a_forged_webhook_is_refused(stack) -> None:
    """Unsigned, wrongly signed and old events are answered 400 and build nothing."""
    customer = Customer(stack, "forged@example.org")
    signup_id = customer.register()
    (session,) = stack.stripe.sessions(signup_id)
    event = {
        "id": "evt_forged",
        "object": "event",
        "type": "checkout.session.completed",
        "data": {"object": {**session, "payment_status": "paid"}},
    }
    assert post_webhook(stack, event, "whsec_guessed") == 400
    assert post_webhook(stack, event, secret_of(stack), time.time() - 3600) == 400
    url = f"{stack.layout.site_url}/webhook/stripe"
    assert requests.post(url, json=event, timeout=30).status_code == 400
    # Even one with Stripe's signature says only: look.
    assert post_webhook(stack, event, secret_of(stack)) == 200
    until(lambda: stack.operator.health().inbox_waiting == 0, "the inbox is empty")
    assert stack.operator.show(signup_id).row.state == "paying"


def test_a_replayed_webhook_changes_nothing(stack) -> None:
    """An event that was worked off is answered 200 and does nothing again."""
    customer = Customer(stack, "replayed@example.org")
    customer.sign_up()
    check_served(stack, customer)
    event = completed(stack, stack.stripe.sessions(customer.signup_id)[0])
    before = stack.operator.kinds(customer.signup_id)
    for _ in range(2):
        assert post_webhook(stack, event, secret_of(stack)) == 200
    until(lambda: stack.operator.health().inbox_waiting == 0, "the inbox is empty")
    assert stack.operator.kinds(customer.signup_id) == before
    check_served(stack, customer)


def test_a_foreign_payment_is_ignored(stack) -> None:
    """A paid session of another deployment is answered 200 and left alone."""
    customer = Customer(stack, "foreign@example.org")
    signup_id = customer.register()
    (session,) = stack.stripe.sessions(signup_id)
    metadata = {**session["metadata"], "s4_deployment": "elsewhere"}
    foreign = stack.stripe.twin_of({**session, "metadata": metadata})
    before = len(stack.stripe.deliveries())
    stack.stripe.control.post(f"sessions/{foreign}/pay")
    until(lambda: len(stack.stripe.deliveries()) > before, "a webhook")
    until(lambda: stack.operator.health().inbox_waiting == 0, "the inbox is empty")
    sent = stack.stripe.deliveries(before)
    assert {one["status"] for one in sent} == {200}
    assert stack.operator.show(signup_id).row.state == "paying"


def test_a_doubled_submit_is_one_signup(stack) -> None:
    """A form sent twice is one signup with one session."""
    customer = Customer(stack, "doubled-submit@example.org")
    form = customer.filled_form()
    first, second = customer.send(form), customer.send(form)
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    customer.arrive(first)
    assert len(stack.stripe.sessions(customer.signup_id)) == 1


def test_a_stale_form_and_a_bad_address_make_no_signup(stack) -> None:
    """A form without its cookie is refused, a bad address explained; none registers."""
    before = len(stack.operator.signups())
    customer = Customer(stack, "stale@example.org")
    form = customer.filled_form()
    stranger = Customer(stack, "stale@example.org")
    assert stranger.send(form).status_code == 403
    form.fields["email"] = "müller@example.org"
    answer = customer.send(form)
    assert answer.status_code == 400
    assert "before the @" in answer.text
    assert len(stack.operator.signups()) == before


def test_one_page_in_two_tabs_is_paid_once(stack) -> None:
    """Who presses the pay button in both of two tabs is charged once."""
    customer = Customer(stack, "two-tabs@example.org")
    customer.register()
    page, url = customer.visit.page, customer.visit.url
    customer.pay()
    customer.visit.page, customer.visit.url = page, url
    customer.pay()
    check_served(stack, customer)
    assert len(stack.stripe.charges(customer.signup_id)) == 1


def test_an_old_tab_cannot_pay_beside_a_new_one(stack) -> None:
    """Once a new payment page was opened the old one takes no money."""
    customer = Customer(stack, "old-tab@example.org")
    signup_id = customer.register()
    page, url = customer.visit.page, customer.visit.url
    stack.stripe.control.post(f"sessions/{signup_id}/expire-now")
    stack.operator.wait_for(signup_id, "checkout-expired")
    customer.visit._send(customer.action("pay"))
    assert customer.visit.url != url
    customer.pay()
    customer.visit.page, customer.visit.url = page, url
    with pytest.raises(VisitFailed, match="410"):
        customer.pay()
    check_served(stack, customer)
    assert len(stack.stripe.charges(signup_id)) == 1


def test_when_both_tabs_pay_one_is_paid_back(stack) -> None:
    """Two sessions that were both paid at the same time: one kept, one refunded."""
    customer = Customer(stack, "both-tabs@example.org")
    customer.register()
    (first,) = stack.stripe.sessions(customer.signup_id)
    second = stack.stripe.twin_of(first)
    stack.stripe.control.post(f"sessions/{second}/pay")
    customer.leave()
    stack.operator.wait_for(customer.signup_id, "money-back")
    check_served(stack, customer)
    found = [s["status"] for s in stack.stripe.subscriptions(customer.signup_id)]
    assert sorted(found) == ["active", "canceled"]


def test_a_declined_card_then_a_good_one(stack) -> None:
    """A declined card is said on the page and charges nothing; the next one pays."""
    customer = Customer(stack, "declined@example.org")
    customer.register()
    with pytest.raises(VisitFailed, match="declined"):
        customer.pay(DECLINED)
    assert stack.operator.show(customer.signup_id).row.state == "paying"
    customer.pay()
    check_served(stack, customer)


def test_a_card_that_asks_for_authentication(stack) -> None:
    """A card with 3-D Secure pays once its owner has said yes to the bank."""
    customer = Customer(stack, "secure@example.org")
    customer.register()
    with pytest.raises(VisitFailed, match="not back to the site"):
        customer.pay(ASKS)
    visit = customer.visit
    yes = visit.http.post(visit.url, data={"answer": "complete"}, timeout=60)
    assert yes.url == f"{visit.site_url}/signup/{customer.signup_id}"
    check_served(stack, customer)
    check_paid_once(stack, customer.signup_id)
