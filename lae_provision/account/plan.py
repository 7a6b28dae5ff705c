"""What to do about an account.  Pure: plan, check and apply all decide here.

What is found decides alone: a half-made thing is what is missing of it, and one that
somebody changed by hand is a difference like any other.
"""

from __future__ import annotations

from attrs import define

from lae_provision.account import (
    daemon,
    log_group,
    policy,
    quotas,
    sealing_key,
    security_group,
    state_bucket,
    wildcard,
)
from lae_provision.account.desired import Desired
from lae_provision.account.difference import Difference


@define(frozen=True)
class Observed:
    """What was found; *key* is None where no KMS key is wanted."""

    bucket: state_bucket.BucketSeen
    key: sealing_key.KeySeen | None
    boundary: policy.Seen
    daemons_policy: policy.Seen
    daemon: daemon.Seen
    log_group: log_group.Seen
    wildcard: wildcard.Seen
    network: quotas.Network | None
    groups: security_group.GroupsSeen
    capacity: quotas.Capacity

    @property
    def key_arn(self) -> str | None:
        """The sealing key's, once there is one."""
        return self.key.arn if isinstance(self.key, sealing_key.Key) else None


@define(frozen=True)
class Plan:
    """All differences, in the order in which they are mended."""

    differences: tuple[Difference, ...]
    untold: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Difference, ...]:
        """What ``apply`` does."""
        return tuple(d for d in self.differences if d.step is not None)

    @property
    def by_hand(self) -> tuple[Difference, ...]:
        """What only a person can do."""
        return tuple(d for d in self.differences if d.step is None)


def plan(desired: Desired, seen: Observed) -> Plan:
    """What differs.  The order is that of need: the daemon's policy names the key, the
    daemon has the policy.
    """
    key = desired.key
    keys: tuple[Difference, ...] = ()
    if key is not None and seen.key is not None:
        keys = sealing_key.differences(key, seen.key)
    groups: tuple[Difference, ...] = ()
    if seen.network is not None:
        groups = security_group.differences(desired.security_group, seen.groups)
    its_policy = desired.daemons_policy(seen.key_arn)
    return Plan(
        (
            *state_bucket.differences(desired.bucket, seen.bucket),
            *keys,
            *policy.differences(desired.boundary, seen.boundary),
            *policy.differences(its_policy, seen.daemons_policy),
            *daemon.differences(desired.who, seen.daemon),
            *log_group.differences(desired.log_group, seen.log_group),
            *wildcard.differences(desired.wildcard, seen.wildcard),
            *quotas.network_differences(
                desired.subnet_id, desired.zone, desired.region, seen.network
            ),
            *groups,
            *quotas.quota_differences(desired.capacity, seen.capacity),
        ),
        quotas.untold(desired.capacity, seen.capacity),
    )


def doable(differences: tuple[Difference, ...], seen: Observed) -> Difference | None:
    """The first step whose needs are met.  Pure.

    Where a key waits for a person, so does the policy that must name it, and the
    daemon that must have the policy; all else goes on.
    """
    for difference in differences:
        waits_for_key = seen.key is not None and seen.key_arn is None
        no_policy = isinstance(seen.daemons_policy, policy.NoPolicy)
        match difference.thing:
            case "daemon's policy" if waits_for_key:
                continue
            case "daemon" if no_policy and difference.step in ("create", "attach"):
                continue
        return difference
    return None
