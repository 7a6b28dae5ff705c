"""What a plan costs and gives, in words: pages and mails say it alike."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from lae_protocol.messages import Plan

#: Stripe counts these in whole units.  https://docs.stripe.com/currencies
_WITHOUT_CENTS = (
    *("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga"),
    *("pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"),
)
_SIGNS = {"eur": "€", "usd": "$", "gbp": "£"}
MB = 10**6  # bytes
_UNITS = ((10**12, "TB"), (10**9, "GB"), (MB, "MB"))


def amount_in_words(price: int, currency: str, *, ascii_only: bool = False) -> str:
    """``€5.00``, ``CHF 5.00``, ``JPY 500``; *price* is in the smallest unit.

    *ascii_only* (``EUR 5.00``) is for mails, which then need no encoding that would
    break a furl over two lines.
    """
    cents = currency not in _WITHOUT_CENTS
    number = f"{price // 100:,}.{price % 100:02}" if cents else f"{price:,}"
    sign = None if ascii_only else _SIGNS.get(currency)
    return f"{sign}{number}" if sign else f"{currency.upper()} {number}"


def units_of(price: int, currency: str) -> Decimal:
    """``5.00`` of 500 cents: so many of the currency's own units."""
    return Decimal(price) / (1 if currency in _WITHOUT_CENTS else 100)


def amount_of_words(text: str, currency: str) -> int:
    """``4.50`` as the smallest unit counts it; raises ValueError for what is no amount
    of this currency.
    """
    cents = 0 if currency in _WITHOUT_CENTS else 2
    units, _, rest = text.strip().partition(".")
    digits = units + rest
    if not (units and digits.isascii() and digits.isdecimal()) or len(rest) > cents:
        shown = "4.50" if cents else "450"
        raise ValueError(f"{text!r} is no amount such as {shown}")
    return int(units + rest.ljust(cents, "0"))


def price_in_words(plan: Plan, *, ascii_only: bool = False) -> str:
    """``€5.00 a month``."""
    amount = amount_in_words(plan.price, plan.currency, ascii_only=ascii_only)
    return f"{amount} a {plan.interval}"


def moment_in_words(at: datetime) -> str:
    """``28 December 2026, 14:05 UTC``."""
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def span_in_words(seconds: int) -> str:
    """``30 days``, ``1 hour``, ``20 seconds``: the largest unit that divides it."""
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit and seconds % unit == 0:
            count = seconds // unit
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    return "1 second" if seconds == 1 else f"{seconds:,} seconds"


def size_in_words(size: int) -> str:
    """``250 GB``, ``1.5 TB``; decimal units, as disks and S3's bill count."""
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.2f}".rstrip("0").rstrip(".") + f" {name}"
    return f"{size:,} bytes"


def used_in_words(size: int) -> str:
    """How much of a plan is used: too little to matter is ``less than 1 MB``."""
    return size_in_words(size) if size >= MB else "less than 1 MB"
