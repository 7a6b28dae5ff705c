"""What must be true in the end, looked at from outside."""

from __future__ import annotations

from email.message import EmailMessage

from tests.end_to_end.customer import Customer
from tests.end_to_end.process import until
from tests.end_to_end.stack import Stack


def check_served(stack: Stack, customer: Customer, copies: int = 1) -> None:
    """Active; one live host, one subscription, one charge, one mail; one furl.

    *copies* is how often that one mail arrived.
    """
    signup_id = customer.signup_id
    stack.operator.wait_for(signup_id, "mail-accepted")
    detail = stack.operator.show(signup_id)
    assert detail.row.state == "active"
    kinds = [event.kind for event in detail.events]
    for kind in ("paid", "identity-sealed", "ready", "mail-accepted"):
        assert kinds.count(kind) == 1, kinds
    (instance,) = stack.cloud.instances(signup_id)
    assert instance["InstanceId"] == detail.row.instance_id
    assert stack.cloud.booted()[instance["InstanceId"]]["state"] == "running"
    check_paid_once(stack, signup_id)
    check_mailed_once(stack, customer, copies)
    left = [effect.step for effect in detail.effects if effect.state == "begun"]
    # The customer's name at Stripe is written some seconds later.
    assert set(left) <= {"customer"}


def check_paid_once(stack: Stack, signup_id: str) -> None:
    """One live subscription, and one charge kept, of one month's price."""
    live = [
        s for s in stack.stripe.subscriptions(signup_id) if s["status"] != "canceled"
    ]
    assert len(live) == 1, live
    price = live[0]["items"]["data"][0]["price"]["unit_amount"]
    assert stack.stripe.kept_charges(signup_id) == [price]


def check_mailed_once(stack: Stack, customer: Customer, copies: int = 1) -> None:
    """One Message-ID brings this signup's furl, which is the page's."""
    furl = customer.furl_on_page()
    mails = [
        m for m in to_the_customer(stack, customer.signup_id) if "pb://" in text_of(m)
    ]
    assert len({mail["Message-ID"] for mail in mails}) == 1, mails
    assert len(mails) == copies
    for mail in mails:
        assert furl in text_of(mail).split()


def check_refunded(stack: Stack, customer: Customer) -> None:
    """The money went back, one mail says so, and nothing is left in the cloud."""
    signup_id = customer.signup_id
    stack.operator.wait_for(signup_id, "refunded")
    detail = stack.operator.show(signup_id)
    assert detail.row.state == "refunded"
    assert [e.kind for e in detail.events].count("refunded") == 1
    left = [effect.step for effect in detail.effects if effect.state == "begun"]
    assert set(left) <= {"customer"}
    assert stack.stripe.kept_charges(signup_id) == []
    assert {s["status"] for s in stack.stripe.subscriptions(signup_id)} == {"canceled"}
    assert stack.cloud.instances(signup_id) == []
    assert stack.cloud.named_after(detail.row.grid_label) == set()
    mails = until(lambda: to_the_customer(stack, signup_id), "the mail of the refund")
    assert len({mail["Message-ID"] for mail in mails}) == 1, mails
    assert "you are being refunded" in mails[0]["Subject"]


def to_the_customer(stack: Stack, signup_id: str) -> list[EmailMessage]:
    """The mails of a signup but for those to operators."""
    operator = "operator@localhost.localdomain"
    mails = stack.mailbox.about(signup_id)
    return [mail for mail in mails if mail["Delivered-To"] != operator]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())
