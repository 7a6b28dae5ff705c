"""The daemon's doors to AWS, Stripe and the mail server, built from its settings."""

from __future__ import annotations

import os
import time
from random import Random
from typing import Any

from attrs import define
from twisted.internet.ssl import Certificate, trustRootFromCertificates

from lae_flapp.backup.backup_bucket import IBackupBucket, S3BackupBucket
from lae_flapp.cell_settings import CellSettings
from lae_flapp.mail.message import Sender
from lae_flapp.mail.server import IMailServer, Login, SmtpServer
from lae_flapp.money.stripe.service import PaymentService
from lae_flapp.settings import DaemonSettings, MailSettings, SealingSettings
from lae_flapp.signs.calls import MeteredMail
from lae_protocol.address import parse_address
from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import (
    CredentialsSource,
    InstanceProfileCredentials,
    StaticCredentials,
)
from lae_protocol.aws.metadata import MetadataService, metadata_endpoint
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.aws.tls import NamedPeerPolicy
from lae_protocol.process.meter import Meter, unmetered
from lae_protocol.secret import Secret
from lae_provision.aws.cloud import AwsCloud, open_cloud
from lae_provision.aws.key_file import FileDataKeys
from lae_provision.doors import IAddresses, IVault
from lae_provision.identity.identities import Identities
from lae_provision.identity.journal_sealer import JournalSealer
from lae_provision.identity.pool import KeyPool

#: Tub keys made ahead: two for each signup.
KEYS_AHEAD = 24


@define(frozen=True)
class Secrets:
    """What the settings name, read before twistd goes into the background."""

    stripe_keys: tuple[Secret, ...]
    journal_keys: tuple[Secret, ...]
    identity_keys: tuple[Secret, ...]
    mail_login: Login | None
    aws: Credentials | None
    #: Of the backup bucket.
    backup: Credentials | None = None


def read_secrets(settings: DaemonSettings) -> Secrets:
    """Read all of them; raises SettingsError, which names the place."""
    mail, aws, sealing = settings.mail, settings.aws, settings.sealing
    login = None
    if mail.user is not None and mail.password is not None:
        login = Login(mail.user, mail.password.read())
    credentials = None
    if aws.access_key is not None and aws.secret_key is not None:
        credentials = Credentials(aws.access_key.read().reveal(), aws.secret_key.read())
    return Secrets(
        settings.stripe.api_keys.read(),
        sealing.journal_keys.read(),
        () if sealing.identity_keys is None else sealing.identity_keys.read(),
        login,
        credentials,
        read_backup_keys(settings),
    )


def read_backup_keys(settings: DaemonSettings) -> Credentials | None:
    """The backup bucket's own keys, or else AWS'; None for those of the instance.

    Raises SettingsError.
    """
    for part in (settings.backup, settings.aws):
        if part is not None and part.access_key and part.secret_key:
            return Credentials(part.access_key.read().reveal(), part.secret_key.read())
    return None


@define(frozen=True)
class DaemonDoors:
    """Every door, and what belongs to it."""

    cloud: AwsCloud
    vault: IVault
    addresses: IAddresses
    identities: Identities
    key_pool: KeyPool
    payments: PaymentService
    mail: IMailServer
    sealer: JournalSealer
    sender: Sender
    #: Of the keys in files that open identities; none where KMS does.
    identity_key_names: frozenset[str]
    #: None where no backup is configured.
    backup: IBackupBucket | None = None


def open_doors(
    reactor: Any,
    rng: Random,
    settings: DaemonSettings,
    secrets: Secrets,
    meter: Meter = unmetered,
) -> DaemonDoors:
    """Build the doors; no call is made yet.  *meter* is told of each try of each."""
    agent = pooled_agent(reactor)
    aws, cell = settings.aws, settings.cells[0]
    cloud = open_cloud(
        reactor,
        rng,
        _credentials(reactor, agent, secrets.aws, cell),
        aws.region,
        endpoint=aws.endpoint,
        s3_endpoint=aws.s3_endpoint,
        agent=agent,
        meter=meter,
        wall=time.time,
    )
    key_pool = KeyPool(reactor, KEYS_AHEAD)
    data_keys = _data_keys(settings.sealing, secrets, cloud)
    return DaemonDoors(
        cloud=cloud,
        vault=cloud.vault(aws.state_bucket),
        addresses=cloud.addresses(cell.dns_zone_id),
        identities=Identities(
            data_keys,
            settings.sealing.recovery_recipients,
            key_pool,
        ),
        key_pool=key_pool,
        payments=PaymentService(
            reactor, secrets.stripe_keys, settings.stripe.endpoint, meter
        ),
        mail=MeteredMail(
            _mail_server(reactor, settings.mail, secrets.mail_login), reactor, meter
        ),
        sealer=JournalSealer(secrets.journal_keys),
        sender=_sender(settings),
        identity_key_names=(
            data_keys.names if isinstance(data_keys, FileDataKeys) else frozenset()
        ),
        backup=open_backup(reactor, rng, settings, secrets.backup),
    )


def open_backup(
    reactor: Any,
    rng: Random,
    settings: DaemonSettings,
    keys: Credentials | None,
) -> IBackupBucket | None:
    """Build the door to the backup bucket, which may be in a region of its own.

    Its calls are not metered: the age of the backup says all.
    """
    backup = settings.backup
    if backup is None:
        return None
    agent = pooled_agent(reactor)

    cloud = open_cloud(
        reactor,
        rng,
        _credentials(reactor, agent, keys, settings.cells[0]),
        backup.region,
        s3_endpoint=backup.endpoint,
        agent=agent,
        wall=time.time,
    )
    return S3BackupBucket(cloud.channel, backup.bucket)


def _credentials(
    reactor: Any, agent: Any, static: Credentials | None, cell: CellSettings
) -> CredentialsSource:
    if static is not None:
        return StaticCredentials(static)
    endpoint = metadata_endpoint(cell.metadata_url, os.environ)
    metadata = MetadataService(reactor, agent, endpoint)
    return InstanceProfileCredentials(reactor, metadata, time.time)


def _data_keys(sealing: SealingSettings, secrets: Secrets, cloud: AwsCloud) -> Any:
    if sealing.kms_key is not None:
        return cloud.data_keys(sealing.kms_key)
    return FileDataKeys(secrets.identity_keys)


def _mail_server(reactor: Any, mail: MailSettings, login: Login | None) -> IMailServer:
    root = None
    if mail.trust_root is not None:
        certificate = Certificate.loadPEM(mail.trust_root.read_bytes())
        root = trustRootFromCertificates([certificate])  # type: ignore[no-untyped-call]
    policy = NamedPeerPolicy(root)
    server: IMailServer = SmtpServer(reactor, mail.host, mail.port, login, policy)
    return server


def _sender(settings: DaemonSettings) -> Sender:
    mail = settings.mail
    bounces = parse_address(mail.bounces)
    return Sender(
        name=mail.from_name,
        address=parse_address(mail.from_address),
        support=parse_address(mail.support_address),
        bounce_local=bounces.local,
        bounce_domain=bounces.domain_a_label,
        site_url=settings.site_url,
        environment=settings.environment,
    )
