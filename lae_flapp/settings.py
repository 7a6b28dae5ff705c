"""The daemon's settings: one YAML file (:mod:`lae_protocol.process.settings`).

``config/daemon.example.yaml`` has every key that AWS needs; a test keeps it so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from attrs import define, field, validators

from lae_flapp.account_settings import AccountSettings
from lae_flapp.cell_settings import CellSettings, check_region
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
        check_region(self.region)


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


#: Ways to pay whose outcome is known at once, and that can be charged again each month.
#: With others (a bank debit) the money comes days later, or does not come.
AT_ONCE = ("card", "link", "paypal", "amazon_pay", "cashapp", "revolut_pay")


def _known_at_once(_: object, __: object, methods: tuple[str, ...]) -> None:
    strange = [m for m in methods if m not in AT_ONCE]
    if strange or not methods:
        raise ValueError(
            f"payment_methods: {', '.join(strange) or 'none'}; a grid is built when the"
            f" money has come, so only {', '.join(AT_ONCE)}, which pay at once"
        )


@define(frozen=True)
class CheckoutOptions:
    """What Stripe's page asks for beside the money.

    *payment_methods* are of :data:`AT_ONCE`, by Stripe's names; wallets (Apple Pay,
    Google Pay) come with ``card``.  With *automatic_tax* Stripe computes the tax that
    the price includes, and asks for what it needs to know; *tax_ids* lets a business
    give its own; *billing_address* asks everybody for an address.
    """

    payment_methods: tuple[str, ...] = field(
        default=("card",), validator=_known_at_once
    )
    automatic_tax: bool = False
    tax_ids: bool = False
    billing_address: bool = False


@define(frozen=True)
class StripeSettings:
    """Restricted keys, and which mode they must be of; *endpoint* is None on Stripe.

    *account* (``acct_…``) is checked at start where it is named.
    """

    api_keys: KeyFolder
    mode: Literal["test", "live"]
    endpoint: str | None = None
    account: str | None = None
    checkout: CheckoutOptions = CheckoutOptions()  # noqa: RUF009  (frozen)


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
    late_claim: int = 5 * 60
    operator_alert: int = 10 * 60
    visibility: int = 60
    reconcile: int = 3600
    lost_hosts: int = 60
    watch: int = 15
    unserved_alert: int = 30 * 60
    lifecycle: int = 60
    rollout: int = 5

    def __attrs_post_init__(self) -> None:
        if self.late_claim >= self.claim:
            raise ValueError(
                "late_claim: shorter than claim, after which a host is given up"
            )


@define(frozen=True)
class BackupSettings:
    """The bucket that the journal is written to as it changes; *endpoint* is None on
    AWS.  Without *access_key* its keys are those of ``aws``.
    """

    bucket: str
    region: str
    endpoint: str | None = None
    access_key: SecretSource | None = None
    secret_key: SecretSource | None = None

    def __attrs_post_init__(self) -> None:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key go together")
        check_region(self.region)


@define(frozen=True)
class DaemonSettings:
    """Everything that ``twistd lae-flapp`` is told.

    *state* is the daemon's folder (0700): journal, certificates of its Tubs, and the
    furls that it writes for the site and the first operator.  *metrics_listen* is
    where metrics and health are served (None: nowhere).  While less than
    *journal_reserve_mib* is free on the journal's disk no new signups are taken.  When
    hosts run an image that came *image_old_after_days* ago, operators are told.
    *prices_file* is what the plans cost; without it nobody can say.
    Production has a *backup*.
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
    account: AccountSettings = AccountSettings()  # noqa: RUF009  (frozen)
    patience: PatienceSettings = PatienceSettings()  # noqa: RUF009  (frozen)
    flood: FloodSettings = FloodSettings()  # noqa: RUF009  (frozen)
    operators: OperatorRights = OperatorRights()  # noqa: RUF009  (frozen)
    log_format: LogFormat = "auto"
    metrics_listen: str | None = "tcp:9471:interface=127.0.0.1"
    backup: BackupSettings | None = None
    journal_reserve_mib: int = 256
    workers: int = 20
    image_old_after_days: int = 60
    prices_file: Path | None = None

    def __attrs_post_init__(self) -> None:
        if not _DEPLOYMENT.match(self.deployment):
            raise ValueError(
                "deployment: 2 to 20 letters, digits and dashes, beginning with a"
                " letter: it stands in the names of buckets and roles"
            )
        check_listen(self.metrics_listen)
        if self.journal_reserve_mib < 0:
            raise ValueError("journal_reserve_mib cannot be negative")
        if self.image_old_after_days < 1:
            raise ValueError("image_old_after_days: a day at least")
        if self.backup is not None and self.backup.bucket == self.aws.state_bucket:
            raise ValueError("backup.bucket: not the state bucket, but one of its own")
        if len(self.cells) != 1:
            raise ValueError("cells: exactly one cell is supported today")
        self._check_partition()
        if self.environment == "production":
            self._check_production()

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.state / "journal" / "journal.sqlite"

    @property
    def backup_folder(self) -> Path:
        """What the daemon and Litestream tell each other: :mod:`lae_flapp.backup`."""
        return self.state / "backup"

    def raise_if_unfilled(self) -> None:
        """Raise ValueError for an id that is still to be learnt from the account."""
        cell = self.cells[0]
        empty = [
            name
            for name, value in (
                ("cells.subnet_id", cell.subnet_id),
                ("cells.dns_zone_id", cell.dns_zone_id),
                ("cells.security_groups", cell.security_groups),
            )
            if not value
        ]
        if empty:
            raise ValueError(
                f"{', '.join(empty)}: empty; `lae account apply` makes what they name,"
                " and says what to write there"
            )

    def what_is_open(self) -> tuple[str, ...]:
        """Doors that are open and could be shut, for ``lae config check``."""
        said = []
        if not self.operators.second_furls:
            said.append(
                "open: whoever has one operator's furl may delete data and give money"
                " back; `lae operator second-furl` shuts that (operators.second_furls)"
            )
        if any(cell.break_glass_key is not None for cell in self.cells):
            said.append(
                "open: who has the private half of cells.break_glass_key can log in to"
                " hosts that are launched from now on; null shuts that"
            )
        return tuple(said)

    def _check_partition(self) -> None:
        for name, arn in (
            ("sealing.kms_key", self.sealing.kms_key),
            ("cells.boundary_arn", self.cells[0].boundary_arn),
        ):
            if (arn or "").startswith("arn:") and not str(arn).startswith("arn:aws:"):
                raise ValueError(f"{name}: {arn} is not in AWS' standard partition")

    def _check_production(self) -> None:
        """Production talks to AWS and Stripe themselves, and has a public site."""
        for name, url in (
            ("aws.endpoint", self.aws.endpoint),
            ("aws.s3_endpoint", self.aws.s3_endpoint),
            ("stripe.endpoint", self.stripe.endpoint),
            ("backup.endpoint", None if self.backup is None else self.backup.endpoint),
            ("cells.s3_endpoint", self.cells[0].s3_endpoint),
            ("cells.program.ecr_endpoint", self.cells[0].program.ecr_endpoint),
        ):
            if url is not None:
                raise ValueError(f"{name}: production has no endpoint of its own")
        if self.cells[0].program.registry_ca is not None:
            raise ValueError("cells.program.registry_ca: production believes AWS' own")
        if self.backup is None:
            raise ValueError("backup: production writes its journal to a bucket, too")
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
