"""How much a customer may store."""

from __future__ import annotations

from attrs import define


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
