"""Values of leases: who wants a share kept, and until when.  Pure.

Upstream keeps leases inside the share's file; here they stand beside the shares, since
an object cannot be changed in place.  Secrets are kept hashed, as in upstream's newest
containers, so that an export can write those containers.
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
DURATION = 31 * 24 * 60 * 60  # s
#: Leases of one share: a client has one, whatever it stores.  Upstream bounds them by
#: room on the disk; this bounds a lease object, which each renewal writes anew.
MOST_LEASES = 100
#: The format of lease objects.
FORMAT = 1
#: The name in a share's metadata of its first lease.
FIRST_LEASE = "s4-lease"


def hash_secret(secret: bytes) -> bytes:
    """What is kept of a lease's secret: BLAKE2b-256, as upstream's containers v2."""
    return hashlib.blake2b(secret, digest_size=32).digest()


@define(frozen=True)
class Lease:
    """One lease.  *renew* and *cancel* are hashes; *expires* is seconds since 1970."""

    owner: int
    expires: int
    renew: bytes = field(repr=False)
    cancel: bytes = field(repr=False)

    def to_upstream(self, nodeid: bytes | None) -> Any:
        """The lease as upstream's code reads one."""
        inner = LeaseInfo(self.owner, self.renew, self.cancel, self.expires, nodeid)
        return HashedLeaseInfo(inner, hash_secret)

    def to_row(self) -> list[Any]:
        """The lease as a row of JSON."""
        return [self.owner, self.expires, self.renew.hex(), self.cancel.hex()]

    @classmethod
    def from_row(cls, row: list[Any]) -> Lease:
        """The lease of a row of JSON."""
        owner, expires, renew, cancel = row
        return cls(owner, expires, bytes.fromhex(renew), bytes.fromhex(cancel))

    def to_metadata(self) -> dict[str, str]:
        """The metadata of a share's object that has this first lease."""
        return {FIRST_LEASE: json.dumps(self.to_row(), separators=(",", ":"))}


Leases = tuple[Lease, ...]


def read_first_lease(metadata: Mapping[str, str]) -> Leases:
    """The first lease of a share, from its object's metadata; none where it has none.

    Raises ValueError or TypeError for one that cannot be read.
    """
    text = metadata.get(FIRST_LEASE)
    return () if text is None else (Lease.from_row(json.loads(text)),)


def new_lease(
    owner: int, now: float, renew_secret: bytes, cancel_secret: bytes
) -> Lease:
    """A lease that begins now."""
    expires = int(now + DURATION)
    return Lease(owner, expires, hash_secret(renew_secret), hash_secret(cancel_secret))


def renew(leases: Leases, hashed: bytes, expires: int) -> Leases | None:
    """The leases, with the one whose secret has this hash lasting until *expires*.

    A lease is never made shorter.  None where no lease has that secret.
    """
    for at, lease in enumerate(leases):
        if compare_digest(lease.renew, hashed):
            longer = evolve(lease, expires=max(lease.expires, expires))
            return (*leases[:at], longer, *leases[at + 1 :])
    return None


def add_or_renew(leases: Leases, lease: Lease) -> Leases:
    """Renew the lease with the same secret, or add this one; raises NoSpace."""
    again = renew(leases, lease.renew, lease.expires)
    if again is not None:
        return again
    if len(leases) >= MOST_LEASES:
        raise NoSpace
    return (*leases, lease)


def encode(
    by_share: Mapping[int, Leases], token: str, gone: Iterable[int] = ()
) -> bytes:
    """The bytes of a lease object.

    *token* makes its ETag unlike any before; *gone* are shares that are being deleted.
    """
    rows = {str(n): [lease.to_row() for lease in by_share[n]] for n in sorted(by_share)}
    document = {"format": FORMAT, "token": token, "shares": rows, "gone": sorted(gone)}
    return json.dumps(document, separators=(",", ":")).encode()


def decode(data: bytes) -> dict[int, Leases]:
    """The leases of a lease object, by share."""
    document = json.loads(data)
    if document["format"] != FORMAT:
        raise ValueError("leases of another format")
    return {
        int(number): tuple(Lease.from_row(row) for row in rows)
        for number, rows in document["shares"].items()
    }


def decode_gone(data: bytes) -> frozenset[int]:
    """The shares that a lease object says are being deleted."""
    return frozenset(json.loads(data).get("gone", ()))
