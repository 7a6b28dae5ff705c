"""The price list: what ships is good, and what is bad is refused with its line."""

from __future__ import annotations

import re
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from attrs import evolve

from lae_flapp.costs.judging import judge_plans, judged
from lae_protocol.process.plans import read_plans_file
from lae_protocol.process.settings import SettingsError

sys.path.insert(0, str(Path(__file__).parent))
try:
    from lists import TODAY, Settings
finally:
    sys.path.pop(0)


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    """The examples, to be changed."""
    return Settings(tmp_path)


def test_the_example_plans_earn_money(given: Settings) -> None:
    """Every plan that ships earns something at full quota and full traffic, with the
    tax paid; nothing is said of plans or prices.
    """
    found = judged(given.settings, TODAY)
    assert found is not None
    assert len(found.plans) > 1
    assert all(one.left > 0 for one in found.plans)
    assert judge_plans(given.settings, TODAY) == ()


def test_a_plan_below_its_cost_is_refused(given: Settings) -> None:
    """A plan that costs more than is paid for it fails, by its name and both amounts."""
    given.change("plans", "price: 3_900", "price: 500")
    with pytest.raises(SettingsError, match=r"s4-small-monthly is sold below") as e:
        judge_plans(given.settings, TODAY)
    assert "is paid EUR 5.00, and costs 28." in str(e.value)
    assert "sold_below_cost: true" in str(e.value)


def test_a_plan_may_say_that_it_loses_money(given: Settings) -> None:
    """Who sells below cost on purpose says so with the plan, and is let."""
    given.change("plans", "price: 3_900", "price: 500\n    sold_below_cost: true")
    assert judge_plans(given.settings, TODAY) == ()


@pytest.mark.parametrize("name", ["quota", "traffic"])
def test_a_plan_that_gives_too_much_is_refused(given: Settings, name: str) -> None:
    """As much storage, or traffic, as nobody can sell for the price is refused."""
    given.change("plans", f"{name}: 100_000_000_000", f"{name}: 900_000_000_000")
    with pytest.raises(SettingsError, match="s4-small-monthly is sold below"):
        judge_plans(given.settings, TODAY)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("region: eu-west-1", "region: us-east-1", "prices are of us-east-1, and the"),
        ("as_of: 2026-11-01", "as_of: 2026-12-01", "as_of: 2026-12-01 has not come"),
        ("as_of: 2026-11-01", "as_of: last week", ":7: as_of: a day such as"),
        ("as_of: 2026-11-01", "as_of: 2026-11-31", "as_of: a day such as"),
        ("as_of: 2026-11-01", "as_of: 2026-11-01T00:00:00Z", "as_of: a day such as"),
        ("t3a.small, hour", "t3a.large, hour", "t3a.small, which the cell's hosts are"),
        ("t3a.small, hour", "t3a.micro, hour", "instances: one stands twice"),
        ("hour: 0.0204", "hour: cheap", "hour: a number is expected"),
        ("hour: 0.0204", "hour: .inf", "hour: a number is expected"),
        ("hour: 0.0204", "hour: .nan", "hour: a number is expected"),
        ("hour: 0.0204", "hour: -0.0204", "hour: a price cannot be negative"),
        ("hour: 0.0204", "hour: 1.0e+30", "hour: more than any of these costs"),
        ("egress_gb: 0.09", "egress_gb: '0.09'", "egress_gb: a number is expected"),
        ("egress_gb: 0.09", "egress: 0.09", "did you mean 'egress_gb'"),
        ("egress_gb: 0.09", "", "lacks the key 'egress_gb'"),
        ("currency: eur", "currency: chf", "sold_in: eur, which a plan is sold in, is"),
        ("currency: eur", "currency: EUR", "three small letters"),
        ("buys: 1\n", "buys: 2\n", "one usd buys 1 usd"),
        ("buys: 1.15", "buys: 0", "buys: more than nothing"),
        (
            "stripe_percent: 2.2",
            "stripe_percent: 100",
            "stripe_percent: a percentage below",
        ),
        ("https://aws.amazon.com/ec2", "http://aws.amazon.com/ec2", "sources: at"),
        ("customers_per_instance: 1", "customers_per_instance: 0", "must be >= 1"),
        ("object_bytes: 1_000_000", "object_bytes: 0", "must be >= 1"),
        ("warn_after_days: 180", "warn_after_days: 0", "must be >= 1"),
    ],
)
def test_a_bad_list_is_refused(given: Settings, old, new, said) -> None:
    """What cannot be a price list, or is of somewhere else, is named with its file."""
    given.change("prices", old, new)
    with pytest.raises(SettingsError, match=re.escape(said)) as e:
        judge_plans(given.settings, TODAY)
    assert "prices.yaml" in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "name",
    [
        *("stripe_fixed", "stripe_percent", "hour", "tax_percent", "volume_gib_month"),
        *("address_hour", "stored_gib_month", "writes_thousand", "reads_thousand"),
        *("egress_gb", "deployment_month", "written_percent", "older_percent"),
    ],
)
def test_each_price_is_a_price(given: Settings, name: str) -> None:
    """Nothing costs less than nothing, or more than a million; for nothing it may be."""
    path = given.folder / "prices.yaml"
    text = path.read_text("utf-8")
    for amount, good in (("-0.01", False), ("1000000.01", False), ("0", True)):
        path.write_text(re.sub(rf"\b{name}: [0-9.]+", f"{name}: {amount}", text))
        if good:
            judge_plans(given.settings, TODAY)
            continue
        with pytest.raises(SettingsError, match=f"{name}: "):
            judge_plans(given.settings, TODAY)


def test_the_dearest_price(given: Settings) -> None:
    """A million is a price; a percentage of a hundred is none."""
    given.change("prices", "deployment_month: 40", "deployment_month: 1_000_000")
    judge_plans(given.settings, TODAY)


@pytest.mark.parametrize("name", ["instances", "sold_in"])
def test_an_empty_part(given: Settings, name: str) -> None:
    """A list without an instance, or a currency, is named as what it lacks."""
    path = given.folder / "prices.yaml"
    whole = yaml.safe_load(path.read_text("utf-8"))
    path.write_text(yaml.safe_dump(whole | {name: []}), "utf-8")
    with pytest.raises(SettingsError, match=f"{name}: at least one is expected"):
        judge_plans(given.settings, TODAY)


def test_what_may_be_left_out(given: Settings) -> None:
    """Without a word of it each customer has an instance, and the deployment itself
    costs nothing; a list may be of today, and in any currency that has three letters.
    """
    path = given.folder / "prices.yaml"
    whole = yaml.safe_load(path.read_text("utf-8"))
    del whole["customers_per_instance"], whole["deployment_month"]
    path.write_text(yaml.safe_dump(whole | {"as_of": TODAY}), "utf-8")
    found = judged(given.settings, TODAY)
    assert found is not None
    assert found.prices.customers_per_instance == 1
    assert found.prices.deployment_month == 0
    given.change("prices", "\ncurrency: usd", "\ncurrency: USD")
    with pytest.raises(SettingsError, match="currency: three small letters"):
        judge_plans(given.settings, TODAY)


def test_a_list_that_is_missing(given: Settings) -> None:
    """A list that is not there is named; where none is named, that is said."""
    (given.folder / "prices.yaml").unlink()
    with pytest.raises(SettingsError, match=r"prices\.yaml: No such file"):
        judge_plans(given.settings, TODAY)
    (said,) = judge_plans(evolve(given.settings, prices_file=None), TODAY)
    assert said.startswith("unknown: whether the plans earn")


def test_an_old_list_is_said(given: Settings) -> None:
    """A list warns from the day after its last on, and still judges."""
    last = date(2026, 11, 1) + timedelta(days=180)
    assert judge_plans(given.settings, last) == ()
    (said,) = judge_plans(given.settings, last + timedelta(days=1))
    assert "of 2026-11-01, 181 days ago" in said


def test_a_price_is_what_is_written(given: Settings) -> None:
    """Prices are decimal numbers: no float rounds them on their way."""
    given.change("prices", "hour: 0.0204", "hour: 0.1000000000000000055511151231257")
    found = judged(given.settings, TODAY)
    assert found is not None
    (hour,) = (i.hour for i in found.prices.instances if i.type == "t3a.small")
    assert str(hour) == "0.1000000000000000055511151231257"


def test_customers_agree_to_nothing_about_costs(given: Settings) -> None:
    """That a plan may lose money stands in the file alone, not in what is agreed."""
    given.change("plans", "price: 3_900", "price: 3_900\n    sold_below_cost: true")
    (small, _) = read_plans_file(given.settings.plans_file).plans
    assert small.sold_below_cost
    text = yaml.safe_dump(yaml.safe_load((given.folder / "plans.yaml").read_text()))
    assert text.count("sold_below_cost") == 1
