"""Values of mutable slots: all shares of one are a unit of test-and-set.  Pure.

A share's data is a row of blocks of :data:`BLOCK` bytes.  A block is in memory, or a
chunk object in the bucket, or a hole; bytes beyond what it holds are zero.  So a
small write into a large share makes one or two new blocks and leaves the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hmac import compare_digest

from allmydata.interfaces import BadWriteEnablerError, DataTooLargeError
from allmydata.util import idlib
from attrs import define, evolve, field

from lae_storage.server.lease import Lease, Leases, add_or_renew

#: Of one block of a share.  A small write into a large share rewrites up to three.
BLOCK = 512 * 1024  # bytes
#: A slot's object of at most so many bytes is a tombstone.
LONGEST_TOMBSTONE = 64  # bytes
#: Upstream allows petabytes; one byte at such an offset would need a row of blocks.
LONGEST_SHARE = 64 * 1024**3  # bytes

TestVector = tuple[int, int, bytes, bytes]
Write = tuple[int, bytes]
Read = tuple[int, int]
#: For each share: tests, writes, the new length.
Vectors = Mapping[int, tuple[Iterable[TestVector], Iterable[Write], int | None]]
Loaded = Mapping[str, bytes]


@define(frozen=True)
class Block:
    """*size* bytes, which are in *data*, or else in the chunk object *chunk*.

    *stored* is the chunk object's own size: more than *size* where the share was cut.
    """

    size: int
    data: bytes | None = field(default=None, repr=False)
    chunk: str | None = None
    stored: int = 0

    def read_bytes(self, loaded: Loaded) -> bytes:
        """The block's bytes; its chunk must be among *loaded*."""
        if self.data is not None:
            return self.data[: self.size]
        assert self.chunk is not None
        return loaded[self.chunk][: self.size]


HOLE = Block(0, b"")


@define(frozen=True)
class Share:
    """One share: its length, its blocks (as many as the length needs) and leases."""

    length: int = 0
    blocks: tuple[Block, ...] = ()
    leases: Leases = ()

    def touched(self, offset: int, length: int) -> range:
        """The indexes of the blocks that a range within the share's length touches."""
        stop = min(offset + length, self.length)
        if stop <= offset:
            return range(0)
        return range(offset // BLOCK, (stop - 1) // BLOCK + 1)

    def read(self, offset: int, length: int, loaded: Loaded) -> bytes:
        """Bytes of the share, cut at its end."""
        stop = min(offset + length, self.length)
        pieces = []
        for at in self.touched(offset, length):
            start, end = max(offset - at * BLOCK, 0), min(stop - at * BLOCK, BLOCK)
            held = self.blocks[at].read_bytes(loaded)[start:end]
            pieces.append(held.ljust(end - start, b"\0"))
        return b"".join(pieces)

    def written(self, offset: int, data: bytes, loaded: Loaded) -> Share:
        """The share after a write; a gap before it reads as zeros."""
        stop = offset + len(data)
        if stop > LONGEST_SHARE:
            raise DataTooLargeError
        # Upstream counts an empty write beyond the end as growth, too.
        longer = evolve(self, length=max(self.length, stop))
        rows = -(-longer.length // BLOCK)
        blocks = [*self.blocks, *([HOLE] * (rows - len(self.blocks)))]
        for at in longer.touched(offset, len(data)):
            start, end = max(offset - at * BLOCK, 0), min(stop - at * BLOCK, BLOCK)
            new = data[at * BLOCK + start - offset : at * BLOCK + end - offset]
            if start > 0 or end < blocks[at].size:
                old = blocks[at].read_bytes(loaded)
                new = old[:start].ljust(start, b"\0") + new + old[end:]
            blocks[at] = Block(len(new), new)
        return evolve(longer, blocks=tuple(blocks))

    def cut(self, length: int) -> Share:
        """The share cut to at most *length* bytes; cut bytes never come back."""
        if length >= self.length:
            return self
        rows = -(-length // BLOCK)
        blocks = list(self.blocks[:rows])
        if blocks:
            last = length - (rows - 1) * BLOCK
            blocks[-1] = evolve(blocks[-1], size=min(blocks[-1].size, last))
        return evolve(self, length=length, blocks=tuple(blocks))

    def chunks(self) -> list[str]:
        """The chunk objects that the share needs."""
        return [b.chunk for b in self.blocks if b.chunk is not None]


@define(frozen=True)
class Slot:
    """All shares of one storage index.  *generation* grows with each write."""

    generation: int = 0
    write_enabler: bytes = field(default=b"", repr=False)
    shares: Mapping[int, Share] = field(factory=dict)

    def chunks(self) -> set[str]:
        """The chunk objects that the slot names."""
        return {chunk for share in self.shares.values() for chunk in share.chunks()}

    def size(self) -> int:
        """The bytes of all shares together, holes left out."""
        return sum(b.size for share in self.shares.values() for b in share.blocks)

    def chunk_bytes(self) -> int:
        """The bytes that the chunk objects take in the bucket."""
        return sum(b.stored for s in self.shares.values() for b in s.blocks)

    def check_write_enabler(self, write_enabler: bytes, nodeid: bytes) -> None:
        """Raise upstream's BadWriteEnablerError, worded as clients parse it."""
        if self.shares and not compare_digest(self.write_enabler, write_enabler):
            recorder = str(idlib.nodeid_b2a(nodeid))
            raise BadWriteEnablerError(
                f"The write enabler was recorded by nodeid '{recorder}'."
            )


NOTHING = Slot()


@define(frozen=True)
class Operation:
    """One request: tests, reads, writes, and the lease to add or renew."""

    vectors: Vectors
    reads: tuple[Read, ...]
    write_enabler: bytes = field(repr=False)
    lease: Lease | None


@define(frozen=True)
class Outcome:
    """What an operation answers; *after* is the slot to write, None for nothing."""

    passed: bool
    data: dict[int, list[bytes]] = field(repr=False)
    after: Slot | None = field(repr=False)


def read_all(
    slot: Slot, numbers: Iterable[int], reads: Iterable[Read], loaded: Loaded
) -> dict[int, list[bytes]]:
    """The ranges *reads* of each of the shares."""
    ranges = list(reads)
    return {
        n: [slot.shares[n].read(offset, length, loaded) for offset, length in ranges]
        for n in numbers
    }


def chunks_of_reads(
    slot: Slot, numbers: Iterable[int], reads: Iterable[Read]
) -> set[str]:
    """The chunks that these reads touch."""
    ranges = list(reads)
    return {
        chunk
        for n in numbers
        for offset, length in ranges
        for at in slot.shares[n].touched(offset, length)
        for chunk in (slot.shares[n].blocks[at].chunk,)
        if chunk is not None
    }


def chunks_of_operation(slot: Slot, operation: Operation) -> set[str]:
    """The chunks that must be loaded before :func:`carry_out`."""
    wanted = chunks_of_reads(slot, slot.shares, operation.reads)
    for n, (tests, writes, _) in operation.vectors.items():
        if n not in slot.shares:
            continue
        spans = [(offset, length) for offset, length, _, _ in tests]
        wanted |= chunks_of_reads(slot, [n], spans)
        # Where a write covers only a part of a block, the rest of it is kept.
        blocks = slot.shares[n].blocks
        edges = {e // BLOCK for o, d in writes if d for e in (o, o + len(d) - 1)}
        wanted |= {
            chunk
            for at in edges
            if 0 <= at < len(blocks) and (chunk := blocks[at].chunk) is not None
        }
    return wanted


def _test(slot: Slot, number: int, tests: Iterable[TestVector], at: Loaded) -> bool:
    share = slot.shares.get(number, Share())
    for offset, length, operator, specimen in tests:
        if operator != b"eq" or offset < 0 or length < 0:
            raise ValueError("a test vector that cannot be tested")
        if share.read(offset, length, at) != specimen:
            return False
    return True


def carry_out(
    slot: Slot, operation: Operation, loaded: Loaded, nodeid: bytes
) -> Outcome:
    """Test, read what was there before, write: in upstream's order."""
    slot.check_write_enabler(operation.write_enabler, nodeid)
    passed = all(
        _test(slot, n, tests, loaded) for n, (tests, _, _) in operation.vectors.items()
    )
    data = read_all(slot, slot.shares, operation.reads, loaded)
    if not passed or not operation.vectors:
        return Outcome(passed, data, None)
    shares = dict(slot.shares)
    for n, (_, writes, new_length) in operation.vectors.items():
        if new_length == 0:
            shares.pop(n, None)
        else:
            shares[n] = _change_share(
                shares.get(n, Share()), writes, new_length, loaded
            )
            if operation.lease is not None:
                leases = add_or_renew(shares[n].leases, operation.lease)
                shares[n] = evolve(shares[n], leases=leases)
    if shares == slot.shares:
        return Outcome(passed, data, None)
    after = Slot(slot.generation + 1, operation.write_enabler, shares)
    return Outcome(passed, data, after)


def _change_share(
    share: Share, writes: Iterable[Write], new_length: int | None, loaded: Loaded
) -> Share:
    for offset, data in writes:
        if offset < 0:
            raise ValueError("a write before the beginning")
        share = share.written(offset, data, loaded)
    return share if new_length is None else share.cut(new_length)


def count_read(data: Mapping[int, Iterable[bytes]]) -> int:
    """The bytes that an operation read."""
    return sum(len(piece) for pieces in data.values() for piece in pieces)


def count_written(vectors: Vectors) -> int:
    """The bytes that an operation brings to be written."""
    return sum(len(data) for _, writes, _ in vectors.values() for _, data in writes)


def with_leases(slot: Slot, change: Mapping[int, Leases]) -> Slot | None:
    """The slot with these leases; None where they change nothing."""
    shares = {
        n: evolve(share, leases=change.get(n, share.leases))
        for n, share in slot.shares.items()
    }
    if shares == slot.shares:
        return None
    return evolve(slot, generation=slot.generation + 1, shares=shares)
