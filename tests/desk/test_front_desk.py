"""What a site may ask of the daemon, asked as a site does: by bytes."""

from __future__ import annotations

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent

from lae_flapp.journal import (
    contacts,
    effects,
    events,
    inbox,
    sessions,
    signups,
    switches,
)
from lae_flapp.money.checkout.checkout import STRIPE_AWAY
from lae_flapp.money.checkout.customer_name import LATER
from lae_protocol import wire
from lae_protocol.ids import OwnerSecret
from lae_protocol.messages import (
    AskDoors,
    CorrectAddress,
    Done,
    Leave,
    Owner,
    PayAgain,
    Refused,
    Register,
    Registered,
    ResendMail,
    ReturnedFromCheckout,
    SignupView,
    Stay,
    StripeEvent,
    Taken,
    Watch,
)
from lae_protocol.stripe_hints import StripeHint
from tests.twins.asking import ask_raw, begin
from tests.twins.journal import answer
from tests.twins.weather import Fault


def event(session_id: str, number: int = 1, kind: str = "checkout.session.completed"):
    """An event of Stripe about a session, as the site hands it over."""
    return StripeEvent(StripeHint(f"evt_{number}", kind, session_id))


def kinds(desk, signup_id):
    return [e.kind for e in desk.read(events.since, signup_id, 0)]


def test_registration(desk, a_form):
    """A form is journaled, and its session opened with what was agreed."""
    register, owner = a_form()
    told = desk.ask(register)
    assert isinstance(told, Registered)
    assert told.checkout_url == "https://pay.invalid/cs_1"
    assert told.view.state == "paying"
    assert told.view.owner.email == "o'neil+x&co@exämple.org"
    assert kinds(desk, owner.signup_id) == ["registered", "checkout-opened"]
    contact = desk.read(contacts.current, owner.signup_id)
    assert contact.smtp == "o'neil+x&co@xn--exmple-cua.org"


def test_doubled_submit(desk, a_form):
    """The same form sent again is the same signup and the same session."""
    register, _ = a_form()
    first = desk.ask(register)
    second = desk.ask(register)
    assert first.checkout_url == second.checkout_url
    assert len(desk.account.sessions) == 1


def test_somebody_elses_form(desk, a_form):
    """A known id with another secret is refused like an unknown one."""
    register, _ = a_form()
    desk.ask(register)
    thief = evolve(register, owner_secret=OwnerSecret("another" * 8))
    told = desk.ask(thief)
    assert told.code == "unknown-signup"
    assert len(desk.account.sessions) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"email": "nobody"}, "bad-address"),
        ({"email": "jörg@example.org"}, "bad-address"),
        ({"email": "a@example.org\r\nBcc: b@example.org"}, "bad-address"),
        ({"signup_id": "su1"}, "malformed"),
        ({"signup_id": "../../etc/passwd"}, "malformed"),
    ],
)
def test_bad_forms(desk, a_form, change, code):
    """A form that cannot be taken is refused, and nothing is journaled or opened."""
    register, owner = a_form()
    told = desk.ask(evolve(register, **change))
    assert told.code == code
    assert told.message
    assert desk.account.sessions == {}
    assert desk.read(signups.find, owner.signup_id) is None


def test_other_terms(desk, a_form, plan):
    """What the site showed must be what is sold."""
    register, _ = a_form()
    cheaper = evolve(register, plan=evolve(plan, price=1))
    assert desk.ask(cheaper).code == "plan-changed"
    unknown = evolve(register, plan=evolve(plan, plan_id="gold"))
    assert desk.ask(unknown).code == "unknown-plan"


def test_paused(desk, a_form):
    """While signups are paused, no form is taken and no payment page is opened; the
    reason is told, and afterwards all goes on.
    """
    known, owner = a_form(1)
    desk.ask(known)
    desk.write(switches.pause, "signups", "ann", "we move house")
    doors = desk.ask(AskDoors())
    said = "We take no new signups at the moment: we move house."
    assert (doors.signups_open, doors.reason) == (False, said)
    told = desk.ask(a_form(2)[0])
    assert (told.code, told.message) == ("paused", said)
    told = desk.ask(PayAgain(owner))
    assert (told.code, told.message) == ("paused", said)
    assert len(desk.account.sessions) == 1
    desk.write(switches.resume, "signups", "ann")
    assert desk.ask(PayAgain(owner)).checkout_url


def test_slower(desk, a_form):
    """While launches or mails are paused, signups stay open and visitors are told."""
    for name, word in (("mails", "mails come later"), ("launches", "built later")):
        desk.write(switches.pause, name, "ann", "an incident")
        doors = desk.ask(AskDoors())
        assert doors.signups_open
        assert word in doors.reason
        assert "incident" not in doors.reason
    assert desk.ask(a_form(1)[0]).checkout_url


def test_no_canary(desk, a_form):
    """A daemon that could not seal an identity takes no registrations, and says so."""
    desk.closed = "We cannot take signups at the moment."
    doors = desk.ask(AskDoors())
    assert (doors.signups_open, doors.reason) == (False, desk.closed)
    assert desk.ask(a_form()[0]).code == "paused"
    assert desk.account.sessions == {}


@pytest.mark.parametrize("secret", ["", "x", "x" * (OwnerSecret.SHORTEST - 1)])
def test_a_secret_that_can_be_guessed(desk, a_form, secret):
    """A site that makes weak secrets registers nobody: others could act for them."""
    register, owner = a_form()
    weak = evolve(register, owner_secret=OwnerSecret(secret))
    assert desk.ask(weak).code == "malformed"
    assert desk.read(signups.find, owner.signup_id) is None
    strong = OwnerSecret("x" * OwnerSecret.SHORTEST)
    assert isinstance(desk.ask(evolve(register, owner_secret=strong)), Registered)


def test_full(desk, a_form):
    """When every place is held, nobody is charged for one more."""
    desk.stop()
    desk.quota = 1
    desk.start()
    desk.ask(a_form(1)[0])
    told = desk.ask(a_form(2)[0])
    assert told.code == "full"
    assert len(desk.account.sessions) == 1


def test_lost_reply_of_the_session(desk, a_form):
    """A session whose reply was lost is found by the same request, even after a restart."""
    register, owner = a_form()
    desk.faults["payments.open_checkout"] = [Fault.REPLY_LOST]
    assert desk.ask(register).code == "no-answer"
    desk.restart()
    told = desk.ask(register)
    assert told.checkout_url == "https://pay.invalid/cs_1"
    assert len(desk.account.sessions) == 1
    (effect,) = desk.read(effects.of, owner.signup_id)
    assert (effect.state, effect.sealed) == ("done", True)
    assert b"neil" not in effect.request


def test_payment_in_a_session_of_a_lost_reply(desk, a_form):
    """Reading Stripe finds a payment in a session whose id we never heard."""
    register, owner = a_form()
    desk.faults["payments.open_checkout"] = [Fault.REPLY_LOST]
    assert desk.ask(register).code == "no-answer"
    desk.account.pay("cs_1")
    desk.restart()
    answer(Deferred.fromCoroutine(desk.settlement.reconcile()))
    assert desk.read(signups.get, owner.signup_id).state == "paid"


def test_stale_request_of_a_lost_reply(desk, a_form):
    """When the repeat of a request is refused, what it opened before is ended first."""
    register, _ = a_form()
    desk.faults["payments.open_checkout"] = [Fault.REPLY_LOST, Fault.REFUSED]
    assert desk.ask(register).code == "no-answer"
    told = desk.ask(register)
    assert told.checkout_url == "https://pay.invalid/cs_2"
    assert [s.status for s in desk.account.sessions.values()] == ["expired", "open"]


def test_refused_session(desk, a_form):
    """When the payment service refuses, the visitor is told, and may try again."""
    register, _ = a_form()
    desk.faults["payments.open_checkout"] = [Fault.REFUSED]
    assert desk.ask(register).code == "no-answer"
    assert isinstance(desk.ask(register), Registered)
    assert len(desk.account.sessions) == 1


def test_webhook(desk, a_form):
    """A payment is taken from Stripe's own answer, once, however often the event comes."""
    register, owner = a_form()
    desk.ask(register)
    desk.account.pay("cs_1")
    for _ in range(2):
        assert isinstance(desk.ask(event("cs_1")), Taken)
    desk.ask(event("cs_1", 2))
    view = desk.ask(Watch(owner, 0, 0))
    assert view.state == "paid"
    assert [p.kind for p in view.progress] == ["registered", "checkout-opened", "paid"]
    assert set(desk.woken) == {owner.signup_id}
    assert desk.read(inbox.waiting) == 0


def test_customer_is_named(desk, a_form):
    """Stripe's customer is told whose it is, later where Stripe was away, and once."""
    register, owner = a_form()
    desk.ask(register)
    desk.account.pay("cs_1")
    desk.faults["payments.name_customer"] = [Fault.THROTTLED]
    desk.ask(event("cs_1"))
    desk.clock.advance(LATER)
    assert desk.account.names == {}
    desk.restart()
    answer(Deferred.fromCoroutine(desk.settlement.reconcile()))
    assert desk.account.names == {"cus_1": owner.signup_id}
    desk.ask(event("cs_1", 2))
    named = [
        e for e in desk.read(effects.of, owner.signup_id) if e.key.step == "customer"
    ]
    assert [e.state for e in named] == ["done"]


def test_event_that_lies(desk, a_form):
    """An event that says paid builds nothing while Stripe says unpaid."""
    register, owner = a_form()
    desk.ask(register)
    desk.ask(event("cs_1"))
    assert desk.ask(Watch(owner, 0, 0)).state == "paying"
    assert desk.woken == []


def test_foreign_event(desk, a_form):
    """An event of another deployment is answered 200 and ignored."""
    register, _ = a_form()
    desk.ask(register)
    paid = desk.account.pay("cs_1")
    desk.account.sessions["cs_9"] = evolve(paid, session_id="cs_9", deployment="other")
    assert isinstance(desk.ask(event("cs_9")), Taken)
    assert desk.read(inbox.find, "evt_1").state == "ignored"
    assert desk.woken == []


def test_unknown_signup_of_ours(desk, a_form):
    """Ours but unknown (a restored journal): offered for adoption, and kept waiting."""
    register, _ = a_form()
    desk.ask(register)
    paid = desk.account.pay("cs_1")
    stranger = a_form(7)[1].signup_id
    desk.account.sessions["cs_9"] = evolve(paid, session_id="cs_9", signup_id=stranger)
    desk.ask(event("cs_9"))
    assert desk.read(inbox.find, "evt_1").state == "waiting"
    assert desk.to_adopt


def test_stripe_away_at_the_webhook(desk, a_form):
    """An event waits while Stripe is away, over a restart, and is then worked off."""
    register, owner = a_form()
    desk.ask(register)
    desk.account.pay("cs_1")
    desk.faults["payments.fetch_session"] = [Fault.THROTTLED]
    desk.ask(event("cs_1"))
    assert desk.read(signups.get, owner.signup_id).state == "paying"
    desk.restart()
    desk.clock.advance(2)
    assert desk.read(signups.get, owner.signup_id).state == "paid"


def test_stripe_away_at_the_return(desk, a_form, logged):
    """Whoever comes back from the payment page while Stripe does not answer is offered
    that page nowhere, since it may be paid; the log names Stripe, and no traceback.
    """
    register, owner = a_form()
    desk.ask(register)
    desk.account.pay("cs_1")
    desk.faults["payments.fetch_session"] = [Fault.THROTTLED]
    told = desk.ask(ReturnedFromCheckout(owner))
    assert (told.state, told.owner.checkout_url) == ("paying", None)
    assert desk.ask(Watch(owner, 0, 0)).owner.checkout_url is None
    assert desk.ask(register).checkout_url.endswith(f"/signup/{owner.signup_id}")
    desk.faults["payments.expire_session"] = [Fault.THROTTLED]
    refused = desk.ask(PayAgain(owner))
    assert (refused.code, refused.message) == ("no-answer", STRIPE_AWAY)
    lines = [formatEvent(e) for e in logged]
    assert not [e for e in logged if "log_failure" in e]
    assert all("Stripe cannot be asked" in one for one in lines)
    assert all(owner.signup_id in one for one in lines)
    assert len(lines) == 2
    desk.ask(event("cs_1"))
    assert desk.ask(Watch(owner, 0, 0)).state == "paid"


def test_stripe_away_while_the_old_session_is_looked_at(desk, a_form, logged):
    """A second payment page waits for Stripe, and the failure is told as Stripe's."""
    register, owner = a_form()
    desk.ask(register)
    desk.faults["payments.fetch_session"] = [Fault.THROTTLED]
    assert desk.ask(PayAgain(owner)).code == "no-answer"
    assert not [e for e in logged if "log_failure" in e]


def test_offered_again_when_stripe_says_unpaid(desk, a_form):
    """A payment page that Stripe says is unpaid is offered again."""
    register, owner = a_form()
    desk.ask(register)
    desk.faults["payments.fetch_session"] = [Fault.THROTTLED]
    assert desk.ask(ReturnedFromCheckout(owner)).owner.checkout_url is None
    told = desk.ask(ReturnedFromCheckout(owner))
    assert told.owner.checkout_url == "https://pay.invalid/cs_1"


def test_return_overtakes_the_webhook(desk, a_form):
    """The browser's return settles the payment; the webhook then changes nothing."""
    register, owner = a_form()
    desk.ask(register)
    desk.account.pay("cs_1")
    assert desk.ask(ReturnedFromCheckout(owner)).state == "paid"
    desk.ask(event("cs_1"))
    assert kinds(desk, owner.signup_id).count("paid") == 1


def test_webhook_that_never_comes(desk, a_form):
    """Reading Stripe finds a payment of which no webhook told."""
    register, owner = a_form()
    desk.ask(register)
    desk.account.pay("cs_1")
    answer(Deferred.fromCoroutine(desk.settlement.reconcile()))
    assert desk.read(signups.get, owner.signup_id).state == "paid"


def test_paying_again(desk, a_form):
    """The old session is expired before another is opened."""
    register, owner = a_form()
    desk.ask(register)
    told = desk.ask(PayAgain(owner))
    assert told.checkout_url == "https://pay.invalid/cs_2"
    states = [s.status for s in desk.account.sessions.values()]
    assert states == ["expired", "open"]


def test_paying_again_after_paying(desk, a_form):
    """Who paid a moment ago in another tab is led to the status page, not to pay."""
    register, owner = a_form()
    desk.ask(register)
    desk.account.pay("cs_1")
    told = desk.ask(PayAgain(owner))
    assert told.checkout_url == f"https://s4.example/signup/{owner.signup_id}"
    assert told.view.state == "paid"
    assert len(desk.account.sessions) == 1


def test_two_paid_sessions(desk, a_form):
    """Of two paid sessions one is kept; the other is marked for its refund."""
    register, owner = a_form()
    desk.ask(register)
    # Stripe's reply to the expiry was late: both sessions were open for a moment.
    desk.account.sessions["cs_2"] = evolve(
        desk.account.sessions["cs_1"], session_id="cs_2", url="https://pay.invalid/cs_2"
    )
    desk.account.prices["cs_2"] = 900
    for number, session in enumerate(("cs_1", "cs_2")):
        desk.account.pay(session)
        desk.ask(event(session, number))
    assert [s.session_id for s in desk.read(sessions.surplus)] == ["cs_2"]
    assert kinds(desk, owner.signup_id).count("paid") == 1


def test_expired_session(desk, a_form):
    """An expired session frees the place, and paying again opens another."""
    desk.stop()
    desk.quota = 1
    desk.start()
    register, owner = a_form(1)
    desk.ask(register)
    desk.account.sessions["cs_1"] = evolve(
        desk.account.sessions["cs_1"], status="expired", url=None
    )
    desk.ask(event("cs_1", 1, "checkout.session.expired"))
    assert desk.read(signups.get, owner.signup_id).state == "expired"
    assert isinstance(desk.ask(a_form(2)[0]), Registered)
    assert desk.ask(PayAgain(owner)).code == "full"


def test_progress_without_the_secret(desk, a_form):
    """Anybody with the id sees progress, and nothing of the owner."""
    register, owner = a_form()
    desk.ask(register)
    view = desk.ask(Watch(Owner(owner.signup_id), 0, 0))
    assert isinstance(view, SignupView)
    assert view.owner is None
    assert len(view.progress) == 2


@pytest.mark.parametrize(
    "question", [ReturnedFromCheckout, PayAgain, ResendMail, Leave, Stay]
)
def test_nobody_without_the_secret(desk, a_form, question):
    """A site without a customer's secret can do nothing for that customer."""
    register, owner = a_form()
    desk.ask(register)
    for secret in (None, OwnerSecret("guess" * 8)):
        told = desk.ask(question(Owner(owner.signup_id, secret)))
        if question is ReturnedFromCheckout and secret is None:
            # Progress alone, and no call to Stripe.
            assert told.owner is None
            continue
        assert isinstance(told, Refused)
        assert told.code == "unknown-signup"


def test_unknown_id_and_wrong_secret_are_told_the_same(desk, a_form):
    """An unknown id and a wrong secret cannot be told apart."""
    register, owner = a_form()
    desk.ask(register)
    unknown = desk.ask(Watch(a_form(9)[1], 0, 0))
    wrong = desk.ask(
        Watch(Owner(owner.signup_id, OwnerSecret("guess" * 8)), 0, 0),
    )
    assert unknown == wrong


def test_watch_waits_for_news(desk, a_form):
    """A watch answers as soon as something happens, and at its end if nothing does."""
    register, owner = a_form()
    told = desk.ask(register)
    last = told.view.last_number
    waiting = begin(desk.front.facet(), Watch(owner, last, 20))
    assert not waiting.called
    desk.account.pay("cs_1")
    desk.ask(event("cs_1"))
    assert waiting.called
    view = wire.decode_answer(Watch, waiting.result)
    assert [p.kind for p in view.progress] == ["paid"]

    waiting = begin(desk.front.facet(), Watch(owner, view.last_number, 20))
    desk.clock.advance(19)
    assert not waiting.called
    desk.clock.advance(2)
    assert wire.decode_answer(Watch, waiting.result).progress == ()


def test_correcting_the_address(desk, a_form):
    """The owner corrects a wrong address; a bad one is refused and changes nothing."""
    register, owner = a_form()
    desk.ask(register)
    bad = desk.ask(CorrectAddress(owner, "nobody"))
    assert (bad.code, bad.field) == ("bad-address", "email")
    good = desk.ask(CorrectAddress(owner, "ann@example.org"))
    assert isinstance(good, Done)
    assert good.view.owner.email == "ann@example.org"
    desk.account.pay("cs_1")
    desk.ask(ReturnedFromCheckout(owner))
    contact = desk.read(contacts.current, owner.signup_id)
    desk.write(contacts.mark, contact.number, "confirmed")
    late = desk.ask(CorrectAddress(owner, "b@example.org"))
    assert late.code == "confirmed"


def test_resending_too_early(desk, a_form):
    """No mail is sent again before there was one."""
    register, owner = a_form()
    desk.ask(register)
    assert desk.ask(ResendMail(owner)).code == "not-now"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"signup_id": 3}'])
def test_malformed_messages(desk, data):
    """Bytes that are no message are refused without telling what was in them."""
    for kind in (Register, Watch, Leave):
        assert ask_raw(desk.front.facet(), kind, data).code == "malformed"


def test_other_version(desk):
    """A site that knows another version of a question is told so."""
    told = ask_raw(desk.front.facet(), AskDoors, b"{}", AskDoors.VERSION + 1)
    assert told.code == "version"
