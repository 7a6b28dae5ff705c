"""How the account differs from what a deployment needs.  Pure.

Of what the stack makes, CloudFormation itself says what differs (:mod:`.drift`); the
rest (network, images, quotas) is looked at one by one.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define

from lae_provision.account import ami, drift, quotas, repository, subnet
from lae_provision.account.desired import Desired
from lae_provision.account.difference import Difference, missing
from lae_provision.account.drift import Drifted
from lae_provision.account.stack_states import ChangeIt, next_move
from lae_provision.account.stacks import Stack

STACK, SETTINGS = "stack", "settings"


@define(frozen=True)
class SeenStack:
    """A stack, its template, and what was changed behind its back."""

    stack: Stack | None
    template: str = ""
    drifted: tuple[Drifted, ...] = ()


@define(frozen=True)
class Observed:
    """What was found.  *network* is None without a subnet, *access_keys* counts those
    of the daemon's user (None where it is a role); *backup* is None without one.
    """

    stack: Stack | None
    template: str
    drifted: tuple[Drifted, ...]
    network: subnet.Subnet | None
    boots: ami.Bootable
    repository: repository.Repository | None
    capacity: quotas.Capacity
    access_keys: int | None = None
    backup: SeenStack | None = None


@define(frozen=True)
class AccountDifferences:
    """All differences; *unreported* are quotas that AWS does not tell."""

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


@define(frozen=True)
class Templates:
    """The texts of the templates that this release ships."""

    account: str
    backup: str


def check(desired: Desired, templates: Templates, seen: Observed) -> AccountDifferences:
    """Find all differences."""
    subnet_id = desired.subnet_id or _output(seen.stack, "SubnetId")
    network: tuple[Difference, ...] = ()
    if subnet_id:
        network = subnet.find_differences(
            subnet_id, desired.zone, desired.region, seen.network
        )
    images: tuple[Difference, ...] = ()
    if desired.image is not None:
        images = repository.find_differences(desired.image, seen.repository)
    backup: tuple[Difference, ...] = ()
    if seen.backup is not None:
        wanted = desired.backup_parameters()
        backup = _of_stack(desired.backup_stack, templates.backup, seen.backup, wanted)
    vpc = "" if seen.network is None else seen.network.vpc_id
    main = SeenStack(seen.stack, seen.template, seen.drifted)
    wanted = desired.parameters(seen.stack, vpc)
    return AccountDifferences(
        (
            *backup,
            *_of_stack(desired.stack, templates.account, main, wanted),
            *settings_to_write(desired, seen.stack),
            *network,
            *_of_user(desired, seen.access_keys),
            *ami.find_differences(desired.ami, seen.boots),
            *images,
            *quotas.quota_differences(desired.capacity, seen.capacity),
        ),
        quotas.unreported(desired.capacity, seen.capacity),
    )


def _of_stack(
    name: str, template: str, seen: SeenStack, wanted: Mapping[str, str]
) -> tuple[Difference, ...]:
    stack = seen.stack
    if stack is None or stack.status == "REVIEW_IN_PROGRESS":
        return (missing(STACK, name, "made from the template that ships"),)
    made = []
    if not isinstance(next_move(stack.status), ChangeIt):
        found = f"{stack.status} {stack.reason}".strip()
        made.append(Difference(STACK, name, found, "made, and at rest", "change"))
    if seen.template.strip() != template.strip():
        found, want = "of another template", "of the one that ships"
        made.append(Difference(STACK, name, found, want, "change"))
    made += [
        Difference(
            STACK, f"{name}, {key}", has or "nothing", want or "nothing", "change"
        )
        for key, want in wanted.items()
        if (has := stack.parameters.get(key)) is not None and has != want
    ]
    return (*made, *drift.find_differences(seen.drifted))


def settings_to_write(desired: Desired, stack: Stack | None) -> tuple[Difference, ...]:
    """Find settings that do not name what the stack has made."""
    if stack is None:
        return ()
    (group, *more) = desired.security_groups or ("",)
    settings = {
        "cells.subnet_id": (desired.subnet_id, "SubnetId"),
        "cells.dns_zone_id": (desired.dns_zone_id, "HostedZoneId"),
        "cells.security_groups": ("" if more else group, "SecurityGroup"),
    }
    if desired.volume_kms_key is not None:
        settings["cells.volume_kms_key"] = (desired.volume_kms_key, "VolumesKeyArn")
    made = []
    for setting, (has, output) in settings.items():
        want = _output(stack, output)
        if not want or has == want:
            continue
        value = f"[{want}]" if setting.endswith("groups") else want
        key = setting.rpartition(".")[2]
        remedy = f"write into the settings, {setting}: {key}: {value}"
        found = has or "not in the settings"
        made.append(Difference(SETTINGS, setting, found, want, None, remedy))
    return tuple(made)


def _of_user(desired: Desired, keys: int | None) -> tuple[Difference, ...]:
    if keys != 0:
        return ()
    name = desired.daemons_name
    remedy = (
        f"aws iam create-access-key --user-name {name}, and put both halves into the"
        " files that aws.access_key and aws.secret_key name"
    )
    found = "without an access key"
    return (Difference("daemon", f"user {name}", found, "with one", None, remedy),)


def _output(stack: Stack | None, name: str) -> str:
    return "" if stack is None else stack.outputs.get(name, "")
