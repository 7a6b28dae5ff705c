"""The daemon's settings: one YAML file (:mod:`lae_protocol.process.settings`).

``config/daemon.example.yaml`` has every key that AWS needs; a test keeps it so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from attrs import define, field, validators

from lae_protocol.address import AddressRefused, parse_address
from lae_protocol.process.figures_port import check_listen
from lae_protocol.process.key_folder import KeyFolder
from lae_protocol.process.log import LogFormat
from lae_protocol.process.settings import SecretSource

_DEPLOYMENT = re.compile(r"^[a-z][a-z0-9-]{0,18}[a-z0-9]$")
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

Environment = Literal["local", "staging", "production"]


@define(frozen=True)
class TubSettings:
    """One Tub, on a port that is kept for life: the furls name it.

    *listen* is a Twisted endpoint, *location* HOST:PORT as others reach it.
    """

    listen: str
    location: str


@define(frozen=True)
class AwsSettings:
    """The account; *endpoint* and *s3_endpoint* are None on AWS itself.

    Without *access_key* the instance profile's credentials are used.
    """

    account: str
    region: str
    state_bucket: str
    endpoint: str | None = None
    s3_endpoint: str | None = None
    access_key: SecretSource | None = None
    secret_key: SecretSource | None = None

    def __attrs_post_init__(self) -> None:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key go together")


@define(frozen=True)
class SealingSettings:
    """What seals identities: a KMS key, or *identity_keys*; and the recovery key.

    *journal_keys* seal what the journal keeps of requests with secrets.  Each key of
    both folders is 32 bytes in base64.
    """

    recovery_recipients: tuple[str, ...]
    journal_keys: KeyFolder
    kms_key: str | None = None
    identity_keys: KeyFolder | None = None

    def __attrs_post_init__(self) -> None:
        if (self.kms_key is None) == (self.identity_keys is None):
            raise ValueError("either kms_key or identity_keys seals identities")
        if not all(r.startswith("age1") for r in self.recovery_recipients):
            raise ValueError("recovery_recipients are public keys of age (age1...)")
        if not self.recovery_recipients:
            raise ValueError("recovery_recipients needs at least one public key")


@define(frozen=True)
class StripeSettings:
    """Restricted keys, and which mode they must be of; *endpoint* is None on Stripe.

    *account* (``acct_…``) is checked at start where it is named.
    """

    api_keys: KeyFolder
    mode: Literal["test", "live"]
    endpoint: str | None = None
    account: str | None = None


@define(frozen=True)
class MailSettings:
    """The mail server (STARTTLS, then AUTH) and who writes.

    *trust_root* is a PEM file of the authority to believe, in the place of the
    system's.  *bounces* is LOCAL@DOMAIN; the envelope sender is LOCAL+SIGNUP@DOMAIN.
    """

    host: str
    port: int
    from_name: str
    from_address: str
    support_address: str
    bounces: str
    operators: tuple[str, ...]
    user: str | None = None
    password: SecretSource | None = None
    trust_root: Path | None = None

    def __attrs_post_init__(self) -> None:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        named = (self.from_address, self.support_address, self.bounces)
        for text in (*named, *self.operators):
            try:
                parse_address(text)
            except AddressRefused as e:
                raise ValueError(f"{text}: {e}") from None


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
    """What a host runs: a signed image by digest, or (one machine) a command."""

    image: str | None = None
    log_in: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if (self.image is None) == (not self.command):
            raise ValueError("either image or command")


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


@define(frozen=True)
class CellSettings:
    """Where hosts are built.

    *host_name* is None where each grid has a name of its own under *dns_zone*
    (``LABEL.ZONE``), or one name for all (``localhost``).  *listen* is the interface
    that a node binds, None for all.  *identity_certificates* (PEM) check the cloud's
    signature of an instance's identity document; without any it is not checked.
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
    volume_gib: int = 8
    volume_kms_key: str | None = None
    s3_endpoint: str | None = None
    quotas: QuotaSettings = QuotaSettings()  # noqa: RUF009  (frozen)
    metadata_url: str = "http://169.254.169.254"
    identity_certificates: tuple[Path, ...] = ()
    node: NodePolicy = NodePolicy()  # noqa: RUF009  (frozen)


@define(frozen=True)
class FloodSettings:
    """How much others may make the daemon write and hold, who have not paid.

    So many registrations (and payment pages for them), and so many events of Stripe's,
    are taken at once, and as many an hour on average; *unpaid_share* of the places that
    are free may be held unpaid.
    """

    registrations_an_hour: int = field(default=600, validator=validators.ge(1))
    events_an_hour: int = field(default=5000, validator=validators.ge(1))
    unpaid_share: float = field(
        default=0.5, validator=[validators.gt(0), validators.le(1)]
    )


@define(frozen=True)
class SecondFurl:
    """The SHA-256 (hex) of the secret in a person's second furl, kept elsewhere:
    ``lae operator second-furl`` makes both.
    """

    name: str
    sha256: str = field(validator=validators.matches_re(r"[0-9a-f]{64}"))


@define(frozen=True)
class OperatorRights:
    """What operators may do: those in *read_only* only look.  Where anybody has a
    second furl, data is deleted and money given back only by who has shown theirs.
    """

    read_only: tuple[str, ...] = ()
    second_furls: tuple[SecondFurl, ...] = ()


@define(frozen=True)
class PatienceSettings:
    """How long, in seconds: what a test shortens and production leaves alone."""

    give_up: int = 24 * 3600
    claim: int = 30 * 60
    operator_alert: int = 10 * 60
    visibility: int = 60
    reconcile: int = 3600
    lost_hosts: int = 60
    watch: int = 15
    unserved_alert: int = 30 * 60
    lifecycle: int = 60


@define(frozen=True)
class DaemonSettings:
    """Everything that ``twistd lae-flapp`` is told.

    *state* is the daemon's folder (0700): journal, certificates of its Tubs, and the
    furls that it writes for the site and the first operator.  *metrics_listen* is
    where metrics and health are served (None: nowhere); *journal_backups* is the folder
    whose newest file is the journal's last backup.  While less than
    *journal_reserve_mib* is free on the journal's disk no new signups are taken.
    """

    process: Literal["daemon"]
    environment: Environment
    deployment: str
    state: Path
    site_url: str
    plans_file: Path
    private_tub: TubSettings
    hosts_tub: TubSettings
    stripe: StripeSettings
    aws: AwsSettings
    sealing: SealingSettings
    mail: MailSettings
    cells: tuple[CellSettings, ...]
    patience: PatienceSettings = PatienceSettings()  # noqa: RUF009  (frozen)
    flood: FloodSettings = FloodSettings()  # noqa: RUF009  (frozen)
    operators: OperatorRights = OperatorRights()  # noqa: RUF009  (frozen)
    log_format: LogFormat = "auto"
    metrics_listen: str | None = "tcp:9471:interface=127.0.0.1"
    journal_backups: Path | None = None
    journal_reserve_mib: int = 256
    workers: int = 20

    def __attrs_post_init__(self) -> None:
        if not _DEPLOYMENT.match(self.deployment):
            raise ValueError(
                "deployment: 2 to 20 letters, digits and dashes, beginning with a"
                " letter: it stands in the names of buckets and roles"
            )
        check_listen(self.metrics_listen)
        if self.journal_reserve_mib < 0:
            raise ValueError("journal_reserve_mib cannot be negative")
        if len(self.cells) != 1:
            raise ValueError("cells: exactly one cell is supported today")
        if self.environment == "production":
            self._check_production()

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.state / "journal" / "journal.sqlite"

    def what_is_open(self) -> tuple[str, ...]:
        """Doors that are open and could be shut, for ``lae config check``."""
        if self.operators.second_furls:
            return ()
        said = (
            "open: whoever has one operator's furl may delete data and give money back;"
            " `lae operator second-furl` shuts that (operators.second_furls)"
        )
        return (said,)

    def _check_production(self) -> None:
        """Production talks to AWS and Stripe themselves, and has a public site."""
        for name, url in (
            ("aws.endpoint", self.aws.endpoint),
            ("aws.s3_endpoint", self.aws.s3_endpoint),
            ("stripe.endpoint", self.stripe.endpoint),
            ("cells.s3_endpoint", self.cells[0].s3_endpoint),
        ):
            if url is not None:
                raise ValueError(f"{name}: production has no endpoint of its own")
        site = urlsplit(self.site_url)
        if site.scheme != "https" or (site.hostname or "") in _LOCAL:
            raise ValueError("site_url: production needs a public https:// address")
        if self.stripe.mode != "live":
            raise ValueError("stripe.mode: production needs live")
        if not self.cells[0].identity_certificates:
            raise ValueError("cells.identity_certificates: production checks claims")
        if self.mail.host in _LOCAL:
            raise ValueError(
                "mail.host: production needs a mail server that is not local"
            )
