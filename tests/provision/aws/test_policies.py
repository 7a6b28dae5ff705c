"""What the shipped policies, and those of hosts and buckets, allow and refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from lae_localcloud.account.asks import record_changes
from lae_localcloud.account.policy import Ask, is_allowed
from lae_protocol.ids import new_grid_label
from lae_provision.aws.policies import (
    BUCKET_ACTIONS,
    OBJECT_ACTIONS,
    PULL_ACTIONS,
    bucket_policy,
    host_policy,
    may_write,
    same_policy,
    trust_policy,
)
from tests.provision.wanted import (
    ACCOUNT,
    BOUNDARY,
    GROUP,
    KEY,
    LABEL,
    NAME,
    REGION,
    ROLE_PATH,
    STATE_BUCKET,
    VOLUMES_KEY,
    ZONE,
    boundary,
    daemons,
    state_bucket,
)

EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
INSTANCE = f"{EC2}:instance/*"
ROLE = f"arn:aws:iam::{ACCOUNT}:role{ROLE_PATH}{NAME}"
BUCKET = f"arn:aws:s3:::{NAME}"
STATE = f"arn:aws:s3:::{STATE_BUCKET}"
REPOSITORY = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/s4/node"
#: Another deployment, whose name begins like this one's; and one of our name's length.
LONGER, OTHER = f"s4-eu-{LABEL}", f"s5-{LABEL}"


def asked(action: str, resource: str, context: Mapping[str, str]) -> Ask:
    """An ask as AWS makes it: what is of S3 says whose bucket it is."""
    known = {key.lower(): (value,) for key, value in context.items()}
    if action.startswith("s3:"):
        known.setdefault("s3:resourceaccount", (ACCOUNT,))
    return Ask(action, resource, known)


def daemon(action: str, resource: str, **context: str) -> bool:
    return is_allowed(asked(action, resource, context), [daemons()])


def host(action: str, resource: str, *, pulls: bool = True, **context: str) -> bool:
    policy = host_policy(NAME, repository=REPOSITORY if pulls else None)
    ask = asked(action, resource, context)
    return is_allowed(ask, [json.loads(policy)], boundary=boundary())


def test_the_boundary_takes_nothing_from_a_host() -> None:
    """All that a host's own policy allows, the boundary allows too."""
    assert all(host(a, f"{BUCKET}/v1/share") for a in OBJECT_ACTIONS)
    assert all(host(a, BUCKET) for a in BUCKET_ACTIONS)


@pytest.mark.parametrize("kind", ["immutable", "mutable", "chunks", "v1", "s4x"])
def test_a_host_that_may_only_read(kind: str) -> None:
    """It reads everything and lists, and writes or deletes no object of shares; its own
    records it still writes, under the boundary too.
    """
    policy = json.loads(host_policy(NAME, writes=False))

    def may(action: str, resource: str) -> bool:
        ask = asked(action, f"{BUCKET}{resource}", {})
        return is_allowed(ask, [policy], boundary=boundary())

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
        ("s3:DeleteObjectVersion", "{BUCKET}/v1/share"),
        ("s3:GetObject", f"{BUCKET[:-1]}7/v1/share"),
        ("s3:GetObject", f"{STATE}/identities/su1/1.sealed"),
        ("s3:DeleteBucket", BUCKET),
        ("s3:PutBucketPolicy", BUCKET),
        ("s3:PutBucketVersioning", BUCKET),
        ("s3:PutLifecycleConfiguration", BUCKET),
        ("s3:ListAllMyBuckets", "*"),
        ("iam:CreateRole", ROLE),
        ("ec2:RunInstances", INSTANCE),
    ],
)
def test_a_host_cannot(action: str, resource: str) -> None:
    """A host changes neither its bucket nor history, and reaches nothing else."""
    assert not host(action, resource)


def test_a_boundary_holds_a_role_that_was_given_everything() -> None:
    """Whatever policy a role of ours is given, the boundary keeps it to the objects of
    customers' buckets, of this deployment and account, and to pulling the image.
    """
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [everything]}
    for action, resource, allowed in (
        ("s3:GetObject", f"{BUCKET}/a", True),
        ("s3:ListBucket", BUCKET, True),
        ("s3:GetObject", f"{STATE}/a", False),
        ("s3:GetObject", "arn:aws:s3:::others/a", False),
        ("s3:GetObject", f"arn:aws:s3:::{LONGER}/a", False),
        ("s3:GetObject", f"arn:aws:s3:::{OTHER}/a", False),
        ("s3:ListBucket", f"arn:aws:s3:::{LONGER}", False),
        ("s3:DeleteObjectVersion", f"{BUCKET}/a", False),
        ("ecr:BatchGetImage", REPOSITORY, True),
        ("ecr:GetAuthorizationToken", "*", True),
        ("ecr:BatchGetImage", f"{REPOSITORY}2", False),
        ("ecr:BatchGetImage", REPOSITORY.replace("s4/node", "s4/service"), False),
        ("ecr:PutImage", REPOSITORY, False),
        ("iam:CreateUser", "*", False),
        ("ec2:RunInstances", INSTANCE, False),
    ):
        ask = asked(action, resource, {})
        assert is_allowed(ask, [policy], boundary()) == allowed, (action, resource)
        if action.startswith("s3:"):
            theirs = asked(action, resource, {"s3:ResourceAccount": "210987654321"})
            assert not is_allowed(theirs, [policy], boundary()), resource


@pytest.mark.parametrize("action", PULL_ACTIONS)
def test_a_host_pulls_from_one_repository(action: str) -> None:
    """A host pulls its image, from that repository alone; one whose program is on its
    machine already pulls nothing.
    """
    assert host(action, REPOSITORY)
    assert host("ecr:GetAuthorizationToken", "*")
    for other in ("s4/service", "s4/node/x", "s5/node"):
        assert not host(action, REPOSITORY.replace("s4/node", other))
    assert not host(action, REPOSITORY.replace(ACCOUNT, "210987654321"))
    assert not host("ecr:PutImage", REPOSITORY)
    assert not host(action, REPOSITORY, pulls=False)
    assert not host("ecr:GetAuthorizationToken", "*", pulls=False)


@pytest.mark.parametrize("name", [LONGER, OTHER, f"{NAME}7", NAME[:-1]])
def test_names_that_only_begin_alike_are_out_of_reach(name: str) -> None:
    """A bucket, a role or a profile of another deployment is not the daemon's to make,
    change, empty or delete, though its name begins like one of ours.
    """
    bound = {"iam:PermissionsBoundary": BOUNDARY}
    for action, resource, known in (
        ("s3:CreateBucket", BUCKET, {}),
        ("s3:DeleteBucket", BUCKET, {}),
        ("s3:PutBucketPolicy", BUCKET, {}),
        ("s3:DeleteObjectVersion", f"{BUCKET}/a", {}),
        ("iam:CreateRole", ROLE, bound),
        ("iam:PutRolePolicy", ROLE, bound),
        ("iam:DeleteRole", ROLE, {}),
        ("iam:PassRole", ROLE, {}),
        ("iam:GetRole", ROLE, {}),
        ("iam:GetRole", ROLE.replace(ROLE_PATH, "/"), {}),
        ("iam:GetRolePolicy", ROLE, {}),
        ("iam:DeleteInstanceProfile", ROLE.replace(":role", ":instance-profile"), {}),
        ("iam:GetInstanceProfile", ROLE.replace(":role", ":instance-profile"), {}),
        (
            "iam:GetInstanceProfile",
            ROLE.replace(f":role{ROLE_PATH}", ":instance-profile/"),
            {},
        ),
    ):
        assert daemon(action, resource, **known), action
        assert not daemon(action, resource.replace(NAME, name), **known), action


def test_a_bucket_of_another_account_is_out_of_reach() -> None:
    """A name of ours that another account took is not used, whatever its owner allows;
    the state bucket neither.
    """
    theirs = {"s3:ResourceAccount": "210987654321"}
    for action, resource in (
        ("s3:PutBucketPolicy", BUCKET),
        ("s3:DeleteObject", f"{BUCKET}/a"),
        ("s3:PutObject", f"{STATE}/a"),
        ("s3:GetObject", f"{STATE}/a"),
        ("s3:ListBucket", STATE),
    ):
        assert daemon(action, resource), action
        assert not daemon(action, resource, **theirs), action


def test_a_new_label_has_the_form_that_the_policies_match() -> None:
    """Whatever label a grid gets, its bucket is within the daemon's reach."""
    for _ in range(50):
        assert daemon("s3:CreateBucket", f"arn:aws:s3:::s4-{new_grid_label()}")


LAUNCH = {
    "aws:RequestTag/s4:deployment": "s4",
    "ec2:InstanceType": "t3a.small",
    "ec2:MetadataHttpTokens": "required",
}
TAGGED = {"aws:RequestTag/s4:deployment": "s4"}
FEDORA = {"ec2:Owner": "125523088429"}


@pytest.mark.parametrize(
    ("resource", "right", "wrong"),
    [
        (INSTANCE, LAUNCH, {"aws:RequestTag/s4:deployment": "other"}),
        (INSTANCE, LAUNCH, {"ec2:MetadataHttpTokens": "optional"}),
        (INSTANCE, LAUNCH, {"ec2:InstanceType": "p5.48xlarge"}),
        (f"{EC2}:volume/*", {**TAGGED, "ec2:Encrypted": "true"}, {"ec2:Encrypted": ""}),
        (f"arn:aws:ec2:{REGION}::image/ami-1", FEDORA, {"ec2:Owner": "210987654321"}),
    ],
)
def test_the_daemon_launches_as_it_should_only(
    resource: str, right: dict[str, str], wrong: dict[str, str]
) -> None:
    """An instance without the deployment's tag, or whose metadata needs no token, or of
    another type, or with a volume in the clear, or of an image that somebody else
    published, is not the daemon's to launch.
    """
    assert daemon("ec2:RunInstances", resource, **right)
    assert not daemon("ec2:RunInstances", resource, **(right | wrong))
    for key in wrong:
        left = {k: v for k, v in right.items() if k != key}
        assert not daemon("ec2:RunInstances", resource, **left)


def test_a_change_of_image_leaves_older_launches_repeatable() -> None:
    """The daemon may launch any image of the owner's: a launch that waits names the one
    of its day, and is repeated as it was.
    """
    for image in ("ami-1", "ami-2"):
        named = f"arn:aws:ec2:{REGION}::image/{image}"
        assert daemon("ec2:RunInstances", named, **FEDORA)


@pytest.mark.parametrize(
    ("kind", "ours"), [("subnet", "subnet-1"), ("security-group", GROUP)]
)
def test_the_daemon_launches_into_its_cell_alone(kind: str, ours: str) -> None:
    """Another subnet, or security group, of the account is not the daemon's to use."""
    assert daemon("ec2:RunInstances", f"{EC2}:{kind}/{ours}")
    assert not daemon("ec2:RunInstances", f"{EC2}:{kind}/{ours}2")


RECORDS = "route53:ChangeResourceRecordSets"


def changes(*batch: tuple[str, str, str]) -> Ask:
    """A batch of changes (action, type, name), as Route 53 shows it to IAM."""
    body = "".join(
        f"<Change><Action>{action}</Action><ResourceRecordSet><Name>{name}</Name>"
        f"<Type>{kind}</Type></ResourceRecordSet></Change>"
        for action, kind, name in batch
    )
    known = record_changes(f"<R>{body}</R>".encode())
    return Ask(RECORDS, "arn:aws:route53:::hostedzone/Z1", known)


HOST = ("UPSERT", "A", f"{LABEL}.{ZONE}.")


@pytest.mark.parametrize(
    "wrong",
    [
        ("UPSERT", "A", f"www.{ZONE}"),
        ("UPSERT", "A", ZONE),
        ("UPSERT", "A", f"*.{ZONE}"),
        ("UPSERT", "A", f"\\052.{ZONE}"),
        ("UPSERT", "A", f"{LABEL}.evil.{ZONE}"),
        ("UPSERT", "TXT", f"{LABEL}.{ZONE}"),
        ("UPSERT", "CNAME", f"{LABEL}.{ZONE}"),
        ("DELETE", "NS", ZONE),
        ("CREATE", "A", f"{LABEL}.{ZONE}"),
    ],
)
def test_the_daemon_changes_addresses_of_hosts_alone(
    wrong: tuple[str, str, str],
) -> None:
    """The daemon gives and takes hosts' A records; no record of another type or name,
    the wildcard neither, not even in one batch with a host's.
    """
    policy = [daemons()]
    assert is_allowed(changes(HOST), policy)
    assert is_allowed(changes(("DELETE", "A", HOST[2].upper()), HOST), policy)
    assert not is_allowed(changes(wrong), policy)
    assert not is_allowed(changes(HOST, wrong), policy)
    other = Ask(RECORDS, "arn:aws:route53:::hostedzone/Z2", changes(HOST).context)
    assert not is_allowed(other, policy)


@pytest.mark.parametrize("action", ["kms:GenerateDataKey", "kms:Decrypt"])
def test_the_sealing_key_seals_identities_alone(action: str) -> None:
    """The key is the daemon's for identities and the canary, and for nothing else that
    is encrypted under it.
    """
    context = "kms:EncryptionContext:kind"
    assert daemon(action, KEY, **{context: "identity"})
    assert daemon(action, KEY, **{context: "canary"})
    assert not daemon(action, KEY, **{context: "backup"})
    assert not daemon(action, KEY)
    assert not daemon(action, KEY + "2", **{context: "identity"})


@pytest.mark.parametrize("given", [None, KEY.replace("key/k", "key/theirs")])
def test_a_key_of_volumes_is_ec2s_to_use(given: str | None) -> None:
    """EC2 may use the key of volumes, the stack's or another one that the settings name,
    in the daemon's name and be lent it; the daemon itself may not.
    """
    volumes = given or VOLUMES_KEY
    policy = [daemons(volume_kms_key=given)]
    by_ec2 = {"kms:ViaService": f"ec2.{REGION}.amazonaws.com"}
    lent = {**by_ec2, "kms:GrantIsForAWSResource": "true"}
    uses = ("kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:Decrypt")
    for action in uses:
        assert is_allowed(asked(action, volumes, by_ec2), policy)
        assert not is_allowed(asked(action, volumes, {}), policy)
        assert not is_allowed(asked(action, volumes + "2", by_ec2), policy)
    assert is_allowed(asked("kms:CreateGrant", volumes, lent), policy)
    for known in (by_ec2, {**lent, "kms:GrantIsForAWSResource": "false"}):
        assert not is_allowed(asked("kms:CreateGrant", volumes, known), policy)


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
    bound = {"iam:PermissionsBoundary": BOUNDARY}
    for action in ("iam:CreateRole", "iam:PutRolePolicy"):
        assert daemon(action, ROLE, **bound)
        assert not daemon(action, ROLE)
        assert not daemon(action, ROLE.replace(ROLE_PATH, "/"), **bound)
    assert daemon("iam:PassRole", ROLE, **{"iam:PassedToService": "ec2.amazonaws.com"})
    assert not daemon(
        "iam:PassRole", ROLE, **{"iam:PassedToService": "lambda.amazonaws.com"}
    )
    assert not daemon("iam:DeleteRolePermissionsBoundary", ROLE)


def test_the_daemon_never_deletes_its_state() -> None:
    """Sealed identities are written and read, and never deleted; nor is the bucket
    changed, even if its name looks like a customer's.
    """
    for name in (STATE_BUCKET, NAME):
        policy, state = [daemons(state_bucket=name)], f"arn:aws:s3:::{name}"
        for action, resource, allowed in (
            ("s3:PutObject", f"{state}/identities/su1/1.sealed", True),
            ("s3:GetObject", f"{state}/identities/su1/1.sealed", True),
            ("s3:ListBucket", state, True),
            ("s3:DeleteObject", f"{state}/identities/su1/1.sealed", False),
            ("s3:DeleteObjectVersion", f"{state}/identities/su1/1.sealed", False),
            ("s3:DeleteBucket", state, False),
            ("s3:PutBucketPolicy", state, False),
            ("s3:PutBucketVersioning", state, False),
            ("s3:PutLifecycleConfiguration", state, False),
        ):
            assert is_allowed(asked(action, resource, {}), policy) == allowed, action
    assert daemon("s3:PutBucketPolicy", BUCKET)


def test_the_state_bucket_takes_each_object_once() -> None:
    """The bucket's own policy refuses whoever would replace an object, or delete one,
    be it an administrator; an upload that replaces nothing is theirs to make.
    """
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    theirs = [
        {k: v for k, v in statement.items() if k != "Principal"}
        for statement in state_bucket()["Statement"]
    ]

    def may(action: str, **context: str) -> bool:
        ask = asked(action, f"{STATE}/a", {"aws:SecureTransport": "true"} | context)
        return is_allowed(ask, [everything, {"Statement": theirs}])

    assert may("s3:PutObject", **{"s3:if-none-match": "*"})
    assert may("s3:GetObject")
    assert not may("s3:PutObject")
    assert not may("s3:PutObject", **{"s3:if-match": "etag"})
    assert not may("s3:DeleteObject")
    assert not may("s3:DeleteObjectVersion")
    assert not may("s3:GetObject", **{"aws:SecureTransport": "false"})


def test_the_daemon_does_not_read_customers_objects() -> None:
    """The daemon makes and empties customers' buckets; it reads nothing in them."""
    assert not daemon("s3:GetObject", "{BUCKET}/v1/share")
    assert not daemon("s3:PutObject", "{BUCKET}/v1/share")


def test_the_backup_is_never_deleted() -> None:
    """The journal's backup is written and read, and never deleted by the daemon; without
    a backup nothing is said of any; a host reaches none of it.
    """
    backup, name = "arn:aws:s3:::s4-backup", "s4-backup"
    policy = [daemons(backup_bucket=name)]
    for action, resource, allowed in (
        ("s3:PutObject", f"{backup}/s4/lives/1/a", True),
        ("s3:GetObject", f"{backup}/s4/lives/1/a", True),
        ("s3:ListBucket", backup, True),
        ("s3:DeleteObject", f"{backup}/s4/lives/1/a", False),
        ("s3:DeleteObjectVersion", f"{backup}/s4/lives/1/a", False),
        ("s3:PutLifecycleConfiguration", backup, False),
        ("s3:PutBucketVersioning", backup, False),
    ):
        assert is_allowed(asked(action, resource, {}), policy) == allowed, action
        assert not daemon(action, resource), action
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    named = boundary(backup_bucket=NAME)
    ask = asked("s3:GetObject", f"{BUCKET}/a", {})
    assert not is_allowed(ask, [everything], named)
    assert is_allowed(ask, [everything], boundary())


def test_tls_only() -> None:
    """The bucket's policy refuses every call that does not come over TLS."""
    [statement] = json.loads(bucket_policy(NAME))["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [BUCKET, f"{BUCKET}/*"]


def test_trust() -> None:
    """A host's role is taken by EC2, and by nobody else."""
    [statement] = json.loads(trust_policy())["Statement"]
    assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}


def test_same() -> None:
    """Two policies are the same however they are written, and text is none."""
    assert same_policy('{"a": [1], "b": 2}', '{"b":2,"a":[1]}')
    assert not same_policy('{"a": 1}', '{"a": 2}')
    assert not same_policy("", "{}")
