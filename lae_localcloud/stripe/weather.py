"""How webhooks travel: promptly, or as badly as a test asks for."""

from __future__ import annotations

from random import Random
from typing import Any, Literal, get_args

import attrs
from attrs import define, field

from lae_localcloud.stripe.errors import ApiError
from lae_localcloud.stripe.notices import matches
from lae_localcloud.stripe.store import Json

Order = Literal["as-made", "reversed", "shuffled"]


@define(frozen=True)
class Weather:
    """*copies* of each event go out, *delay* to *delay* + *spread* seconds late; those
    whose type matches *drop* never do.  With *window* > 0 the events of that many
    seconds are gathered and sent in *order*.
    """

    copies: int = 1
    delay: float = 0.0
    spread: float = 0.0
    drop: tuple[str, ...] = ()
    window: float = 0.0
    order: Order = "as-made"

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.copies <= 10:  # noqa: PLR2004  (more proves no more)
            raise ValueError("copies: 1 to 10")
        if min(self.delay, self.spread, self.window) < 0:
            raise ValueError("delay, spread and window are not negative")
        if self.order not in get_args(Order):
            raise ValueError(f"order: one of {', '.join(get_args(Order))}")


def weather_of(given: dict[str, Any]) -> Weather:
    """Read JSON; raises :class:`ApiError`."""
    try:
        return Weather(**{**given, "drop": tuple(given.get("drop", ()))})
    except (TypeError, ValueError) as e:
        raise ApiError(str(e)) from None


@define(frozen=True)
class Departure:
    """One sending of one event, *after* seconds from now."""

    event: Json = field(eq=False)
    after: float
    copy: int


def departures(
    weather: Weather, gathered: list[Json], random: Random
) -> list[Departure]:
    """When each copy of the events gathered leaves.  Pure but for *random*."""
    events = [
        event
        for event in gathered
        if not any(matches(pattern, event["type"]) for pattern in weather.drop)
    ]
    copies = [(event, copy) for event in events for copy in range(weather.copies)]
    match weather.order:
        case "reversed":
            copies.reverse()
        case "shuffled":
            random.shuffle(copies)
        case "as-made":
            pass
    return [
        Departure(event, weather.delay + random.uniform(0, weather.spread), copy)
        for event, copy in copies
    ]


def as_json(weather: Weather) -> dict[str, Any]:
    """For the control endpoint."""
    return attrs.asdict(weather)
