"""What the daemon's settings need of the account.  Pure."""

from __future__ import annotations

from attrs import asdict

from lae_flapp.settings import CellSettings, DaemonSettings
from lae_provision.account.desired import Desired
from lae_provision.account.quotas import Capacity


def desired_of(settings: DaemonSettings) -> Desired:
    """From every key that names something of AWS'."""
    aws, cell = settings.aws, settings.cells[0]
    return Desired(
        account=aws.account,
        region=aws.region,
        deployment=settings.deployment,
        state_bucket=aws.state_bucket,
        kms_key=settings.sealing.kms_key,
        boundary_arn=cell.boundary_arn,
        role_path=cell.role_path,
        daemon="role" if aws.access_key is None else "user",
        dns_zone=cell.dns_zone,
        dns_zone_id=cell.dns_zone_id,
        subnet_id=cell.subnet_id,
        zone=cell.zone,
        instance_type=cell.instance_type,
        spans=_spans(cell),
        security_groups=cell.security_groups,
        tls_only=aws.s3_endpoint is None,
        capacity=Capacity(**asdict(cell.quotas)),
    )


def _spans(cell: CellSettings) -> tuple[tuple[int, int], ...]:
    ports = cell.ports
    if ports.introducer is not None and ports.storage is not None:
        return tuple((p, p) for p in sorted({ports.introducer, ports.storage}))
    assert ports.first is not None
    assert ports.last is not None
    return ((ports.first, ports.last),)
