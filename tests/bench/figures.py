"""Percentiles and ratios.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from attrs import define


def percentile(values: Sequence[float], q: float) -> float:
    """The nearest-rank percentile: the smallest value with q % at or below it.

    It is always a value that was measured.  *values* must not be empty; 0 < q ≤ 100.
    """
    if not values or not 0 < q <= 100:
        raise ValueError(f"no percentile {q} of {len(values)} values")
    return sorted(values)[math.ceil(len(values) * q / 100) - 1]


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """How long two spans of time are together (seconds)."""
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


@define(frozen=True)
class Figure:
    """One thing that was measured *n* times, in seconds."""

    name: str
    values: tuple[float, ...]

    @property
    def p50(self) -> float:
        """The median, by nearest rank."""
        return percentile(self.values, 50)

    @property
    def p95(self) -> float:
        """Below or at this are 95 of 100."""
        return percentile(self.values, 95)


@define(frozen=True)
class Moments:
    """When what of one signup was so: epoch seconds, all by one machine's clock.

    *events* has the first event of each kind, as the customer saw it.
    """

    t0: float
    furl: float
    mail: float
    events: Mapping[str, float]
    stored: float | None = None

    def since_payment(self, moment: float) -> float:
        """Seconds from the payment."""
        return moment - self.t0

    def without(self, first: str, last: str, moment: float) -> float:
        """Seconds from the payment, less those between two events."""
        waited = overlap((self.t0, moment), (self.events[first], self.events[last]))
        return self.since_payment(moment) - waited


#: What each event waits for; the address does not depend on the host's start.
STAGES = (
    ("payment", "paid"),
    ("paid", "identity-sealed"),
    ("identity-sealed", "bucket-ready"),
    ("bucket-ready", "role-ready"),
    ("role-ready", "instance-launched"),
    ("instance-launched", "claimed"),
    ("claimed", "self-test-passed"),
    ("self-test-passed", "mail-accepted"),
)


def stages(signups: Sequence[Moments]) -> tuple[Figure, ...]:
    """Where the time went, event by event."""
    figures = []
    for first, last in STAGES:
        spans = [
            m.events[last] - (m.t0 if first == "payment" else m.events[first])
            for m in signups
        ]
        figures.append(Figure(f"{first} → {last}", tuple(spans)))
    return tuple(figures)


def after_payment(
    name: str, signups: Sequence[Moments], moments: Sequence[float]
) -> tuple[Figure, Figure, Figure]:
    """Payment → something: all of it, and our share of it by two measures."""
    pairs = list(zip(signups, moments, strict=True))
    return (
        Figure(name, tuple(m.since_payment(at) for m, at in pairs)),
        Figure(
            "  less the host's process start",
            tuple(m.without("instance-launched", "claimed", at) for m, at in pairs),
        ),
        Figure(
            "  less all until the host is ready",
            tuple(
                m.without("instance-launched", "self-test-passed", at)
                for m, at in pairs
            ),
        ),
    )
