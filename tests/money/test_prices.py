"""A price at Stripe is the agreed one, or no session is opened."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from lae_flapp.money.stripe.prices import (
    FoundPrice,
    agreed_price,
    look_up,
    price_from,
)
from lae_provision.errors import Refused
from tests.money.scripted import Scripted, page

PRICE = FoundPrice("price_1", "small", 900, "eur", "month", 1, livemode=False)
GIVEN: dict[str, Any] = {
    "id": "price_7",
    "lookup_key": "large",
    "unit_amount": 2500,
    "currency": "usd",
    "recurring": {"interval": "year", "interval_count": 3},
    "livemode": True,
}


class ReadingTests(SynchronousTestCase):
    def test_whole(self) -> None:
        """Each part of a price is read from its own field."""
        self.assertEqual(
            price_from(GIVEN),
            FoundPrice("price_7", "large", 2500, "usd", "year", 3, livemode=True),
        )
        self.assertIs(price_from({**GIVEN, "livemode": False}).livemode, False)

    def test_sparse(self) -> None:
        """A price without key, amount or interval is one that no plan agrees with."""
        bare = {"id": "price_8", "currency": "eur", "livemode": False}
        wanted = FoundPrice("price_8", "", None, "eur", None, 1, livemode=False)
        self.assertEqual(price_from(bare), wanted)
        nulls = {"lookup_key": None, "unit_amount": None, "recurring": None}
        self.assertEqual(price_from({**bare, **nulls}), wanted)

    def test_each_month(self) -> None:
        """An interval that Stripe does not count is one of it."""
        found = price_from({**GIVEN, "recurring": {"interval": "month"}})
        self.assertEqual((found.interval, found.interval_count), ("month", 1))


class LookingUpTests(SynchronousTestCase):
    def test_tens(self) -> None:
        """Active prices are asked for ten keys at a time, each key once."""
        keys = [f"plan-{number}" for number in range(21)]
        pages = [
            page(*({**GIVEN, "lookup_key": key, "id": f"price_{key}"} for key in part))
            for part in (keys[:10], keys[10:20], keys[20:])
        ]
        client: Any = Scripted({"prices.list": pages})
        found = look_up(client, keys)
        self.assertEqual(
            client.asked,
            [
                ("prices.list", {"lookup_keys": part, "active": True, "limit": 100})
                for part in (keys[:10], keys[10:20], keys[20:])
            ],
        )
        self.assertEqual(
            {key: price.price_id for key, price in found.items()},
            {key: f"price_{key}" for key in keys},
        )

    def test_none(self) -> None:
        """Without keys nothing is asked."""
        client: Any = Scripted({})
        self.assertEqual(look_up(client, []), {})
        self.assertEqual(client.asked, [])


class AgreeingTests(SynchronousTestCase):
    def test_agreed(self) -> None:
        """A price that is as agreed is told by its id."""
        self.assertEqual(agreed_price(PRICE, "small", 900, "eur", "month"), "price_1")

    def test_missing(self) -> None:
        """Where there is no price the refusal names the lookup key."""
        with self.assertRaises(Refused) as raised:
            agreed_price(None, "small", 900, "eur", "month")
        self.assertEqual(raised.exception.code, "no-price")
        self.assertIn("no active price with lookup key small", str(raised.exception))

    def test_differs(self) -> None:
        """Another amount, currency, interval or count refuses, and names both sides."""
        others: list[dict[str, Any]] = [
            {"amount": 899},
            {"amount": 901},
            {"amount": None},
            {"currency": "usd"},
            {"interval": "year"},
            {"interval": None},
            {"interval_count": 2},
            {"interval_count": 0},
        ]
        for other in others:
            found = evolve(PRICE, **other)
            with self.assertRaises(Refused) as raised:
                agreed_price(found, "small", 900, "eur", "month")
            self.assertEqual(raised.exception.code, "price-differs", other)
            self.assertIn(
                f"small: agreed 900 eur a month, Stripe has {found.amount} "
                f"{found.currency} a {found.interval_count} {found.interval}",
                str(raised.exception),
            )
