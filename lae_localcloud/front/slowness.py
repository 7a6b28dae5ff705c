"""How slow and forgetful the cloud is; the control endpoint changes it at any time."""

from __future__ import annotations

from typing import Any

from attrs import define, field

LONGEST = 600.0


def _check_seconds(_: Any, attribute: Any, value: Any) -> None:
    if type(value) not in (int, float) or not 0 <= value <= LONGEST:
        raise ValueError(f"{attribute.name}: seconds from 0 to {LONGEST:.0f}")


@define
class Slowness:
    """All in seconds.

    *visibility*: how long a new instance is unknown to Describe calls.  *profile*: how
    long a new instance profile is unknown to RunInstances.  *boot*: how long an
    instance is pending before it starts.
    """

    visibility: float = field(default=0.0, validator=_check_seconds)
    profile: float = field(default=0.0, validator=_check_seconds)
    boot: float = field(default=0.0, validator=_check_seconds)
