"""The first bytes of a large share, in the metadata of its object as well.

Who reads a little of a large share asks for its beginning first, which says what lies
where, and for the hashes at its end.  S3 gives one range at a time: with the beginning
in the metadata, the answer that has the end has both.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping

from lae_storage.server.spool import IN_MEMORY, Spool

#: The metadata's name.
BEGINNING = "s4-beginning"
#: What a client of Tahoe-LAFS asks for at first (immutable/downloader/share.py).  As
#: base64, with a lease and a token, it fits into S3's 2 KB.
SIZE = 1024
#: Shares up to this size, that of a file of one segment, are fetched whole.
WHOLE = IN_MEMORY
#: A share's end has three trees of hashes, of at most a thousandth of its length.
LEAST_END, SHARE_OF_END, MOST_END = 64 * 1024, 1024, 2 * 1024 * 1024


def marked(metadata: Mapping[str, str], spool: Spool) -> dict[str, str]:
    """The metadata with the beginning, where the share is large and the client wrote
    it first.
    """
    if spool.length <= WHOLE or spool.front < SIZE:
        return dict(metadata)
    return {**metadata, BEGINNING: b64encode(spool.read(0, SIZE)).decode()}


def found_in(metadata: Mapping[str, str]) -> bytes | None:
    """The beginning; None where there is none that can be used."""
    try:
        data = b64decode(metadata.get(BEGINNING, ""), validate=True)
    except ValueError:
        return None
    return data if len(data) == SIZE else None


def end_of(length: int) -> int:
    """Where the end begins of a share of *length* bytes, more than :data:`WHOLE`."""
    return length - max(LEAST_END, min(length // SHARE_OF_END, MOST_END))
