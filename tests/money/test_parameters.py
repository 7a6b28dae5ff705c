"""What Stripe is asked for, from what the journal keeps."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from lae_flapp.money.stripe.checkout_session import checkout_parameters
from lae_flapp.settings import AT_ONCE, CheckoutOptions
from lae_localcloud.stripe.parameters import checked, parameters_of
from lae_protocol import wire
from tests.money.bench import request

OPTIONS = st.builds(
    CheckoutOptions,
    payment_methods=st.lists(st.sampled_from(AT_ONCE), min_size=1, unique=True).map(
        tuple
    ),
    automatic_tax=st.booleans(),
    tax_ids=st.booleans(),
    billing_address=st.booleans(),
)


def test_cards_alone() -> None:
    """Without a word in the settings a session takes cards, and asks for no address."""
    asked: Any = checkout_parameters(request(), "price_1")
    assert asked["allowed_payment_method_types"] == ["card"]
    assert not asked.keys() & {
        "automatic_tax",
        "tax_id_collection",
        "billing_address_collection",
    }


@given(OPTIONS)
def test_options(options: CheckoutOptions) -> None:
    """Each option is one parameter, and survives the journal."""
    asked = evolve(request(), options=options)
    assert wire.decode(type(asked), wire.encode(asked)) == asked
    found: Any = checkout_parameters(asked, "price_1")
    assert tuple(found["allowed_payment_method_types"]) == options.payment_methods
    assert ("automatic_tax" in found) == options.automatic_tax
    assert ("tax_id_collection" in found) == options.tax_ids
    assert ("billing_address_collection" in found) == options.billing_address


def test_known_to_stripe() -> None:
    """Stripe's library knows every way to pay that the settings may name."""
    types = {str(n): method for n, method in enumerate(AT_ONCE)}
    kind = parameters_of("checkout.SessionCreateParams")
    known = checked(kind, {"allowed_payment_method_types": types})
    assert known["allowed_payment_method_types"] == list(AT_ONCE)


@pytest.mark.parametrize("methods", [(), ("sepa_debit",), ("card", "us_bank_account")])
def test_delayed(methods: tuple[str, ...]) -> None:
    """A way to pay whose money comes days later, or not, is refused with the reason."""
    with pytest.raises(ValueError, match="which pay at once"):
        CheckoutOptions(payment_methods=methods)
