"""What AWS and Stripe ask, as an operator wrote it down on a day: ``prices_file``."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import define, field, validators

from lae_protocol.process.settings import SettingsError, load

#: What nothing in the list costs; far below where sums would be rounded.
DEAREST = 10**6
WHOLE = 100  # percent
_CURRENCY = re.compile(r"[a-z]{3}\Z")


def _is_a_price(_: object, attribute: Any, value: Decimal) -> None:
    if value < 0:
        raise ValueError(f"{attribute.name}: a price cannot be negative")
    if value > DEAREST:
        raise ValueError(f"{attribute.name}: more than any of these costs")


def _is_a_percentage(_: object, attribute: Any, value: Decimal) -> None:
    if not 0 <= value < WHOLE:
        raise ValueError(f"{attribute.name}: a percentage below 100 is expected")


def _is_more_than_nothing(_: object, attribute: Any, value: Decimal) -> None:
    if value <= 0:
        raise ValueError(f"{attribute.name}: more than nothing is expected")


def _is_a_currency(_: object, attribute: Any, value: str) -> None:
    if not _CURRENCY.match(value):
        raise ValueError(f"{attribute.name}: three small letters, like eur")


@define(frozen=True)
class InstancePrice:
    """A type of instance, and its price for an hour."""

    type: str
    hour: Decimal = field(validator=_is_a_price)


@define(frozen=True)
class Currency:
    """A currency that plans are sold in: one of it buys *buys* of the list's own.

    Stripe keeps *stripe_percent* of each payment, and *stripe_fixed* of this currency.
    """

    currency: str = field(validator=_is_a_currency)
    buys: Decimal = field(validator=_is_more_than_nothing)
    stripe_percent: Decimal = field(validator=_is_a_percentage)
    stripe_fixed: Decimal = field(validator=_is_a_price)


@define(frozen=True)
class FullUse:
    """What is assumed of who uses all that was agreed.

    An operation of the bucket moves *object_bytes*; *written_percent* of the quota is
    written anew each month, and *older_percent* of it lies there in older versions.
    """

    object_bytes: int = field(validator=validators.ge(1))
    written_percent: Decimal = field(validator=_is_a_price)
    older_percent: Decimal = field(validator=_is_a_price)


@define(frozen=True)
class PriceList:
    """The file.  Prices are in *currency*, without tax, and AWS' in *region*.

    *as_of* is the day on which somebody compared it with its *sources*; it is old after
    *warn_after_days*.  *customers_per_instance* share an instance, its volume and its
    address.  Prices that customers see include *tax_percent*; *deployment_month* is
    what the deployment costs a month, however many customers there are.
    """

    as_of: date
    warn_after_days: int = field(validator=validators.ge(1))
    region: str
    currency: str = field(validator=_is_a_currency)
    sources: tuple[str, ...]
    sold_in: tuple[Currency, ...]
    tax_percent: Decimal = field(validator=_is_a_price)
    instances: tuple[InstancePrice, ...]
    volume_gib_month: Decimal = field(validator=_is_a_price)
    address_hour: Decimal = field(validator=_is_a_price)
    stored_gib_month: Decimal = field(validator=_is_a_price)
    writes_thousand: Decimal = field(validator=_is_a_price)
    reads_thousand: Decimal = field(validator=_is_a_price)
    egress_gb: Decimal = field(validator=_is_a_price)
    full_use: FullUse
    customers_per_instance: int = field(default=1, validator=validators.ge(1))
    deployment_month: Decimal = field(default=Decimal(0), validator=_is_a_price)

    def __attrs_post_init__(self) -> None:
        if not self.sources or not all(s.startswith("https://") for s in self.sources):
            raise ValueError("sources: at least one https:// address is expected")
        for name, keys in (
            ("sold_in", [one.currency for one in self.sold_in]),
            ("instances", [one.type for one in self.instances]),
        ):
            if not keys:
                raise ValueError(f"{name}: at least one is expected")
            if len(keys) != len(set(keys)):
                raise ValueError(f"{name}: one stands twice")
        for own in self.sold_in:
            if own.currency == self.currency and own.buys != 1:
                raise ValueError(f"sold_in: one {own.currency} buys 1 {own.currency}")

    def age(self, today: date) -> int:
        """Days since somebody compared it."""
        return (today - self.as_of).days

    def what_is_old(self, today: date) -> str | None:
        """Say that it is old; None where it is not."""
        days = self.age(today)
        if days <= self.warn_after_days:
            return None
        return (
            f"old: the price list is of {self.as_of}, {days} days ago, more than its"
            f" warn_after_days ({self.warn_after_days}); compare it with its sources"
        )


@define(frozen=True)
class Asked:
    """The prices that hold for one currency and one type of host."""

    prices: PriceList
    currency: Currency
    instance_hour: Decimal
    volume_gib: int


@define(frozen=True)
class PricedCell:
    """A cell's hosts, and the file with their prices."""

    file: Path
    region: str
    instance_type: str
    volume_gib: int

    def read(self, today: date) -> PriceList:
        """Read the list; raises :class:`SettingsError`, also where it is not this
        cell's, or not of today.
        """
        prices = load(self.file, PriceList)
        if prices.region != self.region:
            raise SettingsError(
                f"{self.file}: its prices are of {prices.region}, and the deployment is"
                f" in {self.region}"
            )
        if prices.age(today) < 0:
            raise SettingsError(f"{self.file}: as_of: {prices.as_of} has not come yet")
        if self.instance_type not in {one.type for one in prices.instances}:
            raise SettingsError(
                f"{self.file}: instances: {self.instance_type}, which the cell's hosts"
                " are, has no price"
            )
        return prices

    def asked(self, prices: PriceList, currency: str) -> Asked:
        """What is asked for a host here; raises :class:`SettingsError` for a currency
        that the list does not have.
        """
        known = {one.currency: one for one in prices.sold_in}
        if currency not in known:
            raise SettingsError(
                f"{self.file}: sold_in: {currency}, which a plan is sold in, is missing"
            )
        hours = {one.type: one.hour for one in prices.instances}
        hour = hours[self.instance_type]
        return Asked(prices, known[currency], hour, self.volume_gib)
