"""What is sold, and where, and how much room there is for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define

from lae_flapp.journal import capacity
from lae_flapp.journal.cells import Cell
from lae_flapp.settings import CheckoutOptions
from lae_protocol.messages import Plan


@define(frozen=True)
class Selling:
    """What is sold, where it is built, and how much room there is."""

    plans: tuple[Plan, ...]
    cell: Cell
    quotas: Mapping[capacity.Quota, int]
    site_url: str
    #: How far the true time is ahead of the journal's (seconds): Stripe has its own.
    ahead: Callable[[], float] = lambda: 0.0
    #: Which share of what is free may be held by people who have not paid.
    unpaid_share: float = 1.0
    options: CheckoutOptions = CheckoutOptions()  # noqa: RUF009  (frozen)
