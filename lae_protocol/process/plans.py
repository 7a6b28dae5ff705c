"""What is sold: one file, read alike by the site that shows it and the daemon that
agrees to it, so that neither can differ from the other by a typing mistake.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from attrs import define

from lae_protocol.messages import DAY, Plan
from lae_protocol.process.settings import load

_PLAN_ID = re.compile(r"[a-z0-9][a-z0-9\-]{1,38}[a-z0-9]\Z")
_CURRENCY = re.compile(r"[a-z]{3}\Z")


@define(frozen=True)
class SoldPlan:
    """One entry of the file.  *price* is in the currency's smallest unit, *quota* and
    *traffic* (a month) are bytes; *plan_id* is the lookup key of its price at Stripe.
    The periods (see :class:`~lae_protocol.messages.Plan`) are seconds.  Without
    *sold_below_cost* a plan must earn what it costs at full quota and full traffic.
    """

    plan_id: str
    name: str
    price: int
    currency: str
    interval: Literal["month", "year"]
    quota: int
    traffic: int
    grace: int = 14 * DAY
    read_only: int = 7 * DAY
    stopped: int = 14 * DAY
    data_kept: int = 30 * DAY
    sold_below_cost: bool = False

    def __attrs_post_init__(self) -> None:
        if not _PLAN_ID.match(self.plan_id):
            raise ValueError(
                "plan_id: 3 to 40 small letters, digits and hyphens are expected"
            )
        if not _CURRENCY.match(self.currency):
            raise ValueError("currency: three small letters are expected, like eur")
        if min(self.price, self.quota, self.traffic) < 0 or not self.quota:
            raise ValueError("price, quota and traffic cannot be negative")
        if min(self.grace, self.read_only, self.stopped) < 0 or self.data_kept < 1:
            raise ValueError("grace, read_only, stopped and data_kept are seconds")


@define(frozen=True)
class PlansFile:
    """The whole file; the terms are the same for every plan."""

    terms_version: str
    plans: tuple[SoldPlan, ...]

    def __attrs_post_init__(self) -> None:
        ids = [p.plan_id for p in self.plans]
        if not ids:
            raise ValueError("plans: at least one is expected")
        if len(ids) != len(set(ids)):
            raise ValueError("plans: a plan_id stands twice")


def read_plans_file(path: Path) -> PlansFile:
    """Read the file with what customers need not know; raises
    :class:`~lae_protocol.process.settings.SettingsError`.
    """
    return load(path, PlansFile)


def load_plans(path: Path) -> tuple[Plan, ...]:
    """Read the plans, in the order in which they are shown; raises
    :class:`~lae_protocol.process.settings.SettingsError`.
    """
    file = read_plans_file(path)
    return tuple(
        Plan(
            plan_id=p.plan_id,
            name=p.name,
            price=p.price,
            currency=p.currency,
            interval=p.interval,
            quota=p.quota,
            traffic=p.traffic,
            terms_version=file.terms_version,
            grace=p.grace,
            read_only=p.read_only,
            stopped=p.stopped,
            data_kept=p.data_kept,
        )
        for p in file.plans
    )
