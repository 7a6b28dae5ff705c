"""What a month of one grid costs: pure, in decimal numbers, without a clock.

Where a price has steps (egress and storage get cheaper with much, some is free) the
list has the dearest, so a cost is never told too low.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from attrs import astuple, define

from lae_flapp.costs.price_list import Asked, PriceList
from lae_protocol.cost_messages import NOTHING, MonthCosts
from lae_protocol.plan_words import units_of
from lae_protocol.process.plans import SoldPlan

#: How AWS counts what is stored, and (we take the dearer reading) what is sent.
GIB = Decimal(2**30)  # bytes
GB = Decimal(10**9)  # bytes
#: As AWS' own calculator has it.
HOURS = Decimal(730)  # of a month
THOUSAND = Decimal(1000)
HUNDRED = Decimal(100)
MILLIONTH = Decimal("0.000001")
MONTHS = {"month": 1, "year": 12}
#: Operations of a bucket that cost as a read does, and that cost nothing; all others,
#: also those of which we do not know, cost as a write does.
READS = frozenset({"get", "head"})
FREE = frozenset({"delete", "abort-upload"})


@define(frozen=True)
class Use:
    """What one grid used in a month, and what was paid for it.

    *host_hours* is for how long it had a host, *host_month* the same as a part of the
    month; *stored* and *older* are bytes, as an average of the month; *sent* is bytes.
    *paid* is in the units of the currency agreed, in *payments*, of which a month has
    a twelfth where a year is paid at once.
    """

    host_hours: Decimal = NOTHING
    host_month: Decimal = NOTHING
    stored: Decimal = NOTHING
    older: Decimal = NOTHING
    writes: int = 0
    reads: int = 0
    sent: int = 0
    paid: Decimal = NOTHING
    payments: Decimal = NOTHING


def costs_of(use: Use, asked: Asked) -> MonthCosts:
    """What it costs, part by part, in the currency that is paid in; each part to a
    millionth, so that sums are exact.
    """
    prices, paid_in = asked.prices, asked.currency
    buys, sharing = paid_in.buys, prices.customers_per_instance
    requests = use.writes * prices.writes_thousand + use.reads * prices.reads_thousand
    share = paid_in.stripe_percent / HUNDRED
    volume = use.host_month * asked.volume_gib * prices.volume_gib_month
    exact = MonthCosts(
        tax=use.paid * prices.tax_percent / (HUNDRED + prices.tax_percent),
        stripe=use.paid * share + use.payments * paid_in.stripe_fixed,
        instance=use.host_hours * asked.instance_hour / sharing / buys,
        volume=volume / sharing / buys,
        address=use.host_hours * prices.address_hour / sharing / buys,
        stored=use.stored / GIB * prices.stored_gib_month / buys,
        older=use.older / GIB * prices.stored_gib_month / buys,
        requests=requests / THOUSAND / buys,
        egress=use.sent / GB * prices.egress_gb / buys,
    )
    return MonthCosts(*(part.quantize(MILLIONTH) for part in astuple(exact)))


def full_use(plan: SoldPlan, prices: PriceList) -> Use:
    """A month of who uses all that the plan gives."""
    full, months = prices.full_use, MONTHS[plan.interval]
    written = plan.quota * full.written_percent / HUNDRED
    return Use(
        host_hours=HOURS,
        host_month=Decimal(1),
        stored=Decimal(plan.quota),
        older=plan.quota * full.older_percent / HUNDRED,
        writes=_objects(written, full.object_bytes),
        reads=_objects(Decimal(plan.traffic), full.object_bytes),
        sent=plan.traffic,
        paid=units_of(plan.price, plan.currency) / months,
        payments=Decimal(1) / months if plan.price else NOTHING,
    )


def _objects(size: Decimal, each: int) -> int:
    """So many operations move it; the last may move less."""
    return int((size / each).to_integral_value(ROUND_CEILING))


@define(frozen=True)
class PlanAtFull:
    """A plan, and a month of it at full quota and full traffic."""

    plan: SoldPlan
    paid: Decimal
    costs: MonthCosts

    @property
    def left(self) -> Decimal:
        """What it earns; negative where it is sold below its cost."""
        return self.paid - self.costs.total

    @property
    def refused(self) -> bool:
        """Whether it loses money and does not say that it may."""
        return self.left < 0 and not self.plan.sold_below_cost


def at_full(plan: SoldPlan, asked: Asked) -> PlanAtFull:
    """What the plan costs and earns."""
    use = full_use(plan, asked.prices)
    return PlanAtFull(plan, use.paid, costs_of(use, asked))
