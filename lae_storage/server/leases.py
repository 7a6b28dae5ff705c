"""Leases: who wants a share kept, until when.  Pure.

Upstream keeps them inside the share's file; here they stand beside the shares, since
an object cannot be changed in place.  Secrets are kept hashed, as upstream's newest
containers have them, so that an export can write those containers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from hmac import compare_digest
from typing import Any

from allmydata.interfaces import NoSpace
from allmydata.storage.lease import HashedLeaseInfo, LeaseInfo
from attrs import define, evolve, field

#: A month, as upstream grants it.
DURATION = 31 * 24 * 60 * 60
#: Upstream bounds leases by room on the disk; this bounds a lease object's size.
MOST = 1000
FORMAT = 1


def hashed(secret: bytes) -> bytes:
    """How a lease's secret is kept: BLAKE2b-256, as upstream's containers v2."""
    return hashlib.blake2b(secret, digest_size=32).digest()


@define(frozen=True)
class Lease:
    """One lease.  *renew* and *cancel* are hashed; *expires* is seconds since 1970."""

    owner: int
    expires: int
    renew: bytes = field(repr=False)
    cancel: bytes = field(repr=False)

    def upstream(self, nodeid: bytes | None) -> Any:
        """As upstream's code reads one."""
        inner = LeaseInfo(self.owner, self.renew, self.cancel, self.expires, nodeid)
        return HashedLeaseInfo(inner, hashed)

    def row(self) -> list[Any]:
        """As JSON has it."""
        return [self.owner, self.expires, self.renew.hex(), self.cancel.hex()]

    @classmethod
    def of_row(cls, row: list[Any]) -> Lease:
        """From JSON."""
        owner, expires, renew, cancel = row
        return cls(owner, expires, bytes.fromhex(renew), bytes.fromhex(cancel))

    def metadata(self) -> str:
        """As one object's metadata has its first lease."""
        return json.dumps(self.row(), separators=(",", ":"))

    @classmethod
    def of_metadata(cls, text: str) -> Lease:
        """From one object's metadata."""
        return cls.of_row(json.loads(text))


Leases = tuple[Lease, ...]


def new_lease(
    owner: int, now: float, renew_secret: bytes, cancel_secret: bytes
) -> Lease:
    """A lease from now on."""
    return Lease(
        owner, int(now + DURATION), hashed(renew_secret), hashed(cancel_secret)
    )


def renewed(leases: Leases, renew: bytes, expires: int) -> Leases | None:
    """The leases with the one of the hashed secret *renew* lasting until *expires*.

    Never made shorter.  None where no lease has that secret.
    """
    for at, lease in enumerate(leases):
        if compare_digest(lease.renew, renew):
            longer = evolve(lease, expires=max(lease.expires, expires))
            return (*leases[:at], longer, *leases[at + 1 :])
    return None


def added_or_renewed(leases: Leases, lease: Lease) -> Leases:
    """Renew the lease with the same secret, or add this one; raises NoSpace."""
    again = renewed(leases, lease.renew, lease.expires)
    if again is not None:
        return again
    if len(leases) >= MOST:
        raise NoSpace
    return (*leases, lease)


def encode(
    by_share: Mapping[int, Leases], token: str, gone: Iterable[int] = ()
) -> bytes:
    """A lease object.  *token* makes its ETag unlike any before; *gone* are shares that
    are being deleted.
    """
    rows = {str(n): [lease.row() for lease in by_share[n]] for n in sorted(by_share)}
    document = {"format": FORMAT, "token": token, "shares": rows, "gone": sorted(gone)}
    return json.dumps(document, separators=(",", ":")).encode()


def decode(data: bytes) -> dict[int, Leases]:
    """A lease object's leases, by share."""
    document = json.loads(data)
    if document["format"] != FORMAT:
        raise ValueError("leases of another format")
    return {
        int(number): tuple(Lease.of_row(row) for row in rows)
        for number, rows in document["shares"].items()
    }


def gone_of(data: bytes) -> frozenset[int]:
    """The shares that a lease object says are being deleted."""
    return frozenset(json.loads(data).get("gone", ()))


def upstreams(leases: Iterable[Lease], nodeid: bytes) -> list[Any]:
    """As upstream's code reads them."""
    return [lease.upstream(nodeid) for lease in leases]
