"""The form: what is taken, what is refused, and what is said."""

from __future__ import annotations

import re

import pytest
from attrs import evolve

from lae_protocol.messages import Refused
from lae_site.daemon_status import FRESH
from tests.twins.front_desk import BUILT


def test_a_visitor_registers_and_is_sent_to_pay(world) -> None:
    """A good form is journaled once and answered with Stripe's page and a cookie."""
    answer = world.visitor.sign_up("o'neil+x&co@exämple.org")
    (signup_id,) = world.desk.ids()
    assert answer.status == 303
    assert answer.headers["location"].startswith("https://checkout.stripe.com/")
    sent = world.desk.registered_as(signup_id)
    assert sent.email == "o'neil+x&co@exämple.org"
    assert sent.plan == world.parts.plan("s4-small-monthly")
    (cookie,) = answer.cookies
    assert cookie.startswith(f"__Host-s4-{signup_id}={sent.owner_secret.reveal()};")
    for attribute in ("Path=/", "Secure", "HttpOnly", "SameSite=lax", "Max-Age="):
        assert attribute in cookie
    assert sent.owner_secret.reveal() not in answer.text + answer.headers["location"]


def test_a_doubled_submit_is_one_signup(world) -> None:
    """The same form sent twice registers one signup and leads to the same payment."""
    token = world.visitor.get("/signup").field("token")
    fields = {
        "token": token,
        "email": "ann@example.org",
        "plan": "s4-small-monthly",
        "terms": "agreed",
    }
    first, second = (world.visitor.post("/signup", fields) for _ in range(2))
    assert len(world.desk.ids()) == 1
    assert first.headers["location"] == second.headers["location"]
    assert first.cookies == second.cookies


def test_going_back_to_mend_the_address_mends_it(world) -> None:
    """The same form sent again with another address is one signup with that address."""
    token = world.visitor.get("/signup").field("token")
    for email in ("anm@example.org", "ann@example.org"):
        assert world.visitor.sign_up(email, token=token).status == 303
    (signup_id,) = world.desk.ids()
    assert world.desk.email(signup_id) == "ann@example.org"


def test_going_back_for_another_plan_asks_again(world) -> None:
    """The same form sent again for another plan does not sell the first one."""
    token = world.visitor.get("/signup").field("token")
    world.visitor.sign_up(token=token)
    answer = world.visitor.sign_up(token=token, plan="s4-large-monthly")
    assert answer.status == 409
    assert "another plan" in answer.text
    assert answer.field("token") != token


def test_two_forms_are_two_signups(world) -> None:
    """Two forms of one browser make two signups with two secrets."""
    world.visitor.sign_up()
    world.visitor.sign_up("bob@example.org")
    one, two = (world.desk.registered_as(i) for i in world.desk.ids())
    assert one.owner_secret != two.owner_secret


@pytest.mark.parametrize("state", [(), ("paid",), ("paid", "ready", "ending", "ended")])
def test_two_tabs_with_one_address(world, state) -> None:
    """The second form of one browser with the same address is asked about, names the
    order that is there, and makes one more only when the box for that is ticked.
    """
    tokens = [world.visitor.get("/signup").field("token") for _ in range(2)]
    assert world.visitor.sign_up(token=tokens[0]).status == 303
    (first,) = world.desk.ids()
    world.desk.happen(first, *state)
    asked = world.visitor.sign_up("Ann@Example.org", token=tokens[1])
    assert asked.status == 409
    assert "you have an order with this email address already" in asked.text
    assert f'href="/signup/{first}"' in asked.text
    assert len(world.desk.ids()) == 1
    sure = {"sure-another": asked.field("sure-another")}
    again = world.visitor.sign_up(token=tokens[1], **sure)
    assert again.status == 303
    assert len(world.desk.ids()) == 2
    world.clock.advance(3600)
    third = world.visitor.sign_up()
    assert third.status == 409
    assert world.visitor.sign_up(**{"sure-another": first}).status == 409
    latest = third.field("sure-another")
    assert latest == world.desk.ids()[-1] != first
    assert world.visitor.sign_up(**{"sure-another": latest}).status == 303


def test_what_is_no_second_order(world) -> None:
    """Nobody is asked about another address, an order that is over, or another
    browser's.
    """
    first = world.signed_up()
    assert world.stranger().sign_up().status == 303
    assert world.visitor.sign_up("bob@example.org").status == 303
    world.desk.happen(first, "checkout-expired")
    assert world.visitor.sign_up().status == 303


def test_a_slip_in_the_domain_is_asked_about(world) -> None:
    """The visitor is asked whether gmail.com was meant; who is sure goes on, and
    another slip is asked about again.
    """
    asked = world.visitor.sign_up("ann@gmial.com")
    assert asked.status == 400
    assert "Did you mean ann@gmail.com?" in asked.text
    assert not world.desk.ids()
    sure = {"sure-address": asked.field("sure-address")}
    assert world.visitor.sign_up("ann@gmal.com", **sure).status == 400
    assert world.visitor.sign_up("ann@gmial.com", **sure).status == 303


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"plan": "gold", "email": "", "terms": ""}, 'name="plan"'),
        ({"email": "ann", "terms": ""}, 'name="email"'),
        ({"terms": ""}, 'name="terms"'),
        ({"email": "ann@gmial.com"}, 'name="sure-address"'),
    ],
)
def test_the_focus_goes_to_the_first_mistake(world, changes, field) -> None:
    """One field has the focus, the first that is wrong."""
    text = world.visitor.sign_up(**changes).text
    (focused,) = re.findall(r"<input[^>]* autofocus[^>]*>", text)
    assert field in focused


def test_a_daemon_that_hangs_is_not_asked_to_register(world) -> None:
    """Where the daemon does not even say whether signups are open, the visitor hears so
    without the longer wait for a registration.
    """
    token = world.visitor.get("/signup").field("token")
    world.clock.advance(FRESH + 1)
    world.desk.hangs = True
    answer = world.visitor.sign_up(token=token)
    assert answer.status == 503
    assert "You have not been charged" in answer.text
    assert not world.desk.ids()


@pytest.mark.parametrize(
    ("email", "says"),
    [
        ("", "Please type your email address."),
        ("änn@example.org", "plain letters"),
        ("ann@localhost", "needs a dot"),
        ("ann@example.org\r\nBcc: bob@example.org", "line breaks"),
        ('"><script>alert(1)</script>', "needs an @"),
    ],
)
def test_a_bad_address_is_told_beside_the_field(world, email, says) -> None:
    """A bad address is refused beside its field, with what was typed kept."""
    answer = world.visitor.sign_up(email)
    assert answer.status == 400
    assert says in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "<script>alert" not in answer.text
    assert 'value="s4-small-monthly" checked' in answer.text
    assert not world.desk.ids()


def test_each_wrong_field_is_told_at_once(world) -> None:
    """All that is wrong is said in one answer, and the token stays good."""
    token = world.visitor.get("/signup").field("token")
    answer = world.visitor.sign_up("ann", token=token, plan="none", terms="")
    assert "needs an @" in answer.text
    assert "choose a plan" in answer.text
    assert "agree to the terms" in answer.text
    assert answer.field("token") == token
    assert world.visitor.sign_up(token=token).status == 303


@pytest.mark.parametrize("wrong", ["stale", "forged", "empty", "other", "no cookie"])
def test_a_form_that_is_not_ours_is_not_taken(world, wrong) -> None:
    """A stale or foreign form gives a fresh one with what was typed, and a reason."""
    token = world.visitor.get("/signup").field("token")
    match wrong:
        case "stale":
            world.clock.advance(2 * 3600 + 1)
        case "forged":
            token = token[:-1] + ("A" if token[-1] != "A" else "E")
        case "empty":
            token = ""
        case "other":
            token = world.stranger().get("/signup").field("token")
        case "no cookie":
            world.visitor.jar.clear()
    answer = world.visitor.post(
        "/signup",
        {
            "token": token,
            "email": "ann@example.org",
            "plan": "s4-large-monthly",
            "terms": "agreed",
        },
    )
    assert answer.status == 403
    assert "open for more than two hours" in answer.text
    assert 'value="ann@example.org"' in answer.text
    assert 'value="s4-large-monthly" checked' in answer.text
    assert not world.desk.ids()
    world.visitor.post(
        "/signup",
        {
            "token": answer.field("token"),
            "email": "ann@example.org",
            "plan": "s4-large-monthly",
            "terms": "agreed",
        },
    )
    assert len(world.desk.ids()) == 1


def test_with_the_daemon_down_nothing_is_opened(world) -> None:
    """With the daemon down a clear page says so, keeps the form, and a second try
    with the same form works.
    """
    token = world.visitor.get("/signup").field("token")
    world.desk.down = True
    answer = world.visitor.sign_up(token=token)
    assert answer.status == 503
    assert answer.headers["retry-after"]
    assert "You have not been charged" in answer.text
    assert 'value="ann@example.org"' in answer.text
    assert "location" not in answer.headers
    world.desk.down = False
    assert world.visitor.sign_up(token=answer.field("token")).status == 303
    assert len(world.desk.ids()) == 1


@pytest.mark.parametrize("code", ["paused", "full"])
def test_closed_doors_are_told(world, code) -> None:
    """Paused or full, the form says why and takes nothing."""
    world.desk.closed = Refused(code, "We are full until Monday.")
    assert "until Monday" in world.visitor.get("/signup").text
    assert "until Monday" in world.visitor.get("/").text
    answer = world.visitor.sign_up()
    assert answer.status == 503
    assert "until Monday" in answer.text


def test_what_takes_longer_is_told_before_and_after_paying(world) -> None:
    """While something is paused that customers wait for, the pages say so, and signups
    are taken; a finished signup's page says nothing of it.
    """
    world.desk.slower = "Storage is built later than usual."
    assert "built later" in world.visitor.get("/").text
    assert "built later" in world.visitor.get("/signup").text
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "paid")
    assert "built later" in world.visitor.get(f"/signup/{signup_id}").text
    world.desk.happen(signup_id, "identity-sealed", *BUILT, "mail-accepted")
    assert "built later" not in world.visitor.get(f"/signup/{signup_id}").text


def test_other_plans_at_the_daemon_are_told(world) -> None:
    """A plan that the daemon would not agree to is refused beside the plans."""
    world.desk.plans = tuple(evolve(p, price=p.price + 1) for p in world.desk.plans)
    answer = world.visitor.sign_up()
    assert answer.status == 409
    assert "Our plans have changed." in answer.text


def test_a_second_submit_after_the_payment_shows_it(world, monkeypatch) -> None:
    """A form sent again after it was paid leads to the status page, not to pay twice."""
    token = world.visitor.get("/signup").field("token")
    world.visitor.sign_up(token=token)
    (signup_id,) = world.desk.ids()

    def not_now(desk: object, register: object) -> Refused:
        return Refused("not-now", "paid")

    monkeypatch.setattr(type(world.desk), "_register", not_now)
    answer = world.visitor.sign_up(token=token)
    assert answer.headers["location"] == f"/signup/{signup_id}"


def test_nobody_is_sent_to_pay_elsewhere(world) -> None:
    """A payment page that is not on the settings' list is not redirected to."""
    world.desk.checkout_origin = "https://checkout.stripe.com.evil.example"
    answer = world.visitor.sign_up()
    assert answer.headers["location"] == f"/signup/{world.desk.ids()[0]}"


def test_one_network_cannot_register_without_end(world) -> None:
    """After a burst one network waits; another one does not."""
    emails = [f"ann{n}@example.org" for n in range(7)]
    statuses = [world.visitor.sign_up(email).status for email in emails[:6]]
    assert statuses == [303] * 5 + [429]
    assert world.stranger().sign_up().status == 303
    world.clock.advance(181)
    assert world.visitor.sign_up(emails[6]).status == 303


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"token=%ff", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=1" for _ in range(50)), "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"--b\r\n\r\n--b--", "multipart/form-data; boundary=b"),
    ],
)
def test_what_is_no_form_is_refused(world, body, media_type) -> None:
    """A body that no form of ours sends is answered 400."""
    answer = world.visitor.ask(
        "POST", "/signup", body, headers={"Content-Type": media_type}
    )
    assert answer.status == 400
    assert not world.desk.ids()


def test_lines_of_x_forwarded_for_are_one_list(worlds) -> None:
    """Whoever sends lines of their own is known by what our two proxies added below
    them, each in a line; their neighbours are known, too.
    """
    world = worlds(proxies=2, registrations_per_hour=5)

    def register(claimed: str, seen: str) -> int:
        visitor = world.stranger("127.0.0.1")
        token = visitor.get("/signup").field("token")
        fields = {"token": token, "email": "ann@example.org", "terms": "agreed"}
        lines = f"{claimed}\r\nX-Forwarded-For: {seen}\r\nX-Forwarded-For: 10.0.0.1"
        return visitor.post(
            "/signup",
            fields | {"plan": "s4-small-monthly"},
            **{"X-Forwarded-For": lines},
        ).status

    told = [
        register(f"198.51.100.{turn}, 10.0.0.1", "203.0.113.66") for turn in range(6)
    ]
    assert told == [303] * 5 + [429]
    assert register("203.0.113.66", "198.51.100.7") == 303


def test_payment_pages_count_with_registrations(worlds) -> None:
    """Whoever asks for one payment page after the other waits like one who registers,
    and is told for how long; the daemon hears no more of it.
    """
    world = worlds(registrations_per_hour=5)
    signup_id = world.signed_up()
    world.desk.happen(signup_id, "checkout-expired")
    token = world.visitor.get(f"/signup/{signup_id}").field("token")
    told = [
        world.visitor.post(f"/signup/{signup_id}/pay", {"token": token})
        for _ in range(30)
    ]
    assert [answer.status for answer in told] == [303] * 4 + [429] * 26
    assert told[-1].headers["retry-after"] == "721"
    assert world.visitor.sign_up().status == 429
    assert world.stranger().sign_up().status == 303
