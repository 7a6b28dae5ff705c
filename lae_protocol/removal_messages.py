"""What operators remove after a flood: settled hints, and registrations nobody paid.

See :mod:`lae_protocol.messages` for what holds of all messages.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import define

from lae_protocol.question import KB, Question

#: Hints that can go: worked off; none of ours; of a signup that the journal does not
#: know, and still looked into.
HintWord = Literal["done", "ignored", "unknown"]


@define(frozen=True)
class Removed:
    """So many are gone now, and so many are *left* of those that were meant."""

    removed: int
    left: int


@define(frozen=True)
class RemoveHints(Question[Removed]):
    """Remove a batch of the inbox's hints that came so many seconds ago, or longer;
    or, where it is *only_count*, tell how many they are.
    """

    state: HintWord
    older_than: int
    only_count: bool = False


@define(frozen=True)
class RemoveUnpaid(Question[Removed]):
    """Remove a batch of the registrations that nobody paid, which came so many seconds
    ago, or longer; or, where it is *only_count*, tell how many they are.

    A payment page that is still open is ended at Stripe first.
    """

    LARGEST: ClassVar[int] = 8 * KB

    older_than: int
    why: str
    only_count: bool = False
