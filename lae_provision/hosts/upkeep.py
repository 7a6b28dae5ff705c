"""How a Fedora CoreOS keeps itself: updates, time, its journal, and who may log in."""

from __future__ import annotations

import hashlib

from attrs import define

from lae_provision.hosts.entries import NODE_USER, Entry, file, masked

ZINCATI = "/etc/zincati/config.d/55-s4.toml"
CHRONY = "/etc/chrony.conf"
JOURNAL = "/etc/systemd/journald.conf.d/s4.conf"
METADATA_RULES = "/etc/nftables/s4-metadata.nft"

#: Nothing listens for log-ins, and no console offers one.
_WAYS_IN = (
    "sshd.service",
    "sshd.socket",
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
)
_SSH = frozenset({"sshd.service", "sshd.socket"})

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: An update may reboot the host for so long after the window begins.
WINDOW_MINUTES = 60
_STEP = 15  # minutes between two windows that may be drawn
#: The last one ends at midnight.
_WINDOWS_A_DAY = (24 * 60 - WINDOW_MINUTES) // _STEP + 1


@define(frozen=True)
class Window:
    """A time of each week (UTC); *start* is HH:MM."""

    day: str
    start: str


def weekly_window(label: str) -> Window:
    """Draw a grid's window from its label: always the same, and another for another
    grid, so that an update does not reboot all hosts at once.
    """
    digest = hashlib.sha256(f"s4 update window v1\0{label}".encode()).digest()
    drawn = int.from_bytes(digest[:8], "big") % (len(_DAYS) * _WINDOWS_A_DAY)
    day, slot = divmod(drawn, _WINDOWS_A_DAY)
    hour, minute = divmod(slot * _STEP, 60)
    return Window(_DAYS[day], f"{hour:02}:{minute:02}")


def zincati(window: Window) -> str:
    """Zincati's settings: it stages updates at any time, and reboots in *window*."""
    return f"""\
[updates]
strategy = "periodic"

[updates.periodic]
time_zone = "UTC"

[[updates.periodic.window]]
days = [ "{window.day}" ]
start_time = "{window.start}"
length_minutes = {WINDOW_MINUTES}
"""


#: Amazon's time service answers in every VPC, with no rule of a security group.
CHRONY_TEXT = """\
server 169.254.169.123 prefer iburst minpoll 4 maxpoll 4
driftfile /var/lib/chrony/drift
makestep 1.0 3
rtcsync
"""

#: Of a root volume that shares and images share with the journal.
JOURNAL_TEXT = """\
[Journal]
Storage=persistent
SystemMaxUse=256M
SystemKeepFree=1G
MaxRetentionSec=30day
"""

#: The metadata service hands out the role's credentials, and the user-data with the
#: bootstrap furl.  The node needs it for as long as it runs: its credentials for S3
#: last some hours, and its claim holds the signed identity document.  So root and the
#: node's user may ask, and no other user of the host.
METADATA_TEXT = f"""\
table inet s4_metadata
delete table inet s4_metadata
table inet s4_metadata {{
  chain output {{
    type filter hook output priority filter; policy accept;
    ip daddr 169.254.169.254 meta skuid != {{ 0, {NODE_USER} }} reject
    ip6 daddr fd00:ec2::254 meta skuid != {{ 0, {NODE_USER} }} reject
  }}
}}
"""


def upkeep_files(label: str) -> list[Entry]:
    """The files of the system's own services."""
    return [
        file(ZINCATI, zincati(weekly_window(label))),
        file(CHRONY, CHRONY_TEXT),
        file(JOURNAL, JOURNAL_TEXT),
        file(METADATA_RULES, METADATA_TEXT),
    ]


def closed_units(*, break_glass: bool) -> list[Entry]:
    """Mask what offers a log-in; SSH stays where there is a *break_glass* key."""
    return [masked(n) for n in _WAYS_IN if not (break_glass and n in _SSH)]
