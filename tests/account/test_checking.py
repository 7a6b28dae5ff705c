"""How an account differs from what a deployment needs is decided without asking it."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from lae_provision.account.ami import Ami, Bootable
from lae_provision.account.checking import (
    AccountDifferences,
    Observed,
    SeenStack,
    Templates,
    check,
)
from lae_provision.account.desired import (
    Desired,
    Dkim,
    Machine,
    MailRecords,
    Names,
    quoted,
)
from lae_provision.account.drift import Drifted
from lae_provision.account.quotas import Capacity
from lae_provision.account.repository import Repository
from lae_provision.account.stack_states import MOVES, ChangeIt
from lae_provision.account.stacks import Stack
from lae_provision.account.subnet import Subnet, WayOut
from lae_provision.hosts.programs import ImageReference
from tests.provision.template import load_template
from tests.provision.wanted import BOUNDARY, GROUP, IMAGE, wanted

DESIRED = wanted(
    security_groups=(GROUP,),
    capacity=Capacity(1000, 1000, 1000, 10000, 1000, 10000),
)
TEMPLATE = "Resources: {}\n"
TEMPLATES = Templates(TEMPLATE, "Resources: {backup}")
OUTPUTS = {"SubnetId": "subnet-1", "HostedZoneId": "Z1", "SecurityGroup": GROUP}
RIGHT = Observed(
    stack=Stack(
        "arn:1", "CREATE_COMPLETE", "", DESIRED.parameters(None, "vpc-1"), OUTPUTS
    ),
    template=TEMPLATE,
    drifted=(),
    network=Subnet("vpc-1", "eu-west-1a", True, 4091, WayOut("rtb-1", "igw-1")),
    boots=Bootable(Ami("125523088429", "x86_64", "/dev/xvda", 10), ("x86_64",)),
    repository=Repository(("sha256-*.sig",), pushed=True, signed=True),
    capacity=Capacity(1000, 1000, 1000, 10000, 4091, 10000),
)


def checked(desired: Desired = DESIRED, **seen: object) -> AccountDifferences:
    return check(desired, TEMPLATES, evolve(RIGHT, **seen))


def test_nothing_to_do() -> None:
    """An account where all is right asks for nothing."""
    assert checked() == AccountDifferences((), ())


CASES = [
    ("stack", None, "stack", "create"),
    ("stack", evolve(RIGHT.stack, status="REVIEW_IN_PROGRESS"), "stack", "create"),
    ("stack", evolve(RIGHT.stack, status="UPDATE_ROLLBACK_FAILED"), "stack", "change"),
    (
        "stack",
        evolve(
            RIGHT.stack, parameters={**RIGHT.stack.parameters, "InstanceType": "t3.x"}
        ),
        "stack",
        "change",
    ),
    ("template", "Resources: {x}", "stack", "change"),
    (
        "drifted",
        (Drifted("Boundary", "AWS::IAM::ManagedPolicy", BOUNDARY, gone=True),),
        "IAM ManagedPolicy",
        "change",
    ),
    (
        "stack",
        evolve(RIGHT.stack, outputs={**OUTPUTS, "SecurityGroup": "sg-2"}),
        "settings",
        None,
    ),
    ("network", None, "network", None),
    ("network", evolve(RIGHT.network, zone="eu-west-1b"), "network", None),
    ("network", evolve(RIGHT.network, public=False), "network", None),
    ("network", evolve(RIGHT.network, route=WayOut("rtb-1")), "network", None),
    ("network", evolve(RIGHT.network, route=WayOut("rtb-1", "nat-1")), "network", None),
    (
        "network",
        evolve(RIGHT.network, route=WayOut("rtb-1", "igw-1", active=False)),
        "network",
        None,
    ),
    ("access_keys", 0, "daemon", None),
    ("backup", SeenStack(None), "stack", "create"),
    ("backup", SeenStack(RIGHT.stack, "older"), "stack", "change"),
    ("boots", evolve(RIGHT.boots, ami=None), "image", None),
    *(
        (
            "boots",
            evolve(RIGHT.boots, ami=evolve(RIGHT.boots.ami, **wrong)),
            "image",
            None,
        )
        for wrong in (
            {"owner": "210987654321"},
            {"architecture": "arm64"},
            {"root_device": "/dev/sda1"},
            {"gib": 11},
            {"state": "deregistered"},
        )
    ),
    ("boots", evolve(RIGHT.boots, architectures=()), "instance type", None),
    ("repository", None, "repository", None),
    *(
        ("repository", evolve(RIGHT.repository, **wrong), "repository", None)
        for wrong in (
            {"changing": ("*",)},
            {"changing": ("sha256-*.sig", "latest*")},
            {"pushed": False, "signed": False},
            {"signed": False},
        )
    ),
    ("capacity", evolve(RIGHT.capacity, instances=16), "quota", None),
    ("capacity", evolve(RIGHT.capacity, addresses=251), "quota", None),
]


@pytest.mark.parametrize(("field", "seen", "thing", "step"), CASES)
def test_one_difference(field: str, seen: object, thing: str, step: str | None) -> None:
    """One thing that is not right is one difference, for apply or for a person."""
    decided = checked(**{field: seen})
    (found,) = [d for d in decided.differences if d.thing == thing]
    assert found.step == step
    assert (found.remedy == "") == (step is not None)
    mine = decided.steps if step else decided.by_hand
    assert found in mine
    if field != "network" or seen is not None:
        assert decided.differences == (found,)


def test_a_new_parameter_is_not_a_difference_by_itself() -> None:
    """A stack of an earlier template has not all parameters; its template differs, and
    that is said once.
    """
    fewer = {k: v for k, v in RIGHT.stack.parameters.items() if k != "LogDays"}
    stack = evolve(RIGHT.stack, parameters=fewer)
    (found,) = checked(stack=stack, template="older").differences
    assert found.found == "of another template"


@pytest.mark.parametrize("status", sorted(set(MOVES) - {"REVIEW_IN_PROGRESS"}))
def test_a_stack_at_rest_is_right(status: str) -> None:
    """Whatever a stack's status: a difference, unless it is at rest and whole."""
    decided = checked(stack=evolve(RIGHT.stack, status=status))
    assert bool(decided.differences) is not isinstance(MOVES[status], ChangeIt)


def test_what_to_write_into_the_settings() -> None:
    """What the stack has made, and the settings leave open, is told with its key."""
    desired = wanted(
        subnet_id="", dns_zone_id="", capacity=Capacity(), volume_kms_key="arn:other"
    )
    stack = evolve(
        RIGHT.stack,
        parameters=desired.parameters(None),
        outputs={**OUTPUTS, "VolumesKeyArn": "arn:key"},
    )
    decided = check(desired, TEMPLATES, evolve(RIGHT, stack=stack))
    assert [d.remedy.partition(": ")[2] for d in decided.by_hand] == [
        "subnet_id: subnet-1",
        "dns_zone_id: Z1",
        f"security_groups: [{GROUP}]",
        "volume_kms_key: arn:key",
    ]


def test_several_groups_are_for_a_person() -> None:
    """The daemon may launch into the stack's group alone; settings with others say so."""
    (found,) = checked(wanted(security_groups=(GROUP, "sg-9"))).by_hand
    assert (found.name, found.wanted) == ("cells.security_groups", GROUP)


def test_quotas_that_aws_does_not_tell_are_named() -> None:
    """A quota that AWS does not tell is no difference, and is named as unreported."""
    decided = checked(capacity=evolve(RIGHT.capacity, roles=None, records=None))
    assert decided.differences == ()
    assert decided.unreported == ("roles", "records")


def test_a_type_and_an_image_of_one_other_architecture() -> None:
    """An arm64 type with an arm64 image boots, and cannot run S4's own images: the type
    is named, unless nothing is pulled.
    """
    arm = Bootable(evolve(RIGHT.boots.ami, architecture="arm64"), ("arm64",))
    (found,) = checked(boots=arm).differences
    assert (found.thing, found.found) == ("instance type", "for arm64")
    assert checked(evolve(DESIRED, image=None), boots=arm).differences == ()


def test_a_larger_volume_holds_the_image() -> None:
    """A volume as large as the image, or larger, is right."""
    for gib in (9, 10, None):
        boots = evolve(RIGHT.boots, ami=evolve(RIGHT.boots.ami, gib=gib))
        assert checked(boots=boots).differences == ()


def test_parameters_are_the_templates() -> None:
    """Every parameter that is sent is one of the template's, and all without a default
    are sent, with everything that the settings can ask for.
    """
    desired = wanted(
        mail=MailRecords(
            "grid.example",
            "b.grid.example",
            "v=spf1 -all",
            "v=DMARC1; p=none",
            dkim=tuple(Dkim(f"s{n}", "v=DKIM1") for n in range(3)),
        ),
        machine=Machine("r1", "ami-1", "t3a.medium", "ssh-ed25519 A", "192.0.2.0/24"),
    )
    known = load_template()["Parameters"]
    sent = desired.parameters(None, "vpc-1")
    assert set(sent) <= set(known)
    assert {name for name, p in known.items() if "Default" not in p} <= set(sent)
    assert set(known) == set(sent)


@given(
    st.sampled_from(["", "subnet-1", "subnet-2"]),
    st.sampled_from(["", "subnet-1"]),
    st.booleans(),
)
def test_what_the_stack_made_stays_the_stacks(
    configured: str, parameter: str, there: bool
) -> None:
    """An id that the stack made may stand in the settings or not: it stays the stack's
    own, so that no later apply gives it up; another id never becomes the stack's.
    """
    desired = wanted(subnet_id=configured)
    stack = evolve(
        RIGHT.stack,
        parameters={"SubnetId": parameter},
        outputs={"SubnetId": parameter or "subnet-1"},
    )
    sent = desired.parameters(stack if there else None, "vpc-1")
    if there and not parameter and configured in ("", "subnet-1"):
        assert (sent["SubnetId"], sent["VpcId"]) == ("", "")
    else:
        assert sent["SubnetId"] == configured
    assert bool(sent["VpcId"]) is bool(sent["SubnetId"])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"role_path": "/other/"},
            "cells.role_path is /other/: the stack makes /s4/s4/",
        ),
        ({"boundary_arn": f"{BOUNDARY}2"}, "cells.boundary_arn is"),
        ({"kms_key": "alias/other"}, "the stack makes alias/s4"),
        (
            {"kms_key": "arn:aws:kms:us-east-1:123456789012:key/k"},
            "sealing.kms_key is in us-east-1 of 123456789012, not in eu-west-1",
        ),
        (
            {"volume_kms_key": "arn:aws:kms:eu-west-1:210987654321:key/k"},
            "cells.volume_kms_key is in eu-west-1 of 210987654321",
        ),
        (
            {"image": ImageReference(IMAGE.text.replace("eu-west-1", "us-east-1"))},
            "cells.program.image is in us-east-1, not in eu-west-1",
        ),
        ({"names": Names("other.example", "grid.example")}, "cells.dns_zone (grid"),
        (
            {"mail": MailRecords("else.where", "grid.example", "v=spf1 -all", "x")},
            "the domain of mail.from_address (else.where) is not in the zone",
        ),
    ],
)
def test_settings_that_contradict_each_other(changes: dict, problem: str) -> None:
    """Before any call, settings of another account, region, zone or name are refused."""
    (found,) = wanted(**changes).problems()
    assert problem in found


def test_settings_that_agree() -> None:
    """Keys by alias or by ARN, or none, are fine."""
    arn = "arn:aws:kms:eu-west-1:123456789012:key/k"
    for key in ("alias/s4", arn, None):
        assert wanted(kms_key=key, volume_kms_key=arn).problems() == ()


def test_a_long_text_is_quoted_in_parts() -> None:
    """A DKIM key longer than 255 characters is one record in several parts."""
    parts = quoted("k" * 600).split(" ")
    assert [len(part) - 2 for part in parts] == [255, 255, 90]
    assert quoted("") == '""'
