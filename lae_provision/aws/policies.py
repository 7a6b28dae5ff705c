"""IAM and S3 policies, as pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

VERSION = "2012-10-17"
#: The name of the one inline policy of a host's role.
INLINE = "own-bucket"

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


def host_policy(bucket: str) -> str:
    """Allow a host to use the objects of its own bucket, and nothing else."""
    return document(
        {
            "Sid": "Objects",
            "Effect": "Allow",
            "Action": list(OBJECT_ACTIONS),
            "Resource": f"arn:aws:s3:::{bucket}/*",
        },
        {
            "Sid": "Bucket",
            "Effect": "Allow",
            "Action": list(BUCKET_ACTIONS),
            "Resource": f"arn:aws:s3:::{bucket}",
        },
    )


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


def render(template: str, values: Mapping[str, str]) -> str:
    """Fill the ``@NAMES@`` of a policy in ``config/policies/``.

    Raises ValueError if a name is left.
    """
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    if "@" in template:
        raise ValueError(f"no value for @{template.split('@')[1]}@")
    return json.dumps(json.loads(template), indent=2)
