"""Decides what to do about an account.  Pure; used by plan, check and apply.

Only what is found counts: of a half-made thing the rest is missing, and a change by
hand is a difference like any other.
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
    """What was found; *key* is None if no KMS key is wanted."""

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
        """The sealing key's ARN, once there is a key."""
        return self.key.arn if isinstance(self.key, sealing_key.Key) else None


@define(frozen=True)
class Plan:
    """All differences, in the order in which they are changed."""

    differences: tuple[Difference, ...]
    unreported: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Difference, ...]:
        """The differences that ``apply`` changes."""
        return tuple(d for d in self.differences if d.step is not None)

    @property
    def by_hand(self) -> tuple[Difference, ...]:
        """The differences that only a person can change."""
        return tuple(d for d in self.differences if d.step is None)


def plan(desired: Desired, seen: Observed) -> Plan:
    """Find all differences, in order of dependency: the daemon's policy names the key,
    and the daemon has the policy.
    """
    key = desired.key
    keys: tuple[Difference, ...] = ()
    if key is not None and seen.key is not None:
        keys = sealing_key.find_differences(key, seen.key)
    groups: tuple[Difference, ...] = ()
    if seen.network is not None:
        groups = security_group.find_differences(desired.security_group, seen.groups)
    its_policy = desired.daemons_policy(seen.key_arn)
    return Plan(
        (
            *state_bucket.find_differences(desired.bucket, seen.bucket),
            *keys,
            *policy.find_differences(desired.boundary, seen.boundary),
            *policy.find_differences(its_policy, seen.daemons_policy),
            *daemon.find_differences(desired.who, seen.daemon),
            *log_group.find_differences(desired.log_group, seen.log_group),
            *wildcard.find_differences(desired.wildcard, seen.wildcard),
            *quotas.network_differences(
                desired.subnet_id, desired.zone, desired.region, seen.network
            ),
            *groups,
            *quotas.quota_differences(desired.capacity, seen.capacity),
        ),
        quotas.unreported(desired.capacity, seen.capacity),
    )


def first_possible_step(
    differences: tuple[Difference, ...], seen: Observed
) -> Difference | None:
    """Find the first step that can be done now.  Pure.

    While the key waits for a person, so do the policy that names it and the daemon
    that has the policy.
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
