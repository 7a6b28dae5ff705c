"""What the daemon's settings need of the account."""

from __future__ import annotations

from urllib.parse import urlsplit

from attrs import asdict

from lae_flapp.account_settings import AccountSettings
from lae_flapp.cell_settings import CellSettings
from lae_flapp.settings import DaemonSettings, MailSettings
from lae_protocol.process.settings import SettingsError
from lae_provision.account.desired import (
    Desired,
    Dkim,
    Machine,
    MailRecords,
    Names,
)
from lae_provision.account.quotas import Capacity
from lae_provision.hosts.programs import ImageReference


def desired_of(settings: DaemonSettings) -> Desired:
    """From every key that names something of AWS'; raises :class:`SettingsError`."""
    aws, cell, account = settings.aws, settings.cells[0], settings.account
    image, backup = cell.program.image, settings.backup
    return Desired(
        account=aws.account,
        region=aws.region,
        deployment=settings.deployment,
        state_bucket=aws.state_bucket,
        kms_key=settings.sealing.kms_key,
        boundary_arn=cell.boundary_arn,
        role_path=cell.role_path,
        daemon="role" if aws.access_key is None else "user",
        names=_names(settings),
        dns_zone_id=cell.dns_zone_id,
        subnet_id=cell.subnet_id,
        zone=cell.zone,
        instance_type=cell.instance_type,
        image_id=cell.image_id,
        image_owner=cell.image_owner,
        volume_gib=cell.volume_gib,
        image=None if image is None else ImageReference(image),
        volume_kms_key=cell.volume_kms_key,
        spans=_spans(cell),
        security_groups=cell.security_groups,
        tls_only=aws.s3_endpoint is None,
        capacity=Capacity(**asdict(cell.quotas)),
        backup_bucket="" if backup is None else backup.bucket,
        backup_region="" if backup is None else backup.region,
        mail=_mail(account, settings.mail),
        machine=_machine(account),
        log_days=account.log_days,
        hosts_port=_port(settings.hosts_tub.location),
        private_port=_port(settings.private_tub.location),
    )


def _names(settings: DaemonSettings) -> Names:
    """Site and daemon get records where their names are in the zone."""
    grids = _plain(settings.cells[0].dns_zone)
    names = Names(settings.account.domain or grids, grids)
    site = _plain(urlsplit(settings.site_url).hostname or "")
    daemon = _plain(settings.hosts_tub.location.rpartition(":")[0])
    return Names(
        names.domain,
        grids,
        site if names.has(site) else "",
        daemon if names.has(daemon) else "",
    )


def _mail(account: AccountSettings, mail: MailSettings) -> MailRecords | None:
    records = account.mail
    if records is None:
        return None
    return MailRecords(
        domain=_plain(mail.from_address.rpartition("@")[2]),
        bounces=_plain(mail.bounces.rpartition("@")[2]),
        spf=records.spf,
        dmarc=records.dmarc,
        dkim_type=records.dkim_type,
        dkim=tuple(Dkim(one.selector, one.value) for one in records.dkim),
    )


def _machine(account: AccountSettings) -> Machine | None:
    wanted = account.machine
    if wanted is None:
        return None
    try:
        key = wanted.key.read_text(encoding="utf-8").strip()
    except OSError as e:
        problem = f"account.machine.key: {wanted.key}: {e.strerror}"
        raise SettingsError(problem) from None
    if "\n" in key or not key.startswith(("ssh-", "ecdsa-", "sk-")):
        problem = f"account.machine.key: {wanted.key} is not one public key of OpenSSH"
        raise SettingsError(problem)
    return Machine(
        release=wanted.release,
        image_id=wanted.image_id,
        instance_type=wanted.instance_type,
        key=key,
        operators_from=wanted.operators_from,
        volume_gib=wanted.volume_gib,
    )


def _plain(name: str) -> str:
    # Route 53 compares names in lower case and without the last dot.
    return name.rstrip(".").lower()


def _port(location: str) -> int:
    return int(location.rpartition(":")[2])


def _spans(cell: CellSettings) -> tuple[tuple[int, int], ...]:
    ports = cell.ports
    if ports.introducer is not None and ports.storage is not None:
        return tuple((p, p) for p in sorted({ports.introducer, ports.storage}))
    assert ports.first is not None
    assert ports.last is not None
    return ((ports.first, ports.last),)
