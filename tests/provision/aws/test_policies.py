from __future__ import annotations

import json

import pytest

from lae_localcloud.account.policy import Ask, is_allowed
from lae_protocol.process.resources import config_folder
from lae_provision.aws.policies import (
    BUCKET_ACTIONS,
    OBJECT_ACTIONS,
    bucket_policy,
    host_policy,
    may_write,
    render,
    same_policy,
    trust_policy,
)

VALUES = {
    "ACCOUNT": "123456789012",
    "BOUNDARY_ARN": "arn:aws:iam::123456789012:policy/s4/boundary",
    "DEPLOYMENT": "s4",
    "KMS_KEY_ARN": "arn:aws:kms:eu-west-1:123456789012:key/k",
    "REGION": "eu-west-1",
    "ROLE_PATH": "/s4/prod/",
    "STATE_BUCKET": "s4-state",
    "ZONE_ID": "Z1",
}
INSTANCE = "arn:aws:ec2:eu-west-1:123456789012:instance/*"
ROLE = "arn:aws:iam::123456789012:role/s4/prod/s4-g1"


def shipped(name: str) -> dict[str, object]:
    text = (config_folder() / "policies" / name).read_text()
    policy: dict[str, object] = json.loads(render(text, VALUES))
    return policy


def daemon(action: str, resource: str, **context: str) -> bool:
    known = {key.lower(): (value,) for key, value in context.items()}
    return is_allowed(Ask(action, resource, known), [shipped("daemon.json")])


def host(action: str, resource: str) -> bool:
    return is_allowed(
        Ask(action, resource),
        [json.loads(host_policy("s4-g1"))],
        boundary=shipped("boundary.json"),
    )


def test_the_boundary_takes_nothing_from_a_host() -> None:
    """All that a host's own policy allows, the boundary allows too."""
    assert all(host(a, "arn:aws:s3:::s4-g1/v1/share") for a in OBJECT_ACTIONS)
    assert all(host(a, "arn:aws:s3:::s4-g1") for a in BUCKET_ACTIONS)


@pytest.mark.parametrize("kind", ["immutable", "mutable", "chunks", "v1", "s4x"])
def test_a_host_that_may_only_read(kind: str) -> None:
    """It reads everything and lists, and writes or deletes no object of shares; its own
    records it still writes, under the boundary too.
    """
    policy = json.loads(host_policy("s4-g1", writes=False))

    def may(action: str, resource: str) -> bool:
        ask = Ask(action, f"arn:aws:s3:::s4-g1{resource}")
        return is_allowed(ask, [policy], boundary=shipped("boundary.json"))

    assert may("s3:GetObject", f"/{kind}/a/0")
    assert all(may(a, "") for a in BUCKET_ACTIONS)
    assert not may("s3:PutObject", f"/{kind}/a/0")
    assert not may("s3:DeleteObject", f"/{kind}/a/0")
    for record in ("s4/epoch", "meter/2026-11-30/1", "leases/a", "advisories/a"):
        assert may("s3:PutObject", f"/{record}")
        assert not may("s3:DeleteObject", f"/{record}")


def test_what_a_policy_lets_a_host_do() -> None:
    """A policy is recognised by what it says of shares; one that nobody can read is
    taken for the greater right, so that it is replaced where the lesser is due.
    """
    assert may_write(host_policy("s4-g1"))
    assert not may_write(host_policy("s4-g1", writes=False))
    assert all(may_write(text) for text in ("", "[]", "{}", '{"Statement": [1]}'))


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:DeleteObjectVersion", "arn:aws:s3:::s4-g1/v1/share"),
        ("s3:GetObject", "arn:aws:s3:::s4-g2/v1/share"),
        ("s3:GetObject", "arn:aws:s3:::s4-state/identities/su1/1.sealed"),
        ("s3:DeleteBucket", "arn:aws:s3:::s4-g1"),
        ("s3:PutBucketPolicy", "arn:aws:s3:::s4-g1"),
        ("s3:PutBucketVersioning", "arn:aws:s3:::s4-g1"),
        ("s3:PutLifecycleConfiguration", "arn:aws:s3:::s4-g1"),
        ("s3:ListAllMyBuckets", "*"),
        ("iam:CreateRole", ROLE),
        ("ec2:RunInstances", INSTANCE),
    ],
)
def test_a_host_cannot(action: str, resource: str) -> None:
    """A host changes neither its bucket nor history, and reaches nothing else."""
    assert not host(action, resource)


def test_a_boundary_holds_a_role_that_was_given_everything() -> None:
    """Whatever policy a role of ours is given, the boundary keeps it to objects."""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [everything]}
    boundary = shipped("boundary.json")
    for action, resource, allowed in (
        ("s3:GetObject", "arn:aws:s3:::s4-g1/a", True),
        ("s3:GetObject", "arn:aws:s3:::s4-state/a", False),
        ("s3:GetObject", "arn:aws:s3:::others/a", False),
        ("s3:DeleteObjectVersion", "arn:aws:s3:::s4-g1/a", False),
        ("iam:CreateUser", "*", False),
        ("ec2:RunInstances", INSTANCE, False),
    ):
        assert is_allowed(Ask(action, resource), [policy], boundary) == allowed, action


def test_the_daemon_launches_as_it_should_only() -> None:
    """An instance without the deployment's tag, or whose metadata needs no token, or
    with a volume in the clear, is not the daemon's to launch.
    """
    good = {
        "aws:RequestTag/s4:deployment": "s4",
        "ec2:MetadataHttpTokens": "required",
    }
    assert daemon("ec2:RunInstances", INSTANCE, **good)
    for key, wrong in (
        ("aws:RequestTag/s4:deployment", "other"),
        ("ec2:MetadataHttpTokens", "optional"),
    ):
        assert not daemon("ec2:RunInstances", INSTANCE, **(good | {key: wrong}))
    volume = INSTANCE.replace("instance/", "volume/")
    tag = {"aws:RequestTag/s4:deployment": "s4"}
    assert daemon("ec2:RunInstances", volume, **tag, **{"ec2:Encrypted": "true"})
    assert not daemon("ec2:RunInstances", volume, **tag, **{"ec2:Encrypted": "false"})


def test_the_daemon_ends_its_own_hosts_only() -> None:
    """Other deployments' machines are not the daemon's to terminate, and none is its to
    stop or start.
    """
    one = INSTANCE.replace("*", "i-1")
    tag = "aws:ResourceTag/s4:deployment"
    assert daemon("ec2:TerminateInstances", one, **{tag: "s4"})
    assert not daemon("ec2:TerminateInstances", one, **{tag: "other"})
    assert not daemon("ec2:TerminateInstances", one)
    for verb in ("Start", "Stop"):
        assert not daemon(f"ec2:{verb}Instances", one, **{tag: "s4"})


def test_the_daemon_makes_no_role_without_the_boundary() -> None:
    """A role outside the path, or without the boundary, or for another service, is
    not the daemon's to make or to hand on.
    """
    bound = {"iam:PermissionsBoundary": VALUES["BOUNDARY_ARN"]}
    for action in ("iam:CreateRole", "iam:PutRolePolicy"):
        assert daemon(action, ROLE, **bound)
        assert not daemon(action, ROLE)
        assert not daemon(action, ROLE.replace("/s4/prod/", "/"), **bound)
    assert daemon("iam:PassRole", ROLE, **{"iam:PassedToService": "ec2.amazonaws.com"})
    assert not daemon(
        "iam:PassRole", ROLE, **{"iam:PassedToService": "lambda.amazonaws.com"}
    )
    assert not daemon("iam:DeleteRolePermissionsBoundary", ROLE)


def test_the_daemon_never_deletes_its_state() -> None:
    """Sealed identities are written and read, and never deleted; nor is the bucket,
    though its name looks like a customer's.
    """
    state = "arn:aws:s3:::s4-state"
    assert daemon("s3:PutObject", f"{state}/identities/su1/1.sealed")
    assert daemon("s3:GetObject", f"{state}/identities/su1/1.sealed")
    for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"):
        assert not daemon(action, f"{state}/identities/su1/1.sealed")
    for action in ("s3:DeleteBucket", "s3:PutBucketPolicy", "s3:PutBucketVersioning"):
        assert daemon(action, "arn:aws:s3:::s4-g1")
        assert not daemon(action, state)


def test_the_daemon_does_not_read_customers_objects() -> None:
    """The daemon makes and empties customers' buckets; it reads nothing in them."""
    assert not daemon("s3:GetObject", "arn:aws:s3:::s4-g1/v1/share")
    assert not daemon("s3:PutObject", "arn:aws:s3:::s4-g1/v1/share")


def test_the_policies_are_short_enough() -> None:
    """A managed policy may have 6,144 characters, white space not counted."""
    for name in ("daemon.json", "boundary.json"):
        assert len(json.dumps(shipped(name), separators=(",", ":"))) < 6144


def test_tls_only() -> None:
    """The bucket's policy refuses every call that does not come over TLS."""
    [statement] = json.loads(bucket_policy("s4-g1"))["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == ["arn:aws:s3:::s4-g1", "arn:aws:s3:::s4-g1/*"]


def test_trust() -> None:
    """A host's role is taken by EC2, and by nobody else."""
    [statement] = json.loads(trust_policy())["Statement"]
    assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}


def test_rendering() -> None:
    """A policy with a name left in it is no policy."""
    assert json.loads(render('{"a": "@X@"}', {"X": "1"})) == {"a": "1"}
    with pytest.raises(ValueError, match="no value for @Y@"):
        render('{"a": "@X@@Y@"}', {"X": "1"})


def test_same() -> None:
    """Two policies are the same however they are written, and text is none."""
    assert same_policy('{"a": [1], "b": 2}', '{"b":2,"a":[1]}')
    assert not same_policy('{"a": 1}', '{"a": 2}')
    assert not same_policy("", "{}")
