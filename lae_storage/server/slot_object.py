"""A slot as an object's bytes, and back.  Pure.

``magic (8) | SHA-256 of what follows (32) | length of the header (4) | header | data``

The header is JSON; the data are the blocks that are in the object itself, one after
the other in the header's order.  The header's token makes each ETag unlike any before
it, so that a condition on an ETag can never be met by an older, equal state.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from struct import Struct
from typing import Any

from attrs import define

from lae_storage.server.lease import Lease
from lae_storage.server.slot import LONGEST_TOMBSTONE, Block, Share, Slot

#: The first bytes of a slot.
MAGIC = b"S4SLOT1\n"
#: The first bytes of a tombstone.
GONE = b"S4GONE1\n"
_LENGTH = Struct(">L")
#: A tombstone's generation and epoch.
_COUNTS = Struct(">QQ")
_DIGEST = hashlib.sha256().digest_size


class DamagedSlot(Exception):
    """The object is not a slot of this format, or its bytes have changed."""


@define(frozen=True)
class Author:
    """The author of one write: the node's epoch, and the write's own token."""

    epoch: int
    token: str


def encode(slot: Slot, author: Author) -> bytes:
    """The object's bytes; a tombstone where no share is left."""
    if not slot.shares:
        token = hashlib.sha256(author.token.encode()).digest()[:16]
        return GONE + _COUNTS.pack(slot.generation, author.epoch) + token
    header = {
        "generation": slot.generation,
        "epoch": author.epoch,
        "token": author.token,
        "write_enabler": slot.write_enabler.hex(),
        "shares": {str(n): _share_row(slot.shares[n]) for n in sorted(slot.shares)},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    rest = b"".join([_LENGTH.pack(len(text)), text, *_inline(slot)])
    return MAGIC + hashlib.sha256(rest).digest() + rest


def _inline(slot: Slot) -> Iterator[bytes]:
    for n in sorted(slot.shares):
        for block in slot.shares[n].blocks:
            if block.data is not None:
                yield block.data[: block.size]


def _share_row(share: Share) -> dict[str, Any]:
    return {
        "length": share.length,
        "blocks": [_block_row(block) for block in share.blocks],
        "leases": [lease.to_row() for lease in share.leases],
    }


def _block_row(block: Block) -> list[Any]:
    if block.chunk is None:
        return [block.size]
    return [block.size, block.chunk, block.stored]


def decode(data: bytes) -> tuple[Slot, int]:
    """The slot and the epoch it was written in; raises :class:`DamagedSlot`."""
    if data[: len(GONE)] == GONE and len(data) <= LONGEST_TOMBSTONE:
        generation, epoch = _COUNTS.unpack_from(data, len(GONE))
        return Slot(generation), epoch
    rest = memoryview(data)[len(MAGIC) + _DIGEST :]
    digest = data[len(MAGIC) : len(MAGIC) + _DIGEST]
    if data[: len(MAGIC)] != MAGIC or hashlib.sha256(rest).digest() != digest:
        raise DamagedSlot
    try:
        return _decode(rest)
    except (ValueError, KeyError, TypeError) as e:
        raise DamagedSlot from e


def _decode(rest: memoryview) -> tuple[Slot, int]:
    (length,) = _LENGTH.unpack_from(rest)
    at = _LENGTH.size + length
    header = json.loads(bytes(rest[_LENGTH.size : at]))
    shares = {}
    for number, row in header["shares"].items():
        blocks = []
        for size, *chunk in row["blocks"]:
            if chunk:
                blocks.append(Block(size, None, *chunk))
            else:
                blocks.append(Block(size, bytes(rest[at : at + size])))
                at += size
        leases = tuple(Lease.from_row(lease) for lease in row["leases"])
        shares[int(number)] = Share(row["length"], tuple(blocks), leases)
    enabler = bytes.fromhex(header["write_enabler"])
    return Slot(header["generation"], enabler, shares), header["epoch"]
