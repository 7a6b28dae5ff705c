"""What a client may make a bucket keep, or a host take, beside what it stores.

The quota counts shares alone.  A client that replaces one slot again and again, or adds
one lease after another, or sends what it never finishes, is within any quota, and
somebody pays for it.  So older versions, leases, and a day's bytes from clients have
bounds, so wide that only such a client meets them; there it is told what it is told at
the quota, and reading goes on.
"""

from __future__ import annotations

from allmydata.interfaces import NoSpace
from attrs import define

from lae_storage.server.index import Index
from lae_storage.server.limits import Allowance
from lae_storage.server.meter import Meter

GIB = 1024**3  # bytes
#: Of versions that are not current: the quota, and at least so many.
OLDER_AT_LEAST = GIB  # bytes
#: Of lease objects: a tenth of the quota, and at least so many.
LEASES_AT_LEAST = 64 * 1024**2  # bytes
#: Of a day's bytes from clients: so many times the quota, and at least so many.
DAILY_QUOTAS = 4
DAILY_AT_LEAST = 16 * GIB  # bytes


@define(frozen=True, eq=False)
class Caps:
    """The bounds of one bucket, by what is counted."""

    meter: Meter
    index: Index
    allowance: Allowance

    def too_many_older(self) -> bool:
        """Whether noncurrent versions take too much: nothing is to be replaced."""
        most = max(self.allowance.quota, OLDER_AT_LEAST)
        return self.meter.older() >= most

    def too_many_leases(self) -> bool:
        """Whether lease objects take too much: no lease is to be added."""
        return self.index.lease_bytes >= max(
            self.allowance.quota // 10, LEASES_AT_LEAST
        )

    def too_much_today(self) -> bool:
        """Whether clients sent too much today: nothing more is to be stored."""
        most = max(DAILY_QUOTAS * self.allowance.quota, DAILY_AT_LEAST)
        return self.meter.today().received >= most

    def check_change(self) -> None:
        """Raise NoSpace unless a slot may be changed: that keeps its older version."""
        if self.too_many_older() or self.too_much_today():
            raise NoSpace

    def check_lease(self) -> None:
        """Raise NoSpace unless a lease may be written."""
        if self.too_many_older() or self.too_many_leases():
            raise NoSpace

    def is_reached(self) -> bool:
        """Whether leases may be refused, so that nothing is to go for want of one."""
        return self.too_many_older() or self.too_many_leases()

    def problem(self) -> str | None:
        """What a client is refused now, for operators; None where it is nothing."""
        older, leases = self.meter.older(), self.index.lease_bytes
        if self.too_many_older():
            return f"older versions take {older} bytes: nothing can be changed"
        if self.too_many_leases():
            return f"leases take {leases} bytes: none can be added"
        if self.too_much_today():
            sent = self.meter.today().received
            return f"clients sent {sent} bytes today: nothing more is stored"
        return None
