"""Whether the plans earn what they cost: for ``lae config check``."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from attrs import define

from lae_flapp.costs.arithmetic import PlanAtFull, at_full
from lae_flapp.costs.price_list import PricedCell, PriceList
from lae_flapp.settings import DaemonSettings
from lae_protocol.process.plans import read_plans_file
from lae_protocol.process.settings import SettingsError

_CENT = Decimal("0.01")
_UNKNOWN = (
    "unknown: whether the plans earn what they cost; prices_file names a price list"
    " (lae config example prices)"
)


@define(frozen=True)
class JudgedPlans:
    """All plans, and the prices that they were judged by."""

    cell: PricedCell
    prices: PriceList
    plans: tuple[PlanAtFull, ...]
    old: str | None

    @property
    def refused(self) -> tuple[str, ...]:
        """A sentence for each that is sold below its cost and does not say so."""
        return tuple(_refusal(one) for one in self.plans if one.refused)


def priced_cell(settings: DaemonSettings) -> PricedCell | None:
    """The cell's hosts with their prices; None without ``prices_file``."""
    if settings.prices_file is None:
        return None
    (cell,) = settings.cells
    return PricedCell(
        settings.prices_file,
        settings.aws.region,
        cell.instance_type,
        cell.volume_gib,
    )


def judged(settings: DaemonSettings, today: date) -> JudgedPlans | None:
    """Judge the plans; None without ``prices_file``.  Raises
    :class:`~lae_protocol.process.settings.SettingsError`.
    """
    cell = priced_cell(settings)
    if cell is None:
        return None
    prices = cell.read(today)
    plans = read_plans_file(settings.plans_file).plans
    found = tuple(at_full(p, cell.asked(prices, p.currency)) for p in plans)
    return JudgedPlans(cell, prices, found, prices.what_is_old(today))


def judge_plans(settings: DaemonSettings, today: date | None = None) -> tuple[str, ...]:
    """What to say of the plans and the price list; raises
    :class:`~lae_protocol.process.settings.SettingsError` where a plan loses money.
    """
    found = judged(settings, today or datetime.now(UTC).date())
    if found is None:
        return (_UNKNOWN,)
    if found.refused:
        raise SettingsError(f"{settings.plans_file}: {'; '.join(found.refused)}")
    return () if found.old is None else (found.old,)


def _refusal(one: PlanAtFull) -> str:
    currency, total = one.plan.currency.upper(), one.costs.total.quantize(_CENT)
    return (
        f"{one.plan.plan_id} is sold below its cost: a month is paid {currency}"
        f" {one.paid.quantize(_CENT)}, and costs {total} at full quota and traffic"
        " (lae plans check); raise its price, or say sold_below_cost: true"
    )
