"""What to do about an account is decided without asking it."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from lae_provision.account import daemon, log_group, policy, wildcard
from lae_provision.account.desired import Desired
from lae_provision.account.difference import Difference, tags_of
from lae_provision.account.plan import Observed, first_possible_step, plan
from lae_provision.account.quotas import Capacity, Network
from lae_provision.account.sealing_key import Key, NoKey
from lae_provision.account.security_group import Group, GroupsSeen
from lae_provision.account.state_bucket import (
    Bucket,
    NoBucket,
    SomebodyElses,
    with_tls_only,
)

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
DESIRED = Desired(
    account="123456789012",
    region="eu-west-1",
    deployment="s4-prod",
    state_bucket="s4-prod-state",
    kms_key="alias/s4-prod",
    boundary_arn="arn:aws:iam::123456789012:policy/s4/s4-prod/boundary",
    role_path="/s4/s4-prod/",
    daemon="role",
    dns_zone="grids.example.org",
    dns_zone_id="Z1",
    subnet_id="subnet-1",
    zone="eu-west-1a",
    instance_type="t4g.small",
    spans=((3456, 3456), (3457, 3457)),
    security_groups=("sg-1",),
    capacity=Capacity(1000, 1000, 1000, 10000, 1000, 10000),
)
RULES = DESIRED.security_group.rules
RIGHT = Observed(
    bucket=Bucket(
        "eu-west-1",
        frozenset({("s4:deployment", "s4-prod"), ("team", "storage")}),
        frozenset({"publicAccessBlock", "encryption", "versioning"}),
        with_tls_only(None, "s4-prod-state"),
    ),
    key=Key(KEY),
    boundary=policy.PolicySeen(DESIRED.boundary.document),
    daemons_policy=policy.PolicySeen(DESIRED.daemons_policy(KEY).document),
    daemon=daemon.DaemonSeen(frozenset({DESIRED.daemons_policy_arn})),
    log_group=log_group.LogGroupSeen(30),
    wildcard=wildcard.Record("CNAME", 60, ("www.example.org",)),
    network=Network("vpc-1", "eu-west-1a", public=True, addresses=4091),
    groups=GroupsSeen((Group("sg-1", "whatever", RULES),)),
    capacity=Capacity(1000, 1000, 1000, 10000, 4091, 10000),
)
SSH = ("tcp", 22, 22, "0.0.0.0/0")


def edited(document: str, **change) -> policy.PolicySeen:
    """A policy whose first statement somebody changed."""
    held = json.loads(document)
    held["Statement"][0] |= change
    return policy.PolicySeen(json.dumps(held))


def of(seen: Observed, desired: Desired = DESIRED):
    """Thing, step, and what was found, of each difference."""
    return [(d.thing, d.step, d.found) for d in plan(desired, seen).differences]


def test_nothing_to_do() -> None:
    """An account where all is right asks for nothing, whatever else is in it."""
    assert plan(DESIRED, RIGHT).differences == ()


CASES = [
    ("bucket", NoBucket(), "state bucket", "create"),
    ("bucket", SomebodyElses(), "state bucket", None),
    ("bucket", evolve(RIGHT.bucket, region="us-east-1"), "state bucket", None),
    (
        "bucket",
        evolve(RIGHT.bucket, tags=frozenset({("s4:deployment", "x")})),
        "state bucket",
        None,
    ),
    ("bucket", evolve(RIGHT.bucket, tags=frozenset()), "state bucket", "tagging"),
    (
        "bucket",
        evolve(RIGHT.bucket, right=RIGHT.bucket.right - {"versioning"}),
        "state bucket",
        "versioning",
    ),
    (
        "bucket",
        evolve(RIGHT.bucket, right=RIGHT.bucket.right - {"encryption"}),
        "state bucket",
        "encryption",
    ),
    (
        "bucket",
        evolve(RIGHT.bucket, right=RIGHT.bucket.right - {"publicAccessBlock"}),
        "state bucket",
        "publicAccessBlock",
    ),
    ("bucket", evolve(RIGHT.bucket, policy=None), "state bucket", "policy"),
    ("bucket", evolve(RIGHT.bucket, expires=True), "state bucket", None),
    ("key", evolve(RIGHT.key, rotated=False), "sealing key", "rotation"),
    ("key", evolve(RIGHT.key, has_alias=False), "sealing key", "alias"),
    ("key", evolve(RIGHT.key, state="PendingDeletion"), "sealing key", None),
    ("key", evolve(RIGHT.key, spec="RSA_2048"), "sealing key", None),
    ("boundary", policy.NoPolicy(), "boundary", "create"),
    ("boundary", edited(RIGHT.boundary.document, Action="s3:*"), "boundary", "replace"),
    (
        "daemons_policy",
        edited(RIGHT.daemons_policy.document, Effect="Deny"),
        "daemon's policy",
        "replace",
    ),
    ("daemon", daemon.Nobody(), "daemon", "create"),
    ("daemon", evolve(RIGHT.daemon, attached=frozenset()), "daemon", "attach"),
    (
        "daemon",
        evolve(
            RIGHT.daemon,
            attached=RIGHT.daemon.attached
            | {"arn:aws:iam::aws:policy/AdministratorAccess"},
        ),
        "daemon",
        None,
    ),
    ("daemon", evolve(RIGHT.daemon, inline=frozenset({"more"})), "daemon", None),
    ("daemon", evolve(RIGHT.daemon, trusted=False), "daemon", None),
    ("daemon", evolve(RIGHT.daemon, profile=False), "daemon", "profile"),
    ("log_group", log_group.NoGroup(), "log group", "create"),
    ("log_group", log_group.LogGroupSeen(None), "log group", "retention"),
    ("wildcard", wildcard.NoRecord(), "wildcard record", "create"),
    ("wildcard", wildcard.NoZone(), "wildcard record", None),
    ("wildcard", wildcard.NoZone("other.org"), "wildcard record", None),
    ("wildcard", wildcard.Record("A", 3600, ("192.0.2.1",)), "wildcard record", "ttl"),
    ("network", None, "network", None),
    ("network", evolve(RIGHT.network, zone="eu-west-1b"), "network", None),
    ("network", evolve(RIGHT.network, public=False), "network", None),
    (
        "groups",
        GroupsSeen((Group("sg-1", "x", RULES | {SSH}),)),
        "security group",
        None,
    ),
    (
        "groups",
        GroupsSeen((Group("sg-1", "x", frozenset()),)),
        "security group",
        "open",
    ),
    ("capacity", evolve(RIGHT.capacity, instances=16), "quota", None),
    ("capacity", evolve(RIGHT.capacity, addresses=251), "quota", None),
]


def test_what_is_missing_is_named_with_what_is_made_of_it() -> None:
    """A log group that is not there is told by its name, with what apply makes."""
    seen = evolve(RIGHT, log_group=log_group.NoGroup())
    name = DESIRED.log_group.name
    wanted = f"made, keeps for {log_group.RETENTION} days"
    assert plan(DESIRED, seen).differences == (
        Difference("log group", name, "missing", wanted, "create"),
    )


def test_what_is_made_carries_the_deployment_and_the_purpose() -> None:
    """Two tags say which deployment a thing is of, and what it is for."""
    tags = {"s4:deployment": "s4-prod", "s4:purpose": "log"}
    assert tags_of("s4-prod", "log") == tags


def test_a_subnet_that_is_not_there_is_named_with_its_region() -> None:
    """A person reads which subnet is missing, and in which region it was looked for."""
    [found] = plan(DESIRED, evolve(RIGHT, network=None)).differences
    assert (found.name, found.found) == ("subnet-1", "no such subnet in eu-west-1")


def test_a_subnet_of_another_zone_is_named_with_both_zones() -> None:
    """A person reads where the subnet is, and where the settings want it."""
    network = evolve(RIGHT.network, zone="eu-west-1b")
    [found] = plan(DESIRED, evolve(RIGHT, network=network)).differences
    assert (found.name, found.found, found.wanted) == (
        "subnet-1",
        "in eu-west-1b",
        "in eu-west-1a",
    )


def test_quotas_that_aws_does_not_tell_are_named() -> None:
    """A quota that AWS does not tell is no difference, and is named as unreported."""
    capacity = evolve(RIGHT.capacity, roles=None, records=None)
    decided = plan(DESIRED, evolve(RIGHT, capacity=capacity))
    assert decided.differences == ()
    assert decided.unreported == ("roles", "records")
    assert plan(DESIRED, RIGHT).unreported == ()


@pytest.mark.parametrize(("field", "seen", "thing", "step"), CASES)
def test_one_difference(field: str, seen: object, thing: str, step: str | None) -> None:
    """One thing that is not right is one difference, for apply or for a person."""
    decided = plan(DESIRED, evolve(RIGHT, **{field: seen}))
    [found] = decided.differences
    assert (found.thing, found.step) == (thing, step)
    assert (found.remedy == "") == (step is not None)


def test_somebody_elses_policies_stay() -> None:
    """The bucket's other statements stay beside ours, and ours is not put twice."""
    theirs = {
        "Sid": "Backup",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "*",
    }
    held = json.dumps({"Version": "2012-10-17", "Statement": theirs})
    both = with_tls_only(held, "b")
    assert json.loads(both)["Statement"][0] == theirs
    assert json.loads(with_tls_only(both, "b")) == json.loads(both)


def test_an_edited_policy_is_shown_closely() -> None:
    """Each action that is too much, and each that is missing, is named."""
    held = json.loads(DESIRED.boundary.document)
    held["Statement"][0]["Action"].append("s3:DeleteObjectVersion")
    held["Statement"][0]["Action"].remove("s3:PutObject")
    held["Statement"].append(
        {"Sid": "Mine", "Effect": "Allow", "Action": "*", "Resource": "*"}
    )
    seen = evolve(RIGHT, boundary=policy.PolicySeen(json.dumps(held)))
    [found] = plan(DESIRED, seen).differences
    assert found.more == (
        "Mine: not ours",
        "AtMostObjects: Action s3:DeleteObjectVersion is not wanted",
        "AtMostObjects: Action s3:PutObject is missing",
    )


def test_a_policy_with_five_versions() -> None:
    """IAM keeps five versions; which may go is told, and none is deleted."""
    seen = policy.PolicySeen("{}", ("v9", "v8", "v7", "v6", "v5"), "v5")
    [found] = plan(DESIRED, evolve(RIGHT, boundary=seen)).differences
    assert found.step is None
    assert "--version-id v6" in found.remedy


def test_a_new_account_waits_for_nobody_in_vain() -> None:
    """With nothing there, the key comes before the policy that names it, and the policy
    before the daemon that has it.
    """
    nothing = evolve(
        RIGHT,
        bucket=NoBucket(),
        key=NoKey(),
        boundary=policy.NoPolicy(),
        daemons_policy=policy.NoPolicy(),
        daemon=daemon.Nobody(),
    )
    things = [d.thing for d in plan(DESIRED, nothing).steps]
    assert things == [
        "state bucket",
        "sealing key",
        "boundary",
        "daemon's policy",
        "daemon",
    ]


def test_what_waits_for_a_person_holds_up_nothing_else() -> None:
    """A key that the settings name wrongly keeps the daemon's policy waiting, alone."""
    desired = evolve(DESIRED, kms_key=KEY)
    seen = evolve(
        RIGHT,
        key=NoKey(),
        daemons_policy=policy.NoPolicy(),
        daemon=daemon.Nobody(),
        log_group=log_group.NoGroup(),
    )
    step = first_possible_step(plan(desired, seen).steps, seen)
    assert step is not None
    assert step.thing == "log group"
    assert (
        first_possible_step(
            plan(desired, evolve(seen, log_group=RIGHT.log_group)).steps, seen
        )
        is None
    )


def test_what_does_not_need_the_policy_does_not_wait_for_it() -> None:
    """A daemon's instance profile is made while its policy waits for a key."""
    desired = evolve(DESIRED, kms_key=KEY)
    seen = evolve(
        RIGHT,
        key=NoKey(),
        daemons_policy=policy.NoPolicy(),
        daemon=evolve(RIGHT.daemon, profile=False),
    )
    step = first_possible_step(plan(desired, seen).steps, seen)
    assert step is not None
    assert (step.thing, step.step) == ("daemon", "profile")


@pytest.mark.parametrize(
    ("found", "step"),
    [
        (daemon.Nobody(), "create"),
        (evolve(RIGHT.daemon, attached=frozenset()), "attach"),
    ],
)
def test_a_daemon_whose_policy_is_there_waits_for_nothing(found, step) -> None:
    """Where the daemon's policy exists the daemon is made, or gets that policy."""
    seen = evolve(RIGHT, daemon=found)
    done = first_possible_step(plan(DESIRED, seen).steps, seen)
    assert done is not None
    assert (done.thing, done.step) == ("daemon", step)


def test_a_half_made_key_is_no_second_one() -> None:
    """A key with our tags and no alias gets its alias."""
    [found] = plan(DESIRED, evolve(RIGHT, key=NoKey(KEY))).differences
    assert (found.step, KEY in found.found) == ("alias", True)


def test_no_kms() -> None:
    """Where key files seal identities there is no key, and the daemon may use none."""
    desired = evolve(DESIRED, kms_key=None)
    document = desired.daemons_policy(None).document
    assert document is not None
    assert "kms:" not in document
    seen = evolve(RIGHT, key=None, daemons_policy=policy.PolicySeen(document))
    assert plan(desired, seen).differences == ()
    nothing = evolve(seen, daemons_policy=policy.NoPolicy())
    step = first_possible_step(plan(desired, nothing).steps, nothing)
    assert step is not None
    assert step.thing == "daemon's policy", "no key is waited for"


def test_a_key_that_was_not_looked_at_is_no_difference() -> None:
    """About a key that is not wanted, or was not looked at, nothing is told."""
    told = plan(DESIRED, evolve(RIGHT, key=None)).differences
    assert "sealing key" not in {difference.thing for difference in told}
    unwanted = evolve(RIGHT, key=evolve(RIGHT.key, rotated=False))
    told = plan(evolve(DESIRED, kms_key=None), unwanted).differences
    assert "sealing key" not in {difference.thing for difference in told}


def test_settings_of_another_account() -> None:
    """ARNs of another account or region than the settings' are told before any call."""
    arn = "arn:aws:kms:us-east-1:111111111111:key/1"
    wrong = evolve(
        DESIRED, kms_key=arn, boundary_arn="arn:aws:iam::1:policy/x", role_path="s4"
    )
    assert len(wrong.problems()) == 4
    assert DESIRED.problems() == ()


SEEN = {
    name: st.sampled_from(
        [getattr(RIGHT, name), *(c[1] for c in CASES if c[0] == name)]
    )
    for name in (
        "bucket",
        "boundary",
        "daemons_policy",
        "daemon",
        "log_group",
        "wildcard",
        "network",
        "groups",
        "capacity",
    )
}
SEEN["key"] = st.sampled_from([RIGHT.key, NoKey(), NoKey(KEY)])


@given(st.builds(Observed, **SEEN), st.booleans())
def test_total(seen: Observed, no_group_yet: bool) -> None:
    """Whatever is found, the plan says who mends it, and nothing is said twice."""
    desired = evolve(DESIRED, security_groups=()) if no_group_yet else DESIRED
    decided = plan(desired, seen)
    assert len(set(decided.differences)) == len(decided.differences)
    assert set(decided.steps) | set(decided.by_hand) == set(decided.differences)
    for difference in decided.differences:
        assert (difference.step is None) == bool(difference.remedy)
    step = first_possible_step(decided.steps, seen)
    if step is not None and step.thing == "daemon's policy":
        assert seen.key_arn is not None
