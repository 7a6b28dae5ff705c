"""Each condition in a policy of ours is one that AWS documents for that action.

IAM takes any name for a key.  A misspelt one is never in a request: "Allow" then refuses
all, and ``ForAllValues`` and ``IfExists`` limit nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lae_provision.aws.policies import bucket_policy, host_policy
from tests.provision.wanted import NAME, boundary, daemons, state_bucket

REPOSITORY = "arn:aws:ecr:eu-west-1:123456789012:repository/s4/node"
RECORDS = "route53:ChangeResourceRecordSets"
#: From the Service Authorization Reference (docs.aws.amazon.com), read in November 2026:
#: the keys that policies of ours use, by action; a tag's or a context's own name is left
#: out.
DOCUMENTED = {
    "ec2:CreateSnapshot": {"aws:RequestTag/", "aws:ResourceTag/"},
    "ec2:CreateTags": {"ec2:CreateAction"},
    "ec2:GetConsoleOutput": {"aws:ResourceTag/"},
    "ec2:RunInstances": {
        "aws:RequestTag/",
        "ec2:Encrypted",
        "ec2:InstanceType",
        "ec2:MetadataHttpTokens",
        "ec2:Owner",
    },
    "ec2:TerminateInstances": {"aws:ResourceTag/"},
    "iam:CreateRole": {"iam:PermissionsBoundary"},
    "iam:PassRole": {"iam:PassedToService"},
    "iam:PutRolePolicy": {"iam:PermissionsBoundary"},
    "kms:CreateGrant": {"kms:GrantIsForAWSResource", "kms:ViaService"},
    "kms:Decrypt": {"kms:EncryptionContext:", "kms:ViaService"},
    "kms:DescribeKey": {"kms:ViaService"},
    "kms:GenerateDataKey": {"kms:EncryptionContext:", "kms:ViaService"},
    "kms:GenerateDataKeyWithoutPlaintext": {"kms:ViaService"},
    "kms:ReEncrypt*": {"kms:ViaService"},
    RECORDS: {
        f"{RECORDS}Actions",
        f"{RECORDS}NormalizedRecordNames",
        f"{RECORDS}RecordTypes",
    },
    "s3:PutObject": {"s3:ResourceAccount", "s3:if-none-match"},
}
#: All of S3's actions on buckets and objects have the first; every request the second.
S3, ALL = "s3:ResourceAccount", "aws:SecureTransport"


def conditions(policy: str) -> Iterator[tuple[str, str]]:
    """Each action of a policy with each key of its conditions."""
    for statement in json.loads(policy)["Statement"]:
        named = statement.get("Action", statement.get("NotAction"))
        for action in [named] if isinstance(named, str) else named:
            for keys in statement.get("Condition", {}).values():
                yield from ((action, key) for key in keys)


def documented(action: str, key: str) -> bool:
    known = DOCUMENTED.get(action, set()) | {ALL}
    if action.startswith("s3:"):
        known |= {S3}
    ends = ("/", ":")
    return any(key == k or (k.endswith(ends) and key.startswith(k)) for k in known)


def policies() -> Mapping[str, Any]:
    return {
        "daemon": json.dumps(daemons(backup_bucket="s4-backup")),
        "boundary": json.dumps(boundary(backup_bucket="s4-backup")),
        "host": host_policy(NAME, repository=REPOSITORY),
        "bucket": bucket_policy(NAME),
        "state bucket": json.dumps(state_bucket()),
    }


@pytest.mark.parametrize("name", sorted(policies()))
def test_each_condition_is_documented_for_its_action(name: str) -> None:
    """No policy of ours has a condition that AWS does not know for that action."""
    found = list(conditions(policies()[name]))
    assert [pair for pair in found if not documented(*pair)] == []
    assert bool(found) == (name != "host")


@pytest.mark.parametrize(
    ("action", "key"),
    [
        (RECORDS, f"{RECORDS}RecordType"),
        ("ec2:RunInstances", "ec2:ImageOwner"),
        ("ec2:TerminateInstances", "ec2:Owner"),
        ("s3:GetObject", "s3:if-none-match"),
        ("kms:Decrypt", "kms:EncryptionContext"),
    ],
)
def test_a_misspelt_condition_is_found(action: str, key: str) -> None:
    """A key that is nearly right, or another action's, is told apart."""
    assert not documented(action, key)
