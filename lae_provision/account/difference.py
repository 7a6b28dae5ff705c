"""What differs between the account and what a deployment needs.  Pure."""

from __future__ import annotations

from attrs import define


@define(frozen=True)
class Difference:
    """One difference, in the words that an operator reads.

    *step* names what ``apply`` does about it, None where only a person can; *remedy*
    says then what that person does.  *more* are lines that show it closely.
    """

    thing: str
    name: str
    found: str
    wanted: str
    step: str | None = None
    remedy: str = ""
    more: tuple[str, ...] = ()


def missing(thing: str, name: str, wanted: str) -> Difference:
    """It is not there; ``apply`` makes it."""
    return Difference(thing, name, "missing", wanted, "create")


def tags_of(deployment: str, purpose: str) -> dict[str, str]:
    """What everything made here carries, where AWS takes tags."""
    return {"s4:deployment": deployment, "s4:purpose": purpose}
