"""What a client reads an immutable share from."""

from __future__ import annotations

from typing import Protocol

from attrs import define
from twisted.internet.defer import Deferred

from lae_storage.server import keys
from lae_storage.server.keys import ShareName


class ReadsShares(Protocol):
    """The part of the storage server that a reader needs."""

    def read_immutable(
        self, name: ShareName, length: int, offset: int, size: int
    ) -> Deferred[bytes]:
        """A range of a share."""

    def want_immutable(
        self, name: ShareName, length: int, offset: int, size: int
    ) -> None:
        """Begin to fetch a range."""

    def advise_corrupt_share(
        self, share_type: bytes, storage_index: bytes, shnum: int, reason: bytes
    ) -> Deferred[None]:
        """Keep a client's word."""


@define(frozen=True, eq=False, repr=False)
class BucketReader:
    """One share."""

    server: ReadsShares
    name: ShareName
    length: int

    def __repr__(self) -> str:
        # As upstream's: enough to tell shares apart in a log, and no more.
        start = keys.si_text(self.name.storage_index)[:12]
        return f"<BucketReader {start} {self.name.share_number}>"

    def read(self, offset: int, length: int) -> Deferred[bytes]:
        """A range, cut at the share's end."""
        if offset < 0 or length < 0:
            raise ValueError("a range before the beginning")
        return self.server.read_immutable(self.name, self.length, offset, length)

    def want(self, offset: int, length: int) -> None:
        """Begin to fetch a range that is about to be read piece by piece."""
        self.server.want_immutable(self.name, self.length, offset, length)

    def get_length(self) -> int:
        """The share's length."""
        return self.length

    def advise_corrupt_share(self, reason: bytes) -> Deferred[None]:
        """Keep a client's word that this share is corrupt."""
        name = self.name
        return self.server.advise_corrupt_share(
            b"immutable", name.storage_index, name.share_number, reason
        )
