"""A difference between the account and what a deployment needs.  Pure."""

from __future__ import annotations

from attrs import define


@define(frozen=True)
class Difference:
    """One difference, in the words that an operator reads.

    *step* names what ``apply`` does about the difference; None if only a person can do
    it, who finds in *remedy* what to do.  *more* are lines with details.
    """

    thing: str
    name: str
    found: str
    wanted: str
    step: str | None = None
    remedy: str = ""
    more: tuple[str, ...] = ()


def missing(thing: str, name: str, wanted: str) -> Difference:
    """Make the difference of a thing that is missing and that ``apply`` makes."""
    return Difference(thing, name, "missing", wanted, "create")


def tags_of(deployment: str, purpose: str) -> dict[str, str]:
    """Return the tags of everything that ``apply`` makes, where AWS takes tags."""
    return {"s4:deployment": deployment, "s4:purpose": purpose}
