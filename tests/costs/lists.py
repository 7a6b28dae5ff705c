"""A price list with round numbers, and settings that name it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from attrs import evolve

from lae_flapp.costs.price_list import (
    Asked,
    Currency,
    FullUse,
    InstancePrice,
    PriceList,
)
from lae_flapp.settings import DaemonSettings
from lae_protocol.process.plans import SoldPlan
from lae_protocol.process.resources import config_folder
from lae_protocol.process.settings import load

TODAY = date(2026, 11, 30)
EUR = Currency("eur", Decimal(2), Decimal(10), Decimal("0.5"))
PRICES = PriceList(
    as_of=date(2026, 11, 1),
    warn_after_days=60,
    region="eu-west-1",
    currency="usd",
    sources=("https://example.org/prices",),
    sold_in=(EUR,),
    tax_percent=Decimal(25),
    instances=(InstancePrice("t3a.small", Decimal("0.02")),),
    volume_gib_month=Decimal("0.1"),
    address_hour=Decimal("0.01"),
    stored_gib_month=Decimal("0.02"),
    writes_thousand=Decimal(1),
    reads_thousand=Decimal("0.1"),
    egress_gb=Decimal("0.1"),
    full_use=FullUse(10**6, Decimal(100), Decimal(50)),
)
ASKED = Asked(PRICES, EUR, Decimal("0.02"), 10)
PLAN = SoldPlan("small", "Small", 10_000, "eur", "month", 2**30 * 100, 10**9 * 30)


class Settings:
    """A daemon's settings with plans and prices of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.example = load(config_folder() / "daemon.example.yaml", DaemonSettings)
        for name in ("plans", "prices"):
            text = (config_folder() / f"{name}.yaml").read_text("utf-8")
            (folder / f"{name}.yaml").write_text(text, "utf-8")

    @property
    def settings(self) -> DaemonSettings:
        plans, prices = (self.folder / f"{n}.yaml" for n in ("plans", "prices"))
        return evolve(self.example, plans_file=plans, prices_file=prices)

    def change(self, name: str, old: str, new: str) -> None:
        path = self.folder / f"{name}.yaml"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")
