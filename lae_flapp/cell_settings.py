"""The settings of a cell, where hosts are built, and of what its hosts run."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import define, field, validators

from lae_provision.hosts.programs import MOST_KEYS, ImageReference

#: How regions of AWS' other partitions begin (GovCloud, China, the isolated ones, the
#: European sovereign cloud): their ARNs, endpoints and certificates are others.
_OTHER_PARTITIONS = ("us-gov-", "cn-", "us-iso", "eu-isoe-", "eusc-")
#: The account of AWS' that publishes the images of Fedora CoreOS.
FEDORA = "125523088429"
#: The size of Fedora CoreOS' image: EC2 refuses a root volume that is smaller.
SMALLEST_VOLUME = 10  # GiB
_KEY_ARN = re.compile(r"arn:aws:kms:[a-z0-9-]+:\d{12}:key/[\w-]+")


def check_region(region: str) -> None:
    """Raise ValueError for a region of another partition than the standard one."""
    if region.startswith(_OTHER_PARTITIONS):
        raise ValueError(
            f"region: {region} is not in AWS' standard partition: GovCloud, China and"
            " other clouds of AWS' are not supported"
        )


@define(frozen=True)
class PortSettings:
    """The ports of a grid: constants on AWS, allotted from a range on one machine."""

    introducer: int | None = None
    storage: int | None = None
    first: int | None = None
    last: int | None = None

    def __attrs_post_init__(self) -> None:
        constant = self.introducer is not None and self.storage is not None
        ranged = self.first is not None and self.last is not None
        if constant == ranged:
            raise ValueError("either introducer and storage, or first and last")

    @property
    def span(self) -> range | None:
        """The range; None where the ports are constants."""
        if self.first is None or self.last is None:
            return None
        return range(self.first, self.last + 1)


@define(frozen=True)
class QuotaSettings:
    """How much a cell has; every signup takes one of each."""

    instances: int = 1000
    roles: int = 1000
    instance_profiles: int = 1000
    buckets: int = 10000
    addresses: int = 1000
    records: int = 10000


@define(frozen=True)
class HostProgram:
    """What a host runs: a signed image by digest, or (one machine) a command.

    Any of *signing_keys* (PEM files, one or two) must have signed the image.  The local
    cloud alone has *registry_ca* (a PEM file) and *ecr_endpoint*, in the places of the
    system's authorities and of AWS' own endpoint, and with a command *programs*, which
    names, as a repository does, the programs that a rollout may bring.
    """

    image: str | None = None
    signing_keys: tuple[Path, ...] = ()
    registry_ca: Path | None = None
    ecr_endpoint: str | None = None
    command: tuple[str, ...] = ()
    programs: str | None = None

    @property
    def repository(self) -> str | None:
        """Where the programs of a rollout are; None where there can be none."""
        if self.image is None:
            return self.programs
        return ImageReference(self.image).repository

    def __attrs_post_init__(self) -> None:
        if (self.image is None) == (not self.command):
            raise ValueError("either image or command")
        if self.image is not None and self.programs is not None:
            raise ValueError("programs: an image's repository has them")
        if self.image is not None:
            self._check_image(ImageReference(self.image))

    def _check_image(self, image: ImageReference) -> None:
        if not 1 <= len(self.signing_keys) <= MOST_KEYS:
            raise ValueError("signing_keys: an image needs one or two keys")
        if self.ecr_endpoint is None:
            check_region(image.ecr().region)


@define(frozen=True)
class NodePolicy:
    """What hosts that are launched from now on hold to.

    None leaves it to the node; :class:`lae_storage.settings.NodeSettings` says what
    each means and what it is then.
    """

    expire_leases_after_days: int | None = field(
        default=None, validator=validators.optional(validators.ge(7))
    )
    connections: int | None = field(
        default=None, validator=validators.optional(validators.ge(10))
    )
    connections_per_address: int | None = field(
        default=None, validator=validators.optional(validators.ge(10))
    )
    report_seconds: int | None = field(
        default=None, validator=validators.optional(validators.ge(1))
    )


def _fits_the_image(_: object, __: object, gib: int) -> None:
    if gib < SMALLEST_VOLUME:
        raise ValueError(
            f"volume_gib: {gib} GiB do not hold the image of Fedora CoreOS, which has"
            f" {SMALLEST_VOLUME}"
        )


def _is_a_keys_arn(_: object, __: object, key: str) -> None:
    if not _KEY_ARN.fullmatch(key):
        raise ValueError(
            "volume_kms_key: the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), no"
            " alias: the daemon's policy names it"
        )


@define(frozen=True)
class CellSettings:
    """Where hosts are built.

    *host_name* is None where each grid has a name of its own under *dns_zone*
    (``LABEL.ZONE``), or one name for all (``localhost``).  *listen* is the interface
    that a node binds, None for all.  *identity_certificates* (PEM) check the cloud's
    signature of an instance's identity document; without any it is not checked.
    Who holds the private half of *break_glass_key* (a file with a public key of
    OpenSSH) can log in to hosts that are launched from now on; without it nobody can.
    """

    name: str
    zone: str
    dns_zone: str
    dns_zone_id: str
    image_id: str
    instance_type: str
    subnet_id: str
    security_groups: tuple[str, ...]
    boundary_arn: str
    role_path: str
    program: HostProgram
    ports: PortSettings
    host_name: str | None = None
    listen: str | None = None
    image_owner: str = FEDORA
    volume_gib: int = field(default=SMALLEST_VOLUME, validator=_fits_the_image)
    volume_kms_key: str | None = field(
        default=None, validator=validators.optional(_is_a_keys_arn)
    )
    s3_endpoint: str | None = None
    quotas: QuotaSettings = QuotaSettings()  # noqa: RUF009  (frozen)
    metadata_url: str = "http://169.254.169.254"
    identity_certificates: tuple[Path, ...] = ()
    node: NodePolicy = NodePolicy()  # noqa: RUF009  (frozen)
    break_glass_key: Path | None = None
