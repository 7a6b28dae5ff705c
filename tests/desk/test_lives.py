"""Leaving, coming back and paying late, as a site and Stripe ask for it: by bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from lae_flapp.journal import (
    capacity,
    contacts,
    events,
    inbox,
    lifecycles,
    outbox,
    sessions,
    signups,
)
from lae_flapp.life import ending
from lae_protocol import wire
from lae_protocol.ids import OwnerSecret
from lae_protocol.messages import (
    ConfirmByLink,
    CorrectAddress,
    Done,
    Leave,
    LeaveByLink,
    LogInByLink,
    MailedLink,
    MailLogIn,
    Owner,
    PayAgain,
    Refused,
    Registered,
    ResendMail,
    ReturnByLink,
    ReturnedFromCheckout,
    Stay,
    StripeEvent,
    Watch,
)
from lae_protocol.secret import Secret
from lae_protocol.stripe_hints import hint_of
from tests.twins.asking import begin
from tests.twins.weather import Fault

DISPUTE = {"id": "dp_1", "object": "dispute", "charge": "ch_1"}


def event(kind: str, thing: dict, number: int) -> StripeEvent:
    """An event of Stripe, as the site hands it over."""
    body = {"id": f"evt_{number}", "object": "event", "type": kind}
    hint = hint_of({**body, "data": {"object": thing}})
    assert hint is not None
    return StripeEvent(hint)


def of_subscription(kind: str, name: str, number: int) -> StripeEvent:
    thing = {"id": name, "object": "subscription", "status": "active"}
    return event(f"customer.subscription.{kind}", thing, number)


def of_invoice(kind: str, name: str, number: int) -> StripeEvent:
    parent = {"subscription_details": {"subscription": name}}
    return event(f"invoice.{kind}", {"object": "invoice", "parent": parent}, number)


def of_session(session_id: str, number: int) -> StripeEvent:
    thing = {"id": session_id, "object": "checkout.session"}
    return event("checkout.session.completed", thing, number)


@pytest.fixture
def served(desk, a_form):
    """A customer who is served (no routine runs here); the owner, and how to tell."""
    register, owner = a_form()
    desk.ask(register)
    (session_id,) = desk.account.sessions
    desk.account.pay(session_id)
    desk.ask(ReturnedFromCheckout(owner))
    desk.write(
        signups.move, owner.signup_id, {"paid"}, "active", kind="ready", who="test"
    )
    return owner


def state(desk, owner):
    return desk.read(signups.get, owner.signup_id).state


def take(desk, raw):
    desk.ask(raw)
    desk.clock.advance(1)


def link(desk, owner, purpose):
    signup = desk.read(signups.get, owner.signup_id)
    number = desk.read(contacts.current, owner.signup_id).number
    now = datetime.fromtimestamp(desk.clock.seconds(), UTC)
    token = desk.links.url(signup, purpose, number, now).partition("#")[2]
    return MailedLink(owner.signup_id, Secret(token))


def ended(desk, owner):
    """It ends and all but the data is gone, as the routine would journal it."""
    desk.write(ending.cancel, owner.signup_id, "owner", "x", at_once=True)
    desk.write(
        signups.move, owner.signup_id, {"ending"}, "ended", kind="ended", who="test"
    )
    desk.account.become("sub_1", status="canceled")


def test_the_owner_cancels_and_stays(desk, served) -> None:
    """Each is journaled for the worker, which is woken; and asked twice it is done
    once.
    """
    take(desk, of_invoice("paid", "sub_1", 90))
    until = desk.account.known["sub_1"].paid_until
    for _ in range(2):
        told = desk.ask(Leave(served))
        assert isinstance(told, Done)
        assert told.view.ends_at == until, "though Stripe does not know it yet"
    assert desk.read(lifecycles.get, served.signup_id).wish == "leave"
    assert served.signup_id in desk.woken
    told = desk.ask(Stay(served))
    assert isinstance(told, Done)
    assert told.view.ends_at is None
    assert desk.read(lifecycles.get, served.signup_id).wish == "stay"
    assert state(desk, served) == "active"


def test_two_tabs_at_once(desk, served) -> None:
    """One tab cancels while the other takes it back: the last wish stands, and an
    ended one cannot be taken back for nothing.
    """
    desk.ask(Leave(served))
    desk.ask(Stay(served))
    desk.ask(Leave(served))
    assert desk.read(lifecycles.get, served.signup_id).wish == "leave"
    ended(desk, served)
    told = desk.ask(Stay(served))
    assert (told.code, "subscribe again" in told.message) == ("not-now", True)


@pytest.mark.parametrize(
    ("question", "purpose"),
    [(LeaveByLink, "cancel"), (ReturnByLink, "return"), (ConfirmByLink, "confirm")],
)
def test_links(desk, served, a_form, question, purpose) -> None:
    """A mail's code does its one thing for its one signup; anything else is refused."""
    good = link(desk, served, purpose)
    others = ("cancel", "return", "confirm")
    stranger = MailedLink(a_form(7)[1].signup_id, good.token)
    for bad in (
        *(link(desk, served, other) for other in others if other != purpose),
        stranger,
        MailedLink("no id", good.token),
        MailedLink(served.signup_id, Secret("rubbish")),
        MailedLink(served.signup_id, Secret(good.token.reveal()[:-3])),
    ):
        told = desk.ask(question(bad))
        assert isinstance(told, Refused)
        assert told.code == "unknown-signup"
    told = desk.ask(question(good))
    assert isinstance(told, Done | Registered)
    assert told.view.owner is None, "a link shows no furl"


@pytest.mark.parametrize(
    ("question", "purpose"), [(LeaveByLink, "cancel"), (ReturnByLink, "return")]
)
def test_a_wrong_recipient_can_cancel_nothing(desk, served, question, purpose) -> None:
    """Once the email address is corrected, a link that went to the earlier one is worth
    nothing, one that goes to the present one is, and the owner is told who else knows
    the furl.
    """
    wrong = desk.read(contacts.current, served.signup_id).number
    desk.write(outbox.put, served.signup_id, "active")
    for mail in desk.read(outbox.of, served.signup_id):
        desk.write(outbox.accepted, mail.number, wrong)
    old = link(desk, served, purpose)
    told = desk.ask(CorrectAddress(served, "right@example.org"))
    assert told.view.owner.furl_known_elsewhere
    assert desk.ask(question(old)).code == "unknown-signup"
    assert desk.read(lifecycles.get, served.signup_id).wish == "stay"
    assert isinstance(
        desk.ask(question(link(desk, served, purpose))), Done | Registered
    )


@pytest.mark.parametrize("asks", [PayAgain, ResendMail, Leave, Stay])
def test_the_old_browser_is_nobodys(desk, served, asks) -> None:
    """Once another browser was logged in, whoever shows the old secret is refused, and a
    watch that waits hears of it at once; the new secret does all.
    """
    number = desk.read(events.last_number, served.signup_id)
    watching = begin(desk.front.facet(), Watch(served, number, 20))
    assert not watching.called
    owner = Owner(served.signup_id, OwnerSecret("new" * 20))
    mailed = link(desk, served, "log-in")
    assert isinstance(desk.ask(LogInByLink(mailed, owner.owner_secret)), Done)
    assert watching.called
    told = wire.decode_answer(Watch, watching.result)
    assert told.code == "unknown-signup"
    assert desk.ask(asks(served)).code == "unknown-signup"
    assert desk.ask(Watch(owner, 0, 0)).owner is not None
    told = desk.ask(asks(owner))
    assert isinstance(told, Done | Registered) or told.code == "not-now"
    stranger = OwnerSecret("eve" * 20)
    assert desk.ask(LogInByLink(mailed, stranger)).code == "unknown-signup"


def test_anybody_may_have_the_link_mailed(desk, served) -> None:
    """It needs no secret, and tells whoever asks nothing of the owner."""
    told = desk.ask(MailLogIn(served.signup_id))
    assert isinstance(told, Done)
    assert told.view.owner is None
    assert [m.kind for m in desk.read(outbox.of, served.signup_id)] == ["log-in"]
    assert desk.ask(MailLogIn("no id")).code == "unknown-signup"


def test_how_long_until_a_mail_can_be_resent(desk, served):
    """Who asks too early is told in how many seconds it can be sent again."""
    desk.write(outbox.put, served.signup_id, "active")
    desk.clock.advance(30)
    told = desk.ask(ResendMail(served))
    assert (told.code, "again in 90 seconds" in told.message) == ("not-now", True)
    desk.clock.advance(90)
    assert isinstance(desk.ask(ResendMail(served)), Done)


def test_a_mistake_that_was_never_mailed(desk, a_form) -> None:
    """Of an address that got no mail with the furl, nothing is said."""
    register, owner = a_form()
    desk.ask(register)
    told = desk.ask(CorrectAddress(owner, "right@example.org"))
    assert not told.view.owner.furl_known_elsewhere


def test_a_link_of_an_earlier_payment(desk, served) -> None:
    """A link that was mailed for a subscription before this one is worth nothing."""
    old = link(desk, served, "cancel")
    ended(desk, served)
    told = desk.ask(ReturnByLink(link(desk, served, "return")))
    session_id = list(desk.account.sessions)[-1]
    assert told.checkout_url == desk.account.sessions[session_id].url
    desk.account.pay(session_id)
    take(desk, of_session(session_id, 50))
    assert state(desk, served) == "paid"
    assert desk.ask(LeaveByLink(old)).code == "unknown-signup"


def test_coming_back_needs_room(desk, served) -> None:
    """A full cell takes nobody back; the data keeps its place."""
    ended(desk, served)
    desk.stop()
    desk.quota = 0
    desk.start()
    assert desk.ask(PayAgain(served)).code == "full"
    assert desk.read(capacity.held, served.signup_id) == {"buckets": 1}


def test_a_payment_page_that_lapses(desk, served) -> None:
    """Who looks at the payment page and goes away is as before; the bucket keeps its
    place, and what was held for the host is free.
    """
    ended(desk, served)
    desk.ask(PayAgain(served))
    assert desk.read(capacity.held, served.signup_id)["instances"] == 1
    session_id = list(desk.account.sessions)[-1]
    desk.clock.advance(40 * 60)
    expired = desk.account.sessions[session_id]
    assert expired.status == "open"
    told = desk.ask(PayAgain(served))
    assert isinstance(told, Registered)
    assert desk.account.sessions[session_id].status == "expired"
    assert state(desk, served) == "ended"


def test_open_pages_await_the_payment(desk, served) -> None:
    """Whoever watches a subscription that has ended hears that a payment page was
    opened, and that it expired unpaid.
    """
    ended(desk, served)
    watching = Owner(served.signup_id)
    before = desk.ask(Watch(watching, 0, 0))
    assert not before.awaits_payment
    desk.ask(PayAgain(served))
    opened = desk.ask(Watch(watching, before.last_number, 0))
    assert [p.kind for p in opened.progress] == ["checkout-opened"]
    assert (opened.state, opened.awaits_payment) == ("ended", True)
    session_id = list(desk.account.sessions)[-1]
    known = desk.account.sessions[session_id]
    desk.account.sessions[session_id] = evolve(known, status="expired")
    desk.ask(ReturnedFromCheckout(served))
    over = desk.ask(Watch(watching, opened.last_number, 0))
    assert [p.kind for p in over.progress] == ["checkout-expired"]
    assert not over.awaits_payment


def test_too_late(desk, served) -> None:
    """After the time of the data no payment page is opened."""
    ended(desk, served)
    desk.clock.advance(timedelta(days=31).total_seconds())
    told = desk.ask(PayAgain(served))
    assert (told.code, "is over" in told.message) == ("not-now", True)
    assert len(desk.account.sessions) == 1


def test_what_is_overdue_is_paid_on_stripes_page(desk, served) -> None:
    """The owner is sent to the page of the open invoice; away, they are told so."""
    page = Secret("https://invoice.stripe.com/i/x")
    desk.account.become("sub_1", status="past_due", pay_url=page)
    take(desk, of_invoice("payment_failed", "sub_1", 2))
    assert state(desk, served) == "past-due"
    told = desk.ask(PayAgain(served))
    assert told.checkout_url == page.reveal()
    desk.faults["payments.fetch_subscription"] = [Fault.THROTTLED]
    assert desk.ask(PayAgain(served)).code == "no-answer"
    desk.account.become("sub_1", status="active", pay_url=None)
    told = desk.ask(PayAgain(served))
    assert told.checkout_url.endswith(f"/signup/{served.signup_id}")


def test_doubled_and_shuffled(desk, served) -> None:
    """However often and in whatever order the events come, what Stripe shows now is
    what counts, and each thing is mailed once.
    """
    desk.account.become("sub_1", status="past_due")
    raws = [
        of_subscription("updated", "sub_1", 11),
        of_invoice("payment_failed", "sub_1", 12),
        of_invoice("paid", "sub_1", 13),
        of_subscription("deleted", "sub_1", 14),
    ]
    for raw in [*raws, *reversed(raws)]:
        take(desk, raw)
    assert state(desk, served) == "past-due"
    mails = [m.kind for m in desk.read(outbox.of, served.signup_id)]
    assert mails == ["past-due"]
    assert all(desk.read(inbox.find, f"evt_{n}").state == "done" for n in range(11, 15))


def test_the_end_overtakes_the_payment(desk, a_form) -> None:
    """`deleted` comes before anything was heard of the payment: it is taken first, and
    goes back.
    """
    register, owner = a_form()
    desk.ask(register)
    (session_id,) = desk.account.sessions
    desk.account.pay(session_id)
    desk.account.become("sub_1", status="canceled")
    take(desk, of_subscription("deleted", "sub_1", 1))
    assert state(desk, owner) == "refunding"
    take(desk, of_session(session_id, 2))
    assert state(desk, owner) == "refunding"


def test_stripe_away_at_the_news(desk, served) -> None:
    """The event waits in the inbox until Stripe can be asked."""
    desk.account.become("sub_1", status="past_due")
    desk.faults["payments.fetch_subscription"] = [Fault.THROTTLED] * 2
    take(desk, of_invoice("payment_failed", "sub_1", 3))
    assert state(desk, served) == "active"
    desk.clock.pump([1] * 30)
    assert state(desk, served) == "past-due"


def test_a_dispute(desk, served) -> None:
    """It is told to operators, whatever it says of itself; nothing else changes."""
    desk.account.disputed.add("ch_1")
    take(desk, event("charge.dispute.created", DISPUTE, 4))
    assert [m.kind for m in desk.read(outbox.of, served.signup_id)] == ["troubled"]
    assert state(desk, served) == "active"


@pytest.mark.parametrize(
    ("kind", "thing"),
    [
        ("charge.dispute.created", DISPUTE),
        ("charge.refunded", {"id": "ch_1", "object": "charge", "refunded": True}),
        ("charge.refunded", {"id": "ch_none", "object": "charge", "refunded": True}),
    ],
)
def test_money_that_never_went_back(desk, served, kind, thing) -> None:
    """Whoever has the webhook's secret cannot make a refund or a dispute be believed
    of which Stripe shows nothing, however often they send it.
    """
    for number in range(4, 8):
        take(desk, event(kind, thing, number))
        assert desk.read(inbox.find, f"evt_{number}").state == "ignored"
    assert desk.read(outbox.of, served.signup_id) == ()
    assert desk.read(signups.get, served.signup_id).problem is None


def test_a_dispute_told_as_a_refund(desk, served) -> None:
    """What operators are told is what Stripe shows of the charge, not what the event
    calls it, and they are told once.
    """
    desk.account.disputed.add("ch_1")
    forged = {"id": "ch_1", "object": "charge", "refunded": True}
    for number in range(4, 8):
        take(desk, event("charge.refunded", forged, number))
    (mail,) = desk.read(outbox.of, served.signup_id)
    assert "dispute" in mail.occasion
    told = desk.read(events.since, served.signup_id, 0)
    assert [e.kind for e in told if e.who == "stripe"] == ["charge.dispute.created"]


def test_our_own_refund_is_no_news(desk, served) -> None:
    """A charge that the daemon itself gave back troubles nobody."""
    desk.write(
        signups.move, served.signup_id, {"active"}, "ending", kind="ending", who="t"
    )
    (paid,) = desk.read(sessions.of, served.signup_id)
    desk.write(sessions.refunded, paid.session_id)
    desk.account.refund("sub_1", 900)
    take(desk, event("charge.refunded", {"id": "ch_1", "object": "charge"}, 4))
    assert desk.read(inbox.find, "evt_4").state == "done"
    assert desk.read(outbox.of, served.signup_id) == ()


def test_what_an_operator_gave_back_is_no_news(desk, served) -> None:
    """Nor does a part that went back while the customer is served; what somebody gives
    back in Stripe's dashboard beside it is told.
    """
    desk.account.refund("sub_1", 300, "an effect")
    news = {"id": "ch_1", "object": "charge"}
    take(desk, event("charge.refunded", news, 4))
    assert desk.read(inbox.find, "evt_4").state == "done"
    assert desk.read(outbox.of, served.signup_id) == ()
    desk.account.refunded["sub_1"] += 1
    take(desk, event("charge.refunded", news, 5))
    assert [m.kind for m in desk.read(outbox.of, served.signup_id)] == ["troubled"]


REFUND = {"id": "re_1", "object": "refund", "charge": "ch_1", "status": "failed"}


def test_a_refund_that_failed_later(desk, served) -> None:
    """Operators are told once of money that came back to us, and how much it is;
    nothing else changes, and the customer is not told of it by a machine.
    """
    desk.account.refund("sub_1", 300, "an effect")
    desk.account.fail("re_1")
    for number in (4, 5):
        take(desk, event("refund.failed", REFUND, number))
        assert desk.read(inbox.find, f"evt_{number}").state == "done"
    assert [m.kind for m in desk.read(outbox.of, served.signup_id)] == ["troubled"]
    problem = desk.read(signups.get, served.signup_id).problem
    assert "the refund re_1 of EUR 3.00 failed" in problem
    assert "its credit note stands" in problem
    told = desk.read(events.since, served.signup_id, 0)
    assert [(e.kind, e.why) for e in told if e.who == "stripe"] == [
        ("refund.failed", "re_1")
    ]
    assert state(desk, served) == "active"


def test_a_second_payments_refund_that_failed_later(desk, served) -> None:
    """The customer of a payment that was not kept is found, too."""
    first = desk.account.sessions["cs_1"]
    second = evolve(first, session_id="cs_2", subscription="sub_2", customer="cus_2")
    desk.account.sessions["cs_2"] = second

    def paid(tx):
        sessions.opened(tx, served.signup_id, "cs_2", "", first.expires_at)
        payment = sessions.Payment("cs_2", "cus_2", "sub_2", None, None, tx.now)
        assert sessions.paid(tx, served.signup_id, "active", payment) == "surplus"

    desk.write(paid)
    desk.account.fail(desk.account.refund("sub_2", 900))
    take(desk, event("refund.failed", REFUND, 4))
    assert "re_1" in desk.read(signups.get, served.signup_id).problem


@pytest.mark.parametrize(
    ("failed", "refund"), [(False, "re_1"), (True, "re_2"), (True, "re_none")]
)
def test_a_refund_that_never_failed(desk, served, failed, refund) -> None:
    """Nobody is told of a refund that Stripe shows as given, or that is none of ours,
    whoever sends the event.
    """
    desk.account.refund("sub_1", 300)
    desk.account.refund("sub_9", 300)
    if failed:
        desk.account.fail("re_1")
        desk.account.fail("re_2")
    take(desk, event("refund.failed", {**REFUND, "id": refund}, 4))
    assert desk.read(inbox.find, "evt_4").state == "ignored"
    assert desk.read(outbox.of, served.signup_id) == ()


def test_nobody_without_the_secret(desk, served) -> None:
    """A site without the owner's secret can neither end nor continue anything."""
    for secret in (None, OwnerSecret("guess" * 8)):
        stranger = Owner(served.signup_id, secret)
        for question in (Leave(stranger), Stay(stranger)):
            assert desk.ask(question).code == "unknown-signup"
    assert desk.read(lifecycles.get, served.signup_id).wish == "stay"
