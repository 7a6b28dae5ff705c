"""What a deployment needs of its account, worked out from what names it.  Pure."""

from __future__ import annotations

import json
import re
from typing import Literal

from attrs import define, field

from lae_protocol.process.resources import config_folder
from lae_provision.account.daemon import Daemon
from lae_provision.account.log_group import LogGroup
from lae_provision.account.policy import Policy
from lae_provision.account.quotas import Capacity
from lae_provision.account.sealing_key import SealingKey
from lae_provision.account.security_group import SecurityGroup
from lae_provision.account.state_bucket import StateBucket
from lae_provision.account.wildcard import Wildcard
from lae_provision.aws.policies import render

BOUNDARY, DAEMONS_POLICY = "boundary", "daemon's policy"
_SEALS = "SealIdentities"
_KMS_ARN = re.compile(r"arn:[^:]+:kms:([^:]+):(\d{12}):(?:key|alias)/.+")
_POLICY_ARN = re.compile(r"arn:[^:]+:iam::(\d{12}):policy/(?:.*/)?[^/]+")


@define(frozen=True)
class Desired:
    """One deployment in one region.  *kms_key* is None where files seal identities;
    *spans* are the grid's ports, first and last of each; *dns_zone_id* and the others
    are the ids that stand in the settings.
    """

    account: str
    region: str
    deployment: str
    state_bucket: str
    kms_key: str | None
    boundary_arn: str
    role_path: str
    daemon: Literal["role", "user"]
    dns_zone: str
    dns_zone_id: str
    subnet_id: str
    zone: str
    instance_type: str
    spans: tuple[tuple[int, int], ...]
    security_groups: tuple[str, ...] = ()
    tls_only: bool = True
    capacity: Capacity = field(factory=Capacity)

    def problems(self) -> tuple[str, ...]:
        """Where the settings speak of another account or region than their own."""
        found = []
        named = _KMS_ARN.fullmatch(self.kms_key or "")
        if named and named[1] != self.region:
            found.append(f"sealing.kms_key is in {named[1]}, aws.region {self.region}")
        if named and named[2] != self.account:
            found.append(f"sealing.kms_key is of {named[2]}, not of {self.account}")
        bound = _POLICY_ARN.fullmatch(self.boundary_arn)
        if bound is None:
            found.append(f"cells.boundary_arn is no policy's: {self.boundary_arn}")
        elif bound[1] != self.account:
            found.append(f"cells.boundary_arn is of {bound[1]}, not of {self.account}")
        if not re.fullmatch(r"/(?:[\w.,+@=-]+/)+", self.role_path):
            found.append("cells.role_path must begin and end with a slash: /s4/NAME/")
        return tuple(found)

    @property
    def bucket(self) -> StateBucket:
        """Where sealed identities lie."""
        return StateBucket(
            self.state_bucket, self.region, self.deployment, self.tls_only
        )

    @property
    def key(self) -> SealingKey | None:
        """What seals them."""
        if self.kms_key is None:
            return None
        return SealingKey(self.kms_key, self.deployment)

    @property
    def boundary(self) -> Policy:
        """What a host's role may do at most."""
        document = _shipped("boundary", self._names(""))
        return Policy(BOUNDARY, self.boundary_arn, document, self.deployment)

    @property
    def daemons_policy_arn(self) -> str:
        """Where the daemon's own policy is: not under the path of its roles."""
        return f"arn:aws:iam::{self.account}:policy/s4-daemon/{self.deployment}-daemon"

    def daemons_policy(self, key_arn: str | None) -> Policy:
        """What the daemon may do, once the key that it names is known."""
        document = None
        if self.kms_key is None:
            document = _without(_shipped("daemon", self._names("none")), _SEALS)
        elif key_arn is not None:
            document = _shipped("daemon", self._names(key_arn))
        return Policy(
            DAEMONS_POLICY, self.daemons_policy_arn, document, self.deployment
        )

    @property
    def who(self) -> Daemon:
        """Whom AWS knows the daemon as."""
        return Daemon(
            f"{self.deployment}-daemon",
            self.daemon,
            self.daemons_policy_arn,
            self.deployment,
        )

    @property
    def log_group(self) -> LogGroup:
        """The deployment's logs."""
        return LogGroup(f"/s4/{self.deployment}", self.deployment)

    @property
    def wildcard(self) -> Wildcard:
        """What stands for names that have no record yet."""
        return Wildcard(self.dns_zone, self.dns_zone_id)

    @property
    def security_group(self) -> SecurityGroup:
        """What lets customers in."""
        return SecurityGroup(
            f"{self.deployment}-hosts",
            self.spans,
            self.security_groups,
            self.deployment,
        )

    def _names(self, key_arn: str) -> dict[str, str]:
        return {
            "ACCOUNT": self.account,
            "BOUNDARY_ARN": self.boundary_arn,
            "DEPLOYMENT": self.deployment,
            "KMS_KEY_ARN": key_arn,
            "REGION": self.region,
            "ROLE_PATH": self.role_path,
            "STATE_BUCKET": self.state_bucket,
            "ZONE_ID": self.dns_zone_id,
        }


def _shipped(name: str, names: dict[str, str]) -> str:
    return render((config_folder() / "policies" / f"{name}.json").read_text(), names)


def _without(policy: str, sid: str) -> str:
    document = json.loads(policy)
    kept = [s for s in document["Statement"] if s.get("Sid") != sid]
    return json.dumps({**document, "Statement": kept})
