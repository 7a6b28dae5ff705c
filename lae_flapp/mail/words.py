"""Amounts as people read them; pure."""

from __future__ import annotations

from lae_protocol.messages import Plan

#: Currencies without a smaller unit, by ISO 4217 (https://docs.stripe.com/currencies).
_WHOLE = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf".split()  # noqa: SIM905  (a list of sixteen quoted codes reads worse)
)
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def price(plan: Plan) -> str:
    """``9.00 USD a month``."""
    return f"{amount(plan.price, plan.currency)} a {plan.interval}"


def amount(smallest: int, currency: str) -> str:
    """``9.00 USD``; *smallest* is in the currency's smallest unit."""
    if currency.lower() in _WHOLE:
        return f"{smallest} {currency.upper()}"
    whole, part = divmod(smallest, 100)
    return f"{whole}.{part:02d} {currency.upper()}"


def size(count: int) -> str:
    """``250 GB``, in powers of a thousand; at most one decimal."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:  # noqa: PLR2004
        value, unit = value / 1000, unit + 1
    return f"{value:.1f}".removesuffix(".0") + f" {_UNITS[unit]}"
