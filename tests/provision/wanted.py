"""What a deployment named ``s4`` needs of its account."""

from __future__ import annotations

from typing import Any

from lae_provision.account.desired import Desired, Names
from lae_provision.hosts.programs import ImageReference
from tests.provision.template import Filled

ACCOUNT = "123456789012"
REGION = "eu-west-1"
DEPLOYMENT = "s4"
STATE_BUCKET = "s4-state"
ROLE_PATH = "/s4/s4/"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/s4/s4/boundary"
ZONE = "grid.example"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k"
VOLUMES_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/volumes"
GROUP = "sg-1"
#: A label, and the names of buckets, roles and hosts that have it.
LABEL = "gabcdefghij23456"
NAME = f"{DEPLOYMENT}-{LABEL}"
IMAGE = ImageReference(
    f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/s4/node@sha256:{'0' * 64}"
)


def wanted(**changes: Any) -> Desired:
    """The deployment, with *changes*."""
    plain: dict[str, Any] = {
        "account": ACCOUNT,
        "region": REGION,
        "deployment": DEPLOYMENT,
        "state_bucket": STATE_BUCKET,
        "kms_key": "alias/s4",
        "boundary_arn": BOUNDARY,
        "role_path": ROLE_PATH,
        "daemon": "role",
        "names": Names(ZONE, ZONE),
        "dns_zone_id": "Z1",
        "subnet_id": "subnet-1",
        "zone": "eu-west-1a",
        "instance_type": "t3a.small",
        "image_id": "ami-0123456789abcdef0",
        "image_owner": "125523088429",
        "spans": ((3456, 3456), (3457, 3457)),
        "image": IMAGE,
    }
    return Desired(**{**plain, **changes})


def filled(*, group: str = GROUP, **changes: Any) -> Filled:
    """The account's template for that deployment, and the ids of what it makes."""
    ids = {
        "Boundary": BOUNDARY,
        "HostsGroup.GroupId": group,
        "NodeImages.Arn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/s4/node",
        "SealingKey.Arn": KEY,
        "VolumesKey.Arn": VOLUMES_KEY,
    }
    parameters = wanted(**changes).parameters(None, "vpc-1")
    return Filled(parameters, ids, account=ACCOUNT, region=REGION)


def boundary(**changes: Any) -> dict[str, Any]:
    """The boundary of hosts' roles."""
    document: dict[str, Any] = filled(**changes).properties("Boundary")[
        "PolicyDocument"
    ]
    return document


def daemons(**changes: Any) -> dict[str, Any]:
    """What the daemon may do, by both of its policies."""
    made = filled(**changes)
    both = [
        made.properties(name)["PolicyDocument"]
        for name in made.properties("DaemonRole")["ManagedPolicyArns"]
        for name in [name.strip("<>")]
    ]
    return {
        "Version": both[0]["Version"],
        "Statement": [s for document in both for s in document["Statement"]],
    }


def state_bucket() -> dict[str, Any]:
    """The state bucket's own policy."""
    document: dict[str, Any] = filled().properties("StateBucketPolicy")[
        "PolicyDocument"
    ]
    return document
