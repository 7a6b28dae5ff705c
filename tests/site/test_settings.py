"""The site's settings and plans: what is accepted, and what is said when not."""

from __future__ import annotations

import pytest

from lae_protocol.plan_words import amount_in_words, size_in_words
from lae_protocol.process.plans import load_plans
from lae_protocol.process.resources import config_folder
from lae_protocol.process.settings import SettingsError, load
from lae_site.settings import SiteSettings


@pytest.mark.parametrize("name", ["site.example.yaml", "site.localcloud.yaml"])
def test_the_examples_are_good(name) -> None:
    """The examples that ship can be read, and name plans that can be read."""
    settings = load(config_folder() / name, SiteSettings)
    assert load_plans(settings.plans_file)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"site_url": "http://s4.example.org"}, "__Host-"),
        ({"metrics_listen": "9472"}, "metrics_listen: tcp:PORT"),
        ({"site_url": "https://s4.example.org/shop"}, "without a path"),
        (
            {"site_url": "http://s4.example.org", "cookies_over_http": True},
            "http://localhost alone",
        ),
        (
            {"environment": "production", "site_url": "https://localhost"},
            "public hosts",
        ),
        (
            {
                "environment": "production",
                "checkout_origins": ("http://localhost:8420",),
            },
            "https",
        ),
        ({"checkout_origins": ()}, "at least one"),
        ({"checkout_origins": ("https://checkout.stripe.com/x y",)}, "without paths"),
        ({"registrations_per_hour": 0}, "registrations_per_hour must be at least 1"),
        ({"requests_per_second": 0}, "requests_per_second must be at least 1"),
        ({"proxies": -1}, "negative"),
    ],
)
def test_dangerous_settings_are_refused(settings_with, changes, says) -> None:
    """What would leak cookies or send customers astray is refused, and why is said."""
    with pytest.raises(ValueError, match=says):
        settings_with(**changes)


PLAN = """\
terms_version: "1"
plans:
  - plan_id: small
    name: Small
    price: 500
    currency: eur
    interval: month
    quota: 1_000
    traffic: 0
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("currency: eur", "currency: EUR", ":3: .*three small letters"),
        ("interval: month", "interval: day", ":7: .*'day'"),
        ("price: 500", "price: 5.00", ":5: .*whole number"),
        ("price: 500", "price: -1", "negative"),
        ("plan_id: small", "plan_id: S_M", "small letters"),
        ("quota: 1_000", "qouta: 1_000", ":8: .*did you mean 'quota'"),
        ('terms_version: "1"\n', "", "terms_version"),
    ],
)
def test_wrong_plans_are_refused_with_their_line(tmp_path, old, new, says) -> None:
    """A mistake in the plans is told with the file and the line."""
    file = tmp_path / "plans.yaml"
    file.write_text(PLAN)
    (plan,) = load_plans(file)
    assert (plan.price, plan.quota, plan.terms_version) == (500, 1000, "1")
    file.write_text(PLAN.replace(old, new))
    with pytest.raises(SettingsError, match=says):
        load_plans(file)


def test_prices_and_sizes_in_words() -> None:
    """Money and sizes read as people write them."""
    assert amount_in_words(500, "eur") == "€5.00"
    assert amount_in_words(123_405, "usd") == "$1,234.05"
    assert amount_in_words(500, "chf") == "CHF 5.00"
    assert amount_in_words(500, "jpy") == "JPY 500"
    assert size_in_words(1_500_000_000_000) == "1.5 TB"
    assert size_in_words(250_000_000_000) == "250 GB"
    assert size_in_words(10) == "10 bytes"
