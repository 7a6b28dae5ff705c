"""The first bytes of a large share, which its object's metadata has as well.

A client that reads a little of a large share asks first for the share's beginning,
which says what lies where, and then for the hashes at its end.  S3 gives one range at a
time: with the beginning in the metadata, the answer that has the end has both.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping

from lae_storage.server.spool import IN_MEMORY, Spool

#: The name in the metadata.
BEGINNING = "s4-beginning"
#: What a client of Tahoe-LAFS asks for at first (immutable/downloader/share.py).  As
#: base64, with a lease and a token, it fits into S3's 2 KB.
SIZE = 1024  # bytes
#: Shares up to this size, that of a file of one segment, are fetched whole.
WHOLE = IN_MEMORY
#: A share's end has three trees of hashes, at most the share's length divided by this.
END_PART = 1024
LEAST_END = 64 * 1024  # bytes
MOST_END = 2 * 1024 * 1024  # bytes


def add_beginning(metadata: Mapping[str, str], spool: Spool) -> dict[str, str]:
    """The metadata with a large share's beginning, if the client wrote that first."""
    if spool.length <= WHOLE or spool.front < SIZE:
        return dict(metadata)
    return {**metadata, BEGINNING: b64encode(spool.read(0, SIZE)).decode()}


def read_beginning(metadata: Mapping[str, str]) -> bytes | None:
    """The beginning that the metadata has; None where it has none of this size."""
    try:
        data = b64decode(metadata.get(BEGINNING, ""), validate=True)
    except ValueError:
        return None
    return data if len(data) == SIZE else None


def find_end(length: int) -> int:
    """Where the end begins of a share of *length* bytes, more than :data:`WHOLE`."""
    return length - max(LEAST_END, min(length // END_PART, MOST_END))
