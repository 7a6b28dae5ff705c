"""IAM and S3 policies, as pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

VERSION = "2012-10-17"
#: The name of the one inline policy of a host's role.
INLINE = "own-bucket"

#: A grid's label (``lae_protocol.ids.GRID_LABEL``) as IAM can match it: by its length,
#: so that nothing of another deployment matches whose name begins like ours.
ANY_LABEL = "g" + "?" * 15

#: On objects: a host writes, reads, uploads in parts, and deletes (which sets a marker;
#: the lifecycle removes old versions).
OBJECT_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)
#: On the bucket: a host lists, and changes nothing.
BUCKET_ACTIONS = (
    "s3:GetBucketLocation",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    # To measure noncurrent versions, whose contents the host cannot read.
    "s3:ListBucketVersions",
)


#: Of those, what changes no object.
READING_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
)
#: What a host that may only read keeps writing: its epoch, without which it serves
#: nobody; its counts; leases, so that nothing is lost by being in arrears; advisories.
OWN_RECORDS = ("advisories", "leases", "meter", "s4")
#: The statement that says what a host may do with shares.
OBJECTS = "Objects"
#: On the repository of its image: a host pulls.
PULL_ACTIONS = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
)


def host_policy(
    bucket: str, *, writes: bool = True, repository: str | None = None
) -> str:
    """Allow a host to use the objects of its own bucket, to pull from *repository* (an
    ARN; None: it pulls nothing), and nothing else.

    Without *writes* it reads all objects and writes its own records alone.
    """
    actions = OBJECT_ACTIONS if writes else READING_ACTIONS
    records = {
        "Sid": "Records",
        "Effect": "Allow",
        "Action": ["s3:PutObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/{kind}/*" for kind in OWN_RECORDS],
    }
    return document(
        {
            "Sid": OBJECTS,
            "Effect": "Allow",
            "Action": list(actions),
            "Resource": f"arn:aws:s3:::{bucket}/*",
        },
        *(() if writes else (records,)),
        {
            "Sid": "Bucket",
            "Effect": "Allow",
            "Action": list(BUCKET_ACTIONS),
            "Resource": f"arn:aws:s3:::{bucket}",
        },
        *(() if repository is None else _pulling(repository)),
    )


def _pulling(repository: str) -> tuple[Mapping[str, Any], ...]:
    return (
        {
            "Sid": "Pull",
            "Effect": "Allow",
            "Action": list(PULL_ACTIONS),
            "Resource": repository,
        },
        {
            # A token is of the account, and reaches what its holder may pull.
            "Sid": "LogInToRegistries",
            "Effect": "Allow",
            "Action": "ecr:GetAuthorizationToken",
            "Resource": "*",
        },
    )


def may_write(policy: str) -> bool:
    """Whether a host's policy lets it change shares; what cannot be read may."""
    try:
        statements = json.loads(policy)["Statement"]
        objects = [s["Action"] for s in statements if s.get("Sid") == OBJECTS]
    except (ValueError, KeyError, TypeError, AttributeError):
        return True
    return all("s3:PutObject" in actions for actions in objects)


def trust_policy() -> str:
    """Allow EC2 to assume a role, for its instances."""
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )


def bucket_policy(bucket: str) -> str:
    """Refuse every request that does not use TLS."""
    return document(
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )


def document(*statements: Mapping[str, Any]) -> str:
    """Make a policy of these statements, always as the same text."""
    policy = {"Version": VERSION, "Statement": list(statements)}
    return json.dumps(policy, sort_keys=True, separators=(",", ":"))


def same_policy(one: str, other: str) -> bool:
    """Whether two policies mean the same, however they are formatted."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False
