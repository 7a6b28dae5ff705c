"""How much a customer may store; ``docs/storage-layout.rst`` has the table."""

from __future__ import annotations

from allmydata.interfaces import NoSpace
from attrs import define

#: Bytes beyond the quota (or a tenth of it, if that is less) for small mutable slots:
#: who is full and cannot change a directory can delete nothing.
RESERVE = 64 * 1024**2
#: A slot of at most so many bytes may use the reserve; a directory has fewer.
SMALL = 1024**2


class Suspended(Exception):
    """This storage is read-only until its subscription is paid again."""


@define
class Allowance:
    """*quota* in bytes, and whether writing is suspended; changed while serving."""

    quota: int
    suspended: bool = False

    def room(self, stored: int) -> int:
        """Bytes left for new immutable shares."""
        return 0 if self.suspended else max(0, self.quota - stored)

    def check_writing(self) -> None:
        """Raise :class:`Suspended` unless something may be written at all."""
        if self.suspended:
            raise Suspended("this storage is suspended: it can be read, not written")

    def check_growth(self, stored: int, growth: int, size: int) -> None:
        """May a slot grow by *growth* to *size* bytes?  Raises NoSpace.

        A change that makes nothing larger is never refused.
        """
        reserve = min(RESERVE, self.quota // 10) if size <= SMALL else 0
        if growth > 0 and stored + growth > self.quota + reserve:
            raise NoSpace
