"""``lae plans check`` and ``lae config check``: what operators see of plans."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from lae_protocol.process import config_command
from lae_protocol.process.resources import config_folder
from tests.laptop.conftest import Place, place  # noqa: F401  (a fixture)


@pytest.fixture
def shop(place: Place, monkeypatch) -> Place:  # noqa: F811
    """The examples, with secrets that nobody looks for."""
    for name in ("plans.yaml", "prices.yaml"):
        text = (config_folder() / name).read_text("utf-8")
        (place.folder / name).write_text(text, "utf-8")
    monkeypatch.setattr("lae_flapp.service.read_all", lambda _: None)
    monkeypatch.setattr(config_command, "_read_secrets", lambda _: [])
    return place


def change(shop: Place, name: str, old: str, new: str) -> None:
    path = shop.folder / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_plans_that_earn(shop: Place) -> None:
    """A column for each plan: what is paid, each part of its cost, their sum and what
    is left of it.
    """
    told = shop.lae("plans", "check")
    assert told.exit_code == 0, told.output
    assert "Prices of AWS in eu-west-1 and of Stripe, as of 2026-11-01" in told.stdout
    assert "A t3a.small with 10 GiB, for a month of 730 hours" in told.stdout
    assert "s4-small-monthly" in told.stdout
    lines = [line.split() for line in told.stdout.splitlines()]
    assert ["paid", "39.00", "169.00"] in lines
    assert ["instance", "12.95", "12.95"] in lines
    assert ["all", "costs", "35.82", "157.77"] in lines
    assert ["left", "3.18", "(8", "%)", "11.23", "(7", "%)"] in lines
    assert ["currency", "EUR", "EUR"] in lines


def test_a_plan_that_loses(shop: Place) -> None:
    """A plan that is sold below its cost ends both checks with an error that names the
    plan, what is paid, what it costs, and what can be done.
    """
    change(shop, "plans.yaml", "price: 3_900", "price: 500")
    told = shop.lae("plans", "check")
    assert told.exit_code == 4
    assert ["left", "-23.71", "(-474", "%)", "11.23", "(7", "%)"] in [
        line.split() for line in told.stdout.splitlines()
    ]
    said = (
        "s4-small-monthly is sold below its cost: a month is paid EUR 5.00, and costs"
    )
    assert said in told.stdout
    refused = shop.lae("config", "check", shop.settings)
    assert refused.exit_code == 1
    (line,) = refused.stderr.splitlines()
    assert said in line
    assert "plans.yaml" in line


def test_a_plan_that_may_lose(shop: Place) -> None:
    """A plan that says so is let through, and named as what it is."""
    change(shop, "plans.yaml", "price: 3_900", "price: 500\n    sold_below_cost: true")
    told = shop.lae("plans", "check")
    assert told.exit_code == 0
    assert "s4-small-monthly is sold below its cost, and says that it may." in (
        told.stdout
    )
    assert shop.lae("config", "check", shop.settings).exit_code == 0


def test_an_old_list(shop: Place) -> None:
    """Prices of long ago are said to be old by both, and fail neither."""
    change(shop, "prices.yaml", "as_of: 2026-11-01", "as_of: 2020-02-29")
    for command in (("plans", "check"), ("config", "check", shop.settings)):
        told = shop.lae(*command)
        assert told.exit_code == 0
        assert "old: the price list is of 2020-02-29" in told.stdout


def test_another_list(shop: Place) -> None:
    """What would be with other prices is seen without changing the settings."""
    text = (shop.folder / "prices.yaml").read_text("utf-8")
    other = shop.folder / "other.yaml"
    other.write_text(text.replace("hour: 0.0204", "hour: 0.0408"), "utf-8")
    told = shop.json("plans", "check", "--prices", other, code=4)
    assert Decimal(told["plans"][0]["costs"]["instance"]) > 25
    assert shop.lae("plans", "check").exit_code == 0


def test_for_programs(shop: Place) -> None:
    """The same as one JSON object, whose amounts are exact and add up."""
    told = shop.json("plans", "check")
    assert (told["region"], told["as_of"], told["old"]) == (
        *("eu-west-1", "2026-11-01"),
        False,
    )
    small, large = told["plans"]
    assert (small["plan_id"], large["plan_id"]) == (
        *("s4-small-monthly", "s4-large-monthly"),
    )
    for plan in (small, large):
        costs = sum(map(Decimal, plan["costs"].values()))
        assert costs == Decimal(plan["total"])
        assert Decimal(plan["paid"]) - costs == Decimal(plan["left"])
    assert json.dumps(small).count(":") == 16


def test_without_a_list(shop: Place) -> None:
    """Without prices the check says how to get some; with a bad list, what is bad."""
    change(shop, "prices.yaml", "egress_gb: 0.09", "egres_gb: 0.09")
    told = shop.lae("plans", "check")
    assert told.exit_code == 1
    assert "did you mean 'egress_gb'" in told.stderr
    text = shop.settings.read_text("utf-8")
    shop.settings.write_text(text.replace("prices_file: prices.yaml", ""), "utf-8")
    told = shop.lae("plans", "check")
    assert (told.exit_code, "lae config example prices" in told.stderr) == (1, True)
    checked = shop.lae("config", "check", shop.settings)
    assert (checked.exit_code, "unknown: whether the plans" in checked.stdout) == (
        *(0, True),
    )
