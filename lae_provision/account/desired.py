"""What a deployment needs in its account, worked out from the settings.  Pure."""

from __future__ import annotations

import re
from typing import Literal

from attrs import define, field

from lae_provision.account.ami import WantedAmi
from lae_provision.account.quotas import Capacity
from lae_provision.account.stacks import Stack
from lae_provision.hosts.programs import ImageReference

_KMS_ARN = re.compile(r"arn:[^:]+:kms:([^:]+):(\d{12}):key/.+")
#: The longest part of a text record.
_TEXT = 255


@define(frozen=True)
class Dkim:
    """One DKIM record: a text of the mail's domain, or an alias of the sender's."""

    selector: str
    value: str


@define(frozen=True)
class MailRecords:
    """What receivers of mail look up: who may send it (*spf*), what becomes of the rest
    (*dmarc*), and up to three keys.
    """

    domain: str
    bounces: str
    spf: str
    dmarc: str
    dkim_type: Literal["TXT", "CNAME"] = "TXT"
    dkim: tuple[Dkim, ...] = ()

    def parameters(self) -> dict[str, str]:
        """The template's parameters."""
        made = {
            "MailDomain": self.domain,
            "BounceDomain": self.bounces,
            "Spf": self.spf,
            "Dmarc": self.dmarc,
            "DkimType": self.dkim_type,
        }
        for number, one in enumerate(self.dkim, 1):
            made[f"Dkim{number}Selector"] = one.selector
            value = one.value if self.dkim_type == "CNAME" else quoted(one.value)
            made[f"Dkim{number}Value"] = value
        return made


@define(frozen=True)
class Machine:
    """The daemon's machine, for *release*; operators reach it from *operators_from*
    (a CIDR; "" for nowhere).
    """

    release: str
    image_id: str
    instance_type: str
    key: str
    operators_from: str = ""
    volume_gib: int = 20

    def parameters(self) -> dict[str, str]:
        """The template's parameters."""
        return {
            "Release": self.release,
            "MachineImageId": self.image_id,
            "MachineType": self.instance_type,
            "MachineKey": self.key,
            "OperatorsFrom": self.operators_from,
            "VolumeGib": str(self.volume_gib),
        }


@define(frozen=True)
class Names:
    """The hosted zone's name, the domain of customers' hosts in it, and the names of
    site and daemon ("" where they are elsewhere).
    """

    domain: str
    grids: str
    site: str = ""
    daemon: str = ""

    def has(self, name: str) -> bool:
        """Whether the name is in the hosted zone."""
        return name == self.domain or name.endswith("." + self.domain)


@define(frozen=True)
class Desired:
    """One deployment in one region.  *kms_key* is None when keys in files seal
    identities; *spans* are the grid's ports, the first and last of each range.

    *backup_bucket* is "" without a backup.  An id that is "" (subnet, hosted zone,
    group) is of what the stack itself makes.
    *image* is None where hosts pull none; *volume_kms_key* is None where volumes have
    EBS' own key.
    """

    account: str
    region: str
    deployment: str
    state_bucket: str
    kms_key: str | None
    boundary_arn: str
    role_path: str
    daemon: Literal["role", "user"]
    names: Names
    dns_zone_id: str
    subnet_id: str
    zone: str
    instance_type: str
    image_id: str
    image_owner: str
    spans: tuple[tuple[int, int], ...]
    security_groups: tuple[str, ...] = ()
    image: ImageReference | None = None
    volume_gib: int = 10
    volume_kms_key: str | None = None
    tls_only: bool = True
    capacity: Capacity = field(factory=Capacity)
    backup_bucket: str = ""
    backup_region: str = ""
    mail: MailRecords | None = None
    machine: Machine | None = None
    log_days: int = 90
    hosts_port: int = 4002
    private_port: int = 4001

    @property
    def stack(self) -> str:
        """The stack's name."""
        return self.deployment

    @property
    def backup_stack(self) -> str:
        """The name of the stack of the backup's bucket."""
        return f"{self.deployment}-backup"

    def backup_parameters(self) -> dict[str, str]:
        """The parameters of the backup's template."""
        return {
            "Deployment": self.deployment,
            "BackupBucketName": self.backup_bucket,
            "TlsOnly": _word(self.tls_only),
        }

    @property
    def daemons_name(self) -> str:
        """The name of the daemon's role or user."""
        return f"{self.deployment}-daemon"

    def problems(self) -> tuple[str, ...]:
        """Find settings that name another account or region than ``aws`` does, or what
        the stack makes under another name.
        """
        path = f"/s4/{self.deployment}/"
        boundary = f"arn:aws:iam::{self.account}:policy{path}boundary"
        found = [
            *self._problems_of_keys(),
            *(
                f"{setting} is {value}: the stack makes {wanted}"
                for setting, value, wanted in (
                    ("cells.role_path", self.role_path, path),
                    ("cells.boundary_arn", self.boundary_arn, boundary),
                )
                if value != wanted
            ),
        ]
        if self.registry[0] != self.region:
            found.append(
                f"cells.program.image is in {self.registry[0]}, not in {self.region}"
            )
        in_zone = [("cells.dns_zone", self.names.grids)]
        if self.mail is not None:
            in_zone += [
                ("the domain of mail.from_address", self.mail.domain),
                ("the domain of mail.bounces", self.mail.bounces),
            ]
        found += [
            f"{setting} ({name}) is not in the zone {self.names.domain}"
            for setting, name in in_zone
            if not self.names.has(name)
        ]
        return tuple(found)

    def _problems_of_keys(self) -> list[str]:
        found = []
        for setting, key in (
            ("sealing.kms_key", self.kms_key),
            ("cells.volume_kms_key", self.volume_kms_key),
        ):
            if key is None or key == f"alias/{self.deployment}":
                continue
            named = _KMS_ARN.fullmatch(key)
            if named is None:
                found.append(
                    f"{setting} is {key}: the stack makes alias/{self.deployment},"
                    " and a key that is there is named by its ARN"
                )
            elif (named[1], named[2]) != (self.region, self.account):
                found.append(
                    f"{setting} is in {named[1]} of {named[2]}, not in {self.region} of"
                    f" {self.account}"
                )
        return found

    def parameters(self, stack: Stack | None, vpc_id: str = "") -> dict[str, str]:
        """The template's parameters; *vpc_id* is the VPC of a subnet that exists.

        The settings name what the stack has made, too, once it is made: an id that the
        stack tells as its own stays its own.
        """
        subnet = _given(stack, "SubnetId", self.subnet_id)
        key = self.kms_key or ""
        ranged = len(self.spans) == 1
        made = {
            "Deployment": self.deployment,
            "StateBucketName": self.state_bucket,
            "BackupBucketName": self.backup_bucket,
            "TlsOnly": _word(self.tls_only),
            "DaemonIs": self.daemon,
            "SealsWithKms": _word(self.kms_key is not None),
            "SealingKeyArn": _given(
                stack, "SealingKeyArn", "" if key.startswith("alias/") else key
            ),
            "VolumesKeyArn": _given(stack, "VolumesKeyArn", self.volume_kms_key or ""),
            "NodeRepositoryArn": (
                ""
                if self.repository_arn == self._own_repository
                else self.repository_arn
            ),
            "AvailabilityZone": self.zone,
            "SubnetId": subnet,
            "VpcId": vpc_id if subnet else "",
            "FirstPort": str(self.spans[0][0]),
            "LastPort": str(self.spans[-1][1]),
            "PortsAreARange": _word(ranged),
            "InstanceType": self.instance_type,
            "ImageOwner": self.image_owner,
            "Domain": self.names.domain,
            "HostedZoneId": _given(stack, "HostedZoneId", self.dns_zone_id),
            "GridsDomain": self.names.grids,
            "LogDays": str(self.log_days),
        }
        if self.mail is not None:
            made |= self.mail.parameters()
        if self.machine is not None:
            made |= self.machine.parameters()
            made |= {
                "SiteName": self.names.site,
                "DaemonName": self.names.daemon,
                "HostsTubPort": str(self.hosts_port),
                "PrivateTubPort": str(self.private_port),
            }
        return made

    @property
    def repository_arn(self) -> str:
        """The only repository that hosts may pull from."""
        if self.image is not None:
            return self.image.repository_arn(self.account, self.region)
        return self._own_repository

    @property
    def _own_repository(self) -> str:
        name = f"{self.deployment}/node"
        return f"arn:aws:ecr:{self.region}:{self.account}:repository/{name}"

    @property
    def registry(self) -> tuple[str, str]:
        """The region and the account of the registry that hosts pull from."""
        _, _, _, region, account, _ = self.repository_arn.split(":", 5)
        return region, account

    @property
    def ami(self) -> WantedAmi:
        """The image that hosts boot."""
        return WantedAmi(
            self.image_id,
            self.image_owner,
            self.instance_type,
            self.volume_gib,
            self.region,
            pulls=self.image is not None,
        )


def quoted(text: str) -> str:
    """A text as a record has it: in quotes, in parts of at most 255 characters."""
    parts = [text[n : n + _TEXT] for n in range(0, len(text), _TEXT)] or [""]
    return " ".join(f'"{part}"' for part in parts)


def _given(stack: Stack | None, name: str, configured: str) -> str:
    """The id of a thing that the stack does not make; "" if it makes it."""
    if stack is None or not configured:
        return configured
    makes_it = not stack.parameters.get(name)
    return "" if makes_it and stack.outputs.get(name) == configured else configured


def _word(value: object) -> str:
    return "true" if value else "false"
