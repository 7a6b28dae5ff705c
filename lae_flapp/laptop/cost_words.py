"""What a month costs, in the words and numbers of a table."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from attrs import fields

from lae_protocol.cost_messages import MonthCosts

_CENT = Decimal("0.01")
#: What the parts of a cost are called.
PARTS = {
    "tax": "tax in the price",
    "stripe": "Stripe's fee",
    "instance": "instance",
    "volume": "volume",
    "address": "address",
    "stored": "stored in S3",
    "older": "older versions",
    "requests": "requests to S3",
    "egress": "traffic sent",
}
assert list(PARTS) == [field.name for field in fields(MonthCosts)]


def amount(value: Decimal, width: int = 0) -> str:
    """``1,234.50``, in units of a currency, at the right of so many columns."""
    rounded = value.quantize(_CENT, ROUND_HALF_UP)
    # Nothing has no sign.
    return f"{rounded or abs(rounded):,}".rjust(width)


def parts(costs: MonthCosts) -> list[tuple[str, Decimal]]:
    """Each part by its name in a table."""
    return [(name, getattr(costs, field)) for field, name in PARTS.items()]
