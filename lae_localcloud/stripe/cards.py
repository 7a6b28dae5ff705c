"""Stripe's published test cards, and what becomes of each."""

from __future__ import annotations

from typing import Literal

from attrs import define


@define(frozen=True)
class Declined:
    """The bank says no; *message* is what the page shows."""

    code: str
    decline_code: str | None
    message: str


@define(frozen=True)
class Approved:
    """The bank says yes, once *authenticates* has been done."""

    authenticates: bool = False


Outcome = Approved | Declined
Brand = Literal["visa", "mastercard"]

_GENERIC = Declined("card_declined", "generic_decline", "Your card was declined.")

CARDS: dict[str, tuple[str, Outcome]] = {
    "4242424242424242": ("pays", Approved()),
    "5555555555554444": ("pays (Mastercard)", Approved()),
    "4000002500003155": ("asks for authentication", Approved(authenticates=True)),
    "4000000000000002": ("is declined", _GENERIC),
    "4000000000009995": (
        "has insufficient funds",
        Declined(
            "card_declined",
            "insufficient_funds",
            "Your card has insufficient funds. Try a different card.",
        ),
    ),
    "4000000000000069": (
        "has expired",
        Declined("expired_card", None, "Your card has expired."),
    ),
    "4000000000000127": (
        "has a wrong security code",
        Declined("incorrect_cvc", None, "Your card's security code is incorrect."),
    ),
    # In Checkout the first charge comes at once, so that it is declined there.
    "4000000000000341": ("is declined when charged", _GENERIC),
}
#: After the authentication page was left by its "Fail" button.
NOT_AUTHENTICATED = Declined(
    "payment_intent_authentication_failure",
    None,
    "We are unable to authenticate your payment method. Please choose a different "
    "payment method and try again.",
)


@define(frozen=True)
class Card:
    """A card as typed, known to be one of the test cards."""

    number: str
    exp_month: int
    exp_year: int

    @property
    def last4(self) -> str:
        """What may be kept."""
        return self.number[-4:]

    @property
    def brand(self) -> Brand:
        """By the first digit."""
        return "mastercard" if self.number.startswith("5") else "visa"

    @property
    def outcome(self) -> Outcome:
        """What the bank says."""
        return CARDS[self.number][1]


@define(frozen=True)
class CardProblem(Exception):
    """The form cannot be sent to a bank; *field* is where, *message* why."""

    field: str
    message: str


def read_card(number: str, expiry: str, cvc: str, this_month: tuple[int, int]) -> Card:
    """Check a card as the page's form has it; *this_month* is (year, month).

    Raises :class:`CardProblem`.
    """
    digits = number.replace(" ", "").replace("-", "")
    if not digits.isascii() or not digits.isdigit() or not _luhn(digits):
        raise CardProblem("number", "Your card number is invalid.")
    if digits not in CARDS:
        raise CardProblem(
            "number", "Your card was declined: here, only test cards can be used."
        )
    month, slash, year = expiry.replace(" ", "").partition("/")
    if not (slash and month.isdecimal() and year.isdecimal() and len(year) in (2, 4)):
        raise CardProblem("expiry", "Your card's expiration date is incomplete.")
    full_year = int(year) if len(year) == 4 else 2000 + int(year)  # noqa: PLR2004
    if not 1 <= int(month) <= 12:  # noqa: PLR2004
        raise CardProblem("expiry", "Your card's expiration date is invalid.")
    if (full_year, int(month)) < this_month:
        raise CardProblem("expiry", "Your card's expiration year is in the past.")
    if not (cvc.isascii() and cvc.isdigit() and len(cvc) == 3):  # noqa: PLR2004
        raise CardProblem("cvc", "Your card's security code is incomplete.")
    return Card(number=digits, exp_month=int(month), exp_year=full_year)


def read_address(country: str, postal_code: str) -> dict[str, str | None]:
    """Check a billing address; raises :class:`CardProblem`."""
    if not (len(country) == 2 and country.isascii() and country.isalpha()):  # noqa: PLR2004
        raise CardProblem("country", "Your country is incomplete.")
    if not postal_code.strip():
        raise CardProblem("postal_code", "Your postal code is incomplete.")
    lines = dict.fromkeys(("city", "line1", "line2", "state"))
    return {**lines, "country": country.upper(), "postal_code": postal_code.strip()}


def _luhn(digits: str) -> bool:
    total = 0
    for i, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if i % 2 else 1)
        total += doubled - 9 if doubled > 9 else doubled  # noqa: PLR2004
    return len(digits) > 11 and total % 10 == 0  # noqa: PLR2004
