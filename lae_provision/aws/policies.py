"""IAM's and S3's policies as pure functions: what a host may do, and what a bucket
refuses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

VERSION = "2012-10-17"
#: The name of the one inline policy of a host's role.
INLINE = "own-bucket"

#: On objects: a host writes, reads and deletes (a marker; versions stay until the
#: lifecycle takes them), and uploads in parts.
OBJECT_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)
#: On the bucket: it lists, and changes nothing.
BUCKET_ACTIONS = (
    "s3:GetBucketLocation",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    # What noncurrent versions take is the customer's, too; the host cannot read them.
    "s3:ListBucketVersions",
)


def host_policy(bucket: str) -> str:
    """What a customer's host may do: its own bucket's objects, and nothing else."""
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
    """Who may take a host's role: EC2, for its instances."""
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )


def bucket_policy(bucket: str) -> str:
    """Refuses whatever does not come over TLS, whoever asks."""
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
    """A policy of these statements, the same text each time."""
    policy = {"Version": VERSION, "Statement": list(statements)}
    return json.dumps(policy, sort_keys=True, separators=(",", ":"))


def same(one: str, other: str) -> bool:
    """Whether two policies say the same, however they are written."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def render(template: str, values: Mapping[str, str]) -> str:
    """A policy of ``config/policies/`` with its ``@NAMES@`` filled in.

    Raises ValueError where one is left: it would be a policy of nobody's.
    """
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    if "@" in template:
        raise ValueError(f"no value for @{template.split('@')[1]}@")
    return json.dumps(json.loads(template), indent=2)
