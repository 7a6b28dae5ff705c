"""Stripe's webhooks: only Stripe's, only fresh, acknowledged only when taken."""

from __future__ import annotations

import pytest
from attrs import evolve

from lae_protocol.messages import Refused
from lae_protocol.secret import Secret
from lae_protocol.stripe_hints import StripeHint
from lae_site.routes import make_web_server
from lae_site.stripe_signature import expected_signature

BODY = (
    '{"object": "event", "id": "evt_1", "type": "checkout.session.completed",'
    ' "data": {"object": {"object": "checkout.session", "id": "cs_1",'
    ' "customer_details": {"email": "änn@example.org"}}}}'
).encode()
HINT = StripeHint("evt_1", "checkout.session.completed", "cs_1")


def signed(world, secret: str = "whsec_test", body: bytes = BODY, age: int = 0):
    """Send a webhook as Stripe does."""
    time = str(int(world.clock.seconds()) - age)
    signature = expected_signature(Secret(secret), time, body)
    headers = {"Stripe-Signature": f"t={time},v0=ignored,v1={signature}"}
    headers["Content-Type"] = "application/json; charset=utf-8"
    return world.visitor.ask("POST", "/webhook/stripe", body, headers)


@pytest.mark.parametrize("secret", ["whsec_test", "whsec_previous"])
def test_of_a_signed_event_the_hint_is_handed_over(world, secret) -> None:
    """An event signed with the current or the previous secret is taken, then 200."""
    assert signed(world, secret).status == 200
    (event,) = world.desk.events_taken
    assert event.hint == HINT


def test_an_event_from_which_nothing_follows_stays_here(world) -> None:
    """The daemon is not asked about what it would not keep; Stripe hears a 200."""
    for body in (
        BODY.replace(b"checkout.session.completed", b"invoice.created"),
        BODY.replace(b'"id": "cs_1"', b'"id": null'),
    ):
        world.desk.down = True
        assert signed(world, body=body).status == 200
    assert not world.desk.events_taken


def test_a_webhook_is_as_old_as_the_true_time_says(worlds) -> None:
    """With the clock just set, Stripe's date is compared with it, and not with the time
    that the process goes by.
    """
    world = worlds()
    parts = evolve(world.parts, wall=lambda: world.clock.seconds() + 3600)
    world.visitor.factory = make_web_server(parts, world.clock)
    assert signed(world).status == 400
    assert signed(world, age=-3600).status == 200


@pytest.mark.parametrize(
    ("header", "says"),
    [(None, "no signature"), ("nonsense", "malformed"), ("t=1800000000", "wrong")],
)
def test_what_stripe_did_not_sign_is_refused(world, header, says) -> None:
    """Unsigned or wrongly signed requests are answered 400 and go nowhere."""
    headers = {} if header is None else {"Stripe-Signature": header}
    answer = world.visitor.ask("POST", "/webhook/stripe", BODY, headers)
    assert answer.status == 400
    assert says in answer.text
    assert not world.desk.events_taken


def test_with_the_daemon_away_stripe_sends_it_again(world, monkeypatch) -> None:
    """A daemon that is away, or will not take it, makes the answer 503."""
    world.desk.down = True
    assert signed(world).status == 503
    world.desk.down = False

    async def later(*_: object) -> Refused:
        return Refused("try-later", "")

    monkeypatch.setattr(type(world.desk), "ask", later)
    assert signed(world).status == 503


def test_a_body_too_large_is_refused(world) -> None:
    """Half a megabyte is taken, more is not, and much more is hung up on."""
    largest = BODY + b" " * (512 * 1024 - len(BODY))
    assert signed(world, body=largest).status == 200
    assert signed(world, body=largest + b"x").status == 413
    assert len(world.desk.events_taken) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"object": "account"}', b"\xff"])
def test_what_is_no_event_is_refused(world, body) -> None:
    """What is signed and no event is answered 400, and goes nowhere."""
    assert signed(world, body=body).status == 400
    assert not world.desk.events_taken


def test_get_is_no_webhook(world) -> None:
    """Only POST is routed there."""
    answer = world.visitor.get("/webhook/stripe")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
