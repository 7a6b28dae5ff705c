"""What a month costs: sums, and more for more."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import pytest
from attrs import astuple, evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from lae_flapp.costs.arithmetic import (
    FREE,
    READS,
    Use,
    at_full,
    costs_of,
    full_use,
)
from lae_flapp.costs.price_list import Asked, PriceList
from lae_protocol.cost_messages import MonthCosts

sys.path.insert(0, str(Path(__file__).parent))
try:
    from lists import ASKED, EUR, PLAN, PRICES
finally:
    sys.path.pop(0)

#: What a price list may say, and what a month may hold; to a millionth.
AMOUNTS = st.decimals(0, 10**4, places=6)
USES = st.builds(
    Use,
    host_hours=st.decimals(0, 744, places=6),
    host_month=st.decimals(0, 1, places=6),
    stored=st.decimals(0, 2**50, places=3),
    older=st.decimals(0, 2**50, places=3),
    writes=st.integers(0, 2**40),
    reads=st.integers(0, 2**40),
    sent=st.integers(0, 2**50),
    paid=AMOUNTS,
    payments=st.decimals(0, 5, places=6),
)
PLANS = st.builds(
    lambda **v: evolve(PLAN, **v),
    quota=st.integers(1, 2**50),
    traffic=st.integers(0, 2**50),
    price=st.integers(0, 10**7),
    interval=st.sampled_from(["month", "year"]),
)


def priced(number: Decimal) -> PriceList:
    """A list in which everything costs this much."""
    names = ("volume_gib_month", "address_hour", "stored_gib_month", "egress_gb")
    more = ("writes_thousand", "reads_thousand")
    return evolve(PRICES, **dict.fromkeys((*names, *more), number))


ASKINGS = st.builds(
    lambda number, hour, gib: Asked(priced(number), EUR, hour, gib),
    *(AMOUNTS, AMOUNTS, st.integers(1, 1000)),
)


def test_each_part_by_hand() -> None:
    """A month of one grid costs what a person finds with a pencil."""
    use = Use(
        host_hours=Decimal(730),
        host_month=Decimal(1),
        stored=Decimal(2**30 * 100),
        older=Decimal(2**30 * 50),
        writes=3_000,
        reads=20_000,
        sent=30 * 10**9,
        paid=Decimal(100),
        payments=Decimal(1),
    )
    # A euro buys two dollars.
    assert costs_of(use, ASKED) == MonthCosts(
        tax=Decimal(20),  # 25 % on 80
        stripe=Decimal("10.5"),  # 10 % of 100, and 0.50
        instance=Decimal("7.3"),  # 730 h x 0.02
        volume=Decimal("0.5"),  # 10 GiB x 0.10
        address=Decimal("3.65"),  # 730 h x 0.01
        stored=Decimal(1),  # 100 GiB x 0.02
        older=Decimal("0.5"),
        requests=Decimal("2.5"),  # 3 x 1 and 20 x 0.1
        egress=Decimal("1.5"),  # 30 GB x 0.1
    )


def test_a_share_of_a_node() -> None:
    """Customers who share an instance share its price, its volume's and its address';
    what is theirs alone they pay alone.
    """
    use = full_use(PLAN, PRICES)
    whole = costs_of(use, ASKED)
    shared = evolve(ASKED, prices=evolve(PRICES, customers_per_instance=4))
    assert costs_of(use, shared) == evolve(
        whole,
        instance=whole.instance / 4,
        volume=whole.volume / 4,
        address=whole.address / 4,
    )


def test_full_use_of_a_plan() -> None:
    """Full is all of the quota and of the traffic, written and read object by object,
    with older versions beside it; a year's price is paid a twelfth a month.
    """
    plan = evolve(PLAN, quota=2_500_000, traffic=1_000_001, price=12_000)
    assert full_use(plan, PRICES) == Use(
        host_hours=Decimal(730),
        host_month=Decimal(1),
        stored=Decimal(2_500_000),
        older=Decimal(1_250_000),
        writes=3,
        reads=2,
        sent=1_000_001,
        paid=Decimal(120),
        payments=Decimal(1),
    )
    yearly = full_use(evolve(plan, interval="year"), PRICES)
    assert (yearly.paid, yearly.payments) == (Decimal(10), Decimal(1) / 12)
    assert full_use(evolve(plan, price=0), PRICES).payments == 0
    # A yen has no hundredths.
    assert full_use(evolve(plan, currency="jpy"), PRICES).paid == 12_000


@given(USES, ASKINGS)
def test_a_cost_is_the_sum_of_its_parts(use: Use, asked: Asked) -> None:
    """The total is all parts and nothing else, none is negative, and what makes no use
    costs nothing.
    """
    costs = costs_of(use, asked)
    assert costs.total == sum(astuple(costs))
    assert min(astuple(costs)) >= 0
    assert costs_of(Use(), asked).total == 0
    both = costs.plus(costs)
    assert [both.stored, both.tax] == [costs.stored * 2, costs.tax * 2]
    assert both.total == costs.total * 2


@pytest.mark.parametrize("name", [field.name for field in fields(Use)])
@given(use=USES, asked=ASKINGS, more=st.integers(1, 2**40))
def test_more_use_costs_no_less(use: Use, asked: Asked, name: str, more: int) -> None:
    """Whatever a grid uses more of, no part gets cheaper."""
    less, then = costs_of(use, asked), evolve(use, **{name: getattr(use, name) + more})
    pairs = zip(astuple(less), astuple(costs_of(then, asked)), strict=True)
    assert all(one <= another for one, another in pairs)


@given(PLANS, ASKINGS, st.integers(0, 2**50), st.integers(0, 2**50))
def test_a_plan_that_gives_more_leaves_no_more(plan, asked, quota, traffic) -> None:
    """With more quota or more traffic at the same price a plan costs no less, part by
    part, and earns no more.
    """
    larger = evolve(plan, quota=plan.quota + quota, traffic=plan.traffic + traffic)
    one, another = at_full(plan, asked), at_full(larger, asked)
    pairs = zip(astuple(one.costs), astuple(another.costs), strict=True)
    assert all(a <= b for a, b in pairs)
    assert another.left <= one.left
    assert one.left == one.paid - one.costs.total
    assert one.refused == (one.left < 0)
    assert not at_full(evolve(plan, sold_below_cost=True), asked).refused


def test_operations_that_cost() -> None:
    """Reads are cheap and deletions free: as S3's price list has it."""
    assert {"get", "head"} == READS
    assert {"delete", "abort-upload"} == FREE
