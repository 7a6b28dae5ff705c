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

    *visibility*: how long a new instance, stack or change set is unknown to Describe
    calls.  *profile*: how
    long a new instance profile is unknown to RunInstances.  *boot*: how long an
    instance is pending before it starts.  *address*: how long an instance that runs
    has no public address yet.  *names*: how long a change of Route 53 is PENDING,
    before names are served so.  *token*: how long the registry's next tokens live; 0 is
    ECR's twelve hours.  *objects*: how long an object that was just written is not
    there for GET, HEAD and If-Match, as in a bucket whose versioning is young.
    *stacks*: how long CloudFormation takes for each resource of a stack, and before it
    begins anything.
    *volume*: how long a volume is creating, attaching, detaching or modifying, and a
    snapshot pending; three times as long a volume whose size was changed is optimizing.
    """

    visibility: float = field(default=0.0, validator=_check_seconds)
    profile: float = field(default=0.0, validator=_check_seconds)
    boot: float = field(default=0.0, validator=_check_seconds)
    address: float = field(default=0.0, validator=_check_seconds)
    names: float = field(default=0.0, validator=_check_seconds)
    token: float = field(default=0.0, validator=_check_seconds)
    objects: float = field(default=0.0, validator=_check_seconds)
    stacks: float = field(default=0.0, validator=_check_seconds)
    volume: float = field(default=0.0, validator=_check_seconds)
