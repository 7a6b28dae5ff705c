"""May this registration be taken?  Pure."""

from __future__ import annotations

import re

from attrs import define

from lae_protocol.address import Address, AddressRefused, parse_address
from lae_protocol.messages import Plan, Refused, Register

_LANGUAGE = re.compile(r"^[a-z]{2}(-[A-Z]{2})?$")


@define(frozen=True)
class Accepted:
    """A registration that can be journaled."""

    address: Address
    plan: Plan
    language: str


def consider(register: Register, plans: tuple[Plan, ...]) -> Accepted | Refused:
    """Check what a form said against what is sold now."""
    try:
        address = parse_address(register.email)
    except AddressRefused as e:
        return Refused("bad-address", str(e), "email")
    sold = {plan.plan_id: plan for plan in plans}.get(register.plan.plan_id)
    if sold is None:
        return Refused("unknown-plan", "This plan is not sold any more.", "plan")
    if sold != register.plan:
        return Refused(
            "plan-changed",
            "The terms of this plan have changed since the page was made."
            " Please load the page again.",
            "plan",
        )
    language = register.language if _LANGUAGE.match(register.language) else "en"
    return Accepted(address, sold, language)
