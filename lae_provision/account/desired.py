"""What a deployment needs in its account, worked out from the settings.  Pure."""

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
    """One deployment in one region.  *kms_key* is None when keys in files seal
    identities; *spans* are the grid's ports, the first and last of each range.
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
        """Find settings that name another account or region than ``aws`` does."""
        found = []
        named = _KMS_ARN.fullmatch(self.kms_key or "")
        if named and named[1] != self.region:
            found.append(f"sealing.kms_key is in {named[1]}, not in {self.region}")
        if named and named[2] != self.account:
            found.append(f"sealing.kms_key is of {named[2]}, not of {self.account}")
        bound = _POLICY_ARN.fullmatch(self.boundary_arn)
        if bound is None:
            found.append(
                f"cells.boundary_arn is not a policy's ARN: {self.boundary_arn}"
            )
        elif bound[1] != self.account:
            found.append(f"cells.boundary_arn is of {bound[1]}, not of {self.account}")
        if not re.fullmatch(r"/(?:[\w.,+@=-]+/)+", self.role_path):
            found.append("cells.role_path must begin and end with a slash: /s4/NAME/")
        return tuple(found)

    @property
    def bucket(self) -> StateBucket:
        """The bucket of sealed identities."""
        return StateBucket(
            self.state_bucket, self.region, self.deployment, self.tls_only
        )

    @property
    def key(self) -> SealingKey | None:
        """The KMS key that seals identities, if any."""
        if self.kms_key is None:
            return None
        return SealingKey(self.kms_key, self.deployment)

    @property
    def boundary(self) -> Policy:
        """The permissions boundary of hosts' roles."""
        document = _shipped("boundary", self._names(""))
        return Policy(BOUNDARY, self.boundary_arn, document, self.deployment)

    @property
    def daemons_policy_arn(self) -> str:
        """The ARN of the daemon's policy, outside the path of hosts' roles."""
        return f"arn:aws:iam::{self.account}:policy/s4-daemon/{self.deployment}-daemon"

    def daemons_policy(self, key_arn: str | None) -> Policy:
        """The daemon's policy, which has no text until the sealing key is known."""
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
        """The daemon's role or user."""
        return Daemon(
            f"{self.deployment}-daemon",
            self.daemon,
            self.daemons_policy_arn,
            self.deployment,
        )

    @property
    def log_group(self) -> LogGroup:
        """The log group of the deployment."""
        return LogGroup(f"/s4/{self.deployment}", self.deployment)

    @property
    def wildcard(self) -> Wildcard:
        """The wildcard record of the customers' zone."""
        return Wildcard(self.dns_zone, self.dns_zone_id)

    @property
    def security_group(self) -> SecurityGroup:
        """The security group of customers' hosts."""
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
