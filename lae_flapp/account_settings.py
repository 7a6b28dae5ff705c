"""The settings of the AWS account itself, which ``lae account`` alone reads."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from attrs import define, field, validators

#: The template has places for so many.
MOST_DKIM = 3
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


def _is_a_domain(_: object, __: object, name: str) -> None:
    if not _DOMAIN.fullmatch(name):
        raise ValueError(f"domain: {name} is not a domain name in lower case")


def _is_a_network(_: object, __: object, block: str) -> None:
    try:
        ip_network(block)
    except ValueError as e:
        raise ValueError(f"operators_from: {e}") from None


@define(frozen=True)
class DkimSettings:
    """One record, as the company that sends the mails says."""

    selector: str = field(validator=validators.matches_re(r"[A-Za-z0-9._-]+"))
    value: str


@define(frozen=True)
class MailRecordSettings:
    """The records of the mail's domain: who may send (*spf*), what receivers do with
    other mail (*dmarc*), and keys (*dkim*, of text or aliases: *dkim_type*).
    """

    spf: str = field(validator=validators.matches_re(r"v=spf1 .*"))
    dmarc: str = field(
        default="v=DMARC1; p=quarantine",
        validator=validators.matches_re(r"v=DMARC1; .*"),
    )
    dkim_type: Literal["TXT", "CNAME"] = "TXT"
    dkim: tuple[DkimSettings, ...] = field(
        default=(), validator=validators.max_len(MOST_DKIM)
    )


@define(frozen=True)
class MachineSettings:
    """The machine of site and daemon, for *release*: a Debian AMI (amd64), and the
    public key (a file) of who installs releases there.  Operators reach the machine
    from *operators_from* (a CIDR).
    """

    release: str
    image_id: str
    key: Path
    operators_from: str = field(validator=_is_a_network)
    instance_type: str = "t3a.medium"
    volume_gib: int = field(default=20, validator=validators.ge(1))


@define(frozen=True)
class AccountSettings:
    """What ``lae account apply`` makes beside what the cell names.

    *domain* is the hosted zone's name (None: the cell's ``dns_zone``).  Without *mail*
    there are no records for mail, without *machine* there is no machine for the daemon.
    """

    domain: str | None = field(
        default=None, validator=validators.optional(_is_a_domain)
    )
    mail: MailRecordSettings | None = None
    machine: MachineSettings | None = None
    log_days: int = field(default=90, validator=validators.ge(1))
