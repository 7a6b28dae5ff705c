"""Addresses that many forms would mangle."""

from __future__ import annotations

import html

from lae_localcloud.demo.once import ADDRESS, ADDRESS_IN_SMTP
from tests.end_to_end.checks import check_served
from tests.end_to_end.customer import Customer


def test_an_address_is_shown_as_typed_and_reached_as_smtp_wants_it(stack) -> None:
    """The local part arrives byte for byte and the domain as its A-label, at a server
    without SMTPUTF8; the page shows what was typed.
    """
    customer = Customer(stack, ADDRESS)
    customer.sign_up()
    check_served(stack, customer)
    (mail,) = stack.mailbox.about(customer.signup_id)
    assert mail["Delivered-To"] == ADDRESS_IN_SMTP
    assert mail["To"] == ADDRESS_IN_SMTP
    assert ADDRESS in html.unescape(customer.status())
    assert stack.operator.show(customer.signup_id).row.email == ADDRESS
