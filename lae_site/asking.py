"""What the signup form asks before it goes on: it may be meant so, and may be a slip.

Each question has a box to tick, which answers that one question: its value names what
was asked about, so that another slip, or another order, is asked about again.
"""

from __future__ import annotations

from typing import Any

from attrs import define

from lae_protocol.address import Address, AddressRefused, parse_address
from lae_protocol.ids import SignupId
from lae_protocol.messages import Owner, Refused, SignupView
from lae_protocol.plan_words import price_in_words
from lae_site.front_desk import DeskAway
from lae_site.mistyped import guess_domain
from lae_site.parts import Parts
from lae_site.watched_signup import fetch_view

#: A browser that has more signups than this is asked about the latest.
MOST_LOOKED_AT = 5  # signups
#: An order in one of these states is there already; what is said of it.
_THERE = {
    "paying": "It waits for your payment.",
    "ended": "It has ended, and its files are kept: there you can subscribe again.",
} | dict.fromkeys(("paid", "active", "past-due", "suspended", "stopped"), "It is paid.")


@define(frozen=True)
class Question:
    """A box of the form: its *name* and *value*, and the words before and beside it;
    *page* is where the visitor finds more.
    """

    name: str
    value: str
    words: str
    label: str
    page: str | None = None


def ask_about_domain(address: Address, fields: dict[str, str]) -> Question | None:
    """Ask about a domain that is probably a slip, unless the visitor is sure of it."""
    domain = address.domain_a_label
    meant = guess_domain(domain)
    if meant is None or fields.get("sure-address") == domain:
        return None
    return Question(
        "sure-address",
        domain,
        f"Did you mean {address.local}@{meant}? Then please correct it.",
        f"No, {address.as_typed} is right.",
    )


async def ask_about_another(
    parts: Parts, request: Any, address: Address, fields: dict[str, str], this: SignupId
) -> Question | None:
    """Ask about an order of this browser with the same address, unless the visitor
    wants another one.

    Only this browser's own signups are looked at: nobody else's may be known of.
    """
    latest = parts.cookies.owned(request)[-MOST_LOOKED_AT:]
    for signup_id, secret in reversed(latest):
        if signup_id == this:
            continue
        try:
            seen = await fetch_view(parts, Owner(signup_id, secret), 0, 0)
        except DeskAway:
            return None
        if isinstance(seen, Refused) or not _is_same(seen, address):
            continue
        # Who answered for the latest order has answered for all.
        if fields.get("sure-another") == signup_id:
            return None
        plan = f"{seen.plan.name}, {price_in_words(seen.plan)}"
        return Question(
            "sure-another",
            signup_id,
            "In this browser you have an order with this email address already"
            f" ({plan}). {_THERE[seen.state]}",
            "I want another subscription, which is charged as well.",
            f"/signup/{signup_id}",
        )
    return None


def _is_same(seen: SignupView, address: Address) -> bool:
    if seen.owner is None or seen.state not in _THERE:
        return False
    try:
        known = parse_address(seen.owner.email)
    except AddressRefused:
        return False
    return known.for_smtp.casefold() == address.for_smtp.casefold()
