"""The names of objects in a customer's bucket; ``docs/storage-layout.rst`` has why.

What must be known at start (what exists, and how large it is) can be read from a
listing: the size of an immutable share's object is the share's.
"""

from __future__ import annotations

from datetime import date

from allmydata.storage.common import si_a2b, si_b2a
from attrs import define

#: The layout's version; a bucket of a later one is refused.
FORMAT = 1
#: What the node keeps for itself.
OWN = "s4/"
FORMAT_KEY = "s4/format"
EPOCH_KEY = "s4/epoch"
IMMUTABLE = "immutable/"
MUTABLE = "mutable/"
CHUNKS = "chunks/"
LEASES = "leases/"
ADVISORIES = "advisories/"
METER = "meter/"


class ForeignKey(ValueError):
    """A key in the bucket that does not belong to this layout."""


def si_text(storage_index: bytes) -> str:
    """Tahoe's base32 of a storage index: 26 characters."""
    return str(si_b2a(storage_index), "ascii")


def immutable_key(storage_index: bytes, share_number: int) -> str:
    """The object with the data of one immutable share."""
    return f"{IMMUTABLE}{si_text(storage_index)}/{share_number}"


def leases_key(storage_index: bytes) -> str:
    """The object with later leases of one storage index's immutable shares."""
    return f"{LEASES}{si_text(storage_index)}"


def slot_key(storage_index: bytes) -> str:
    """The object with all shares of one mutable slot."""
    return f"{MUTABLE}{si_text(storage_index)}"


def chunk_key(storage_index: bytes, chunk: str) -> str:
    """The object with one chunk of a large slot."""
    return f"{CHUNKS}{si_text(storage_index)}/{chunk}"


def advisory_key(when: str, share: ShareName, rest: str) -> str:
    """The object with one client's report that a share is corrupt."""
    name = f"{when}--{si_text(share.storage_index)}-{share.share_number}-{rest}"
    return ADVISORIES + name.replace(":", "")


def meter_prefix(day: date) -> str:
    """The prefix of all objects with a day's counts."""
    return f"{METER}{day.isoformat()}/"


def meter_key(day: date, epoch: int) -> str:
    """The object with what the node of this epoch counted on a day."""
    return f"{meter_prefix(day)}{epoch}"


def read_meter(key: str) -> tuple[date, int]:
    """The day, and the epoch of the node that counted; raises :class:`ForeignKey`."""
    day, _, epoch = key.removeprefix(METER).partition("/")
    try:
        found = date.fromisoformat(day), int(epoch)
    except ValueError:
        raise ForeignKey(key) from None
    if meter_key(*found) != key:
        raise ForeignKey(key)
    return found


@define(frozen=True)
class ShareName:
    """What identifies a share."""

    storage_index: bytes
    share_number: int


def _si(text: str) -> bytes:
    try:
        storage_index: bytes = si_a2b(text.encode("ascii"))
    except (AssertionError, ValueError, KeyError):
        raise ForeignKey(text) from None
    if si_text(storage_index) != text:
        raise ForeignKey(text)
    return storage_index


def read_immutable(key: str) -> ShareName:
    """Which share the key names; raises :class:`ForeignKey`."""
    si, slash, number = key.removeprefix(IMMUTABLE).partition("/")
    if not slash or not number.isdecimal() or str(int(number)) != number:
        raise ForeignKey(key)
    return ShareName(_si(si), int(number))


def read_slot(key: str) -> bytes:
    """The storage index that the slot's key names; raises :class:`ForeignKey`."""
    return _si(key.removeprefix(MUTABLE))


def read_leases(key: str) -> bytes:
    """The storage index that a lease object's key names; raises :class:`ForeignKey`."""
    return _si(key.removeprefix(LEASES))


def read_chunk(key: str) -> tuple[bytes, str]:
    """The storage index and the chunk's own name; raises :class:`ForeignKey`."""
    si, slash, chunk = key.removeprefix(CHUNKS).partition("/")
    if not slash or not chunk:
        raise ForeignKey(key)
    return _si(si), chunk
