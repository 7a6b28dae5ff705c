"""A slot's values: what an operation makes of them, without a bucket."""

from __future__ import annotations

from typing import Any

import pytest
from allmydata.interfaces import BadWriteEnablerError, DataTooLargeError

from lae_storage.server.lease import Lease, decode, encode, renew
from lae_storage.server.slot import (
    BLOCK,
    LONGEST_SHARE,
    NOTHING,
    Block,
    Operation,
    Outcome,
    Share,
    Slot,
    carry_out,
    chunks_of_operation,
    with_leases,
)

ENABLER, NODEID = b"w" * 32, b"n" * 20
LEASE = Lease(1, 100, b"r", b"c")


def _do(slot: Slot, vectors: Any, loaded: Any = None, lease: Any = None) -> Any:
    return carry_out(slot, Operation(vectors, (), ENABLER, lease), loaded or {}, NODEID)


def _write(slot: Slot, *writes: tuple[int, bytes], length: int | None = None) -> Slot:
    after = _do(slot, {0: ([], writes, length)}).after
    assert isinstance(after, Slot)
    return after


@pytest.fixture
def written() -> Slot:
    """A slot with one share."""
    return _write(NOTHING, (0, b"data"))


def test_generations_grow(written: Slot) -> None:
    """Each change of data or leases has the next generation; no change has no slot."""
    assert written.generation == 1
    assert _write(written, (0, b"more")).generation == 2
    leased = with_leases(written, {0: (LEASE,)})
    assert leased is not None
    assert leased.generation == 2
    assert with_leases(leased, {0: (LEASE,)}) is None
    assert _do(written, {0: ([], [(0, b"data")], None)}).after is None


def test_only_a_length_of_zero_deletes(written: Slot) -> None:
    """Without a new length the share stays."""
    assert _write(written, (0, b"D")).shares[0].length == 4
    assert not _write(written, length=0).shares


@pytest.mark.parametrize(
    "test", [(0, 4, b"le", b"data"), (-1, 4, b"eq", b""), (0, -1, b"eq", b"")]
)
def test_tests_that_cannot_be_tested(written: Slot, test: Any) -> None:
    """Another operator than equality, and negative ranges, are refused."""
    with pytest.raises(ValueError, match="test vector"):
        _do(written, {0: ([test], [], None)})


def test_writes_have_bounds(written: Slot) -> None:
    """A write may end at the longest share's length, not beyond, nor begin below 0."""
    longest = Share().written(LONGEST_SHARE, b"", {})
    assert longest.length == LONGEST_SHARE
    with pytest.raises(DataTooLargeError):
        Share().written(LONGEST_SHARE, b"x", {})
    with pytest.raises(ValueError, match="before the beginning"):
        _write(written, (-1, b"x"))


def test_the_first_writer_sets_the_enabler(written: Slot) -> None:
    """An empty slot takes any enabler; one with shares takes its own alone."""
    NOTHING.check_write_enabler(b"any", NODEID)
    with pytest.raises(BadWriteEnablerError):
        written.check_write_enabler(b"any", NODEID)


def test_a_cut_share_grows_by_zeros() -> None:
    """A cut shortens a block that is full and leaves one that is shorter as it is."""
    share = Share().written(0, b"a" * 10, {}).cut(4)
    assert share.blocks[0].size == 4
    assert share.written(10, b"b", {}).read(0, 20, {}) == b"aaaa" + bytes(6) + b"b"
    sparse = Share().written(0, b"a", {}).written(BLOCK + 9, b"b", {})
    assert sparse.cut(BLOCK).blocks[0].size == 1


def test_what_an_operation_loads() -> None:
    """Only blocks that are read, or written in part: the first and the last of a write,
    and none for an empty write.
    """
    blocks = tuple(Block(BLOCK, None, f"c{n}", BLOCK) for n in range(3))
    slot = Slot(1, ENABLER, {0: Share(3 * BLOCK, blocks)})

    def loads(*writes: tuple[int, bytes], tests: Any = ()) -> set[str]:
        vectors = {0: (tests, writes, None)}
        return chunks_of_operation(slot, Operation(vectors, (), ENABLER, None))

    assert loads((5, b"x")) == {"c0"}
    assert loads((BLOCK - 1, b"x")) == {"c0"}
    assert loads((5, b"x" * 2 * BLOCK)) == {"c0", "c2"}
    assert loads((BLOCK, b"")) == set()
    assert loads((3 * BLOCK, b"x")) == set()
    assert loads(tests=[(BLOCK, 1, b"eq", b"x")]) == {"c1"}


def test_a_lease_is_never_made_shorter() -> None:
    """Renewing with an earlier end leaves the lease as it is."""
    assert renew((LEASE,), b"r", 50) == (LEASE,)
    longer = renew((LEASE,), b"r", 150)
    assert longer is not None
    assert longer[0].expires == 150


def test_leases_of_another_format_are_refused() -> None:
    """A later release's lease object is not read as if it were ours."""
    data = encode({0: (LEASE,)}, "token")
    assert decode(data) == {0: (LEASE,)}
    with pytest.raises(ValueError, match="another format"):
        decode(data.replace(b'"format":1', b'"format":2'))


def test_what_was_cut_from_a_later_block_never_comes_back() -> None:
    """A share is cut within its second block and grows again: zeros are there."""
    share = Share().written(0, b"x" * (2 * BLOCK), {}).cut(BLOCK + 10)
    assert share.length == BLOCK + 10
    grown = share.written(BLOCK + 20, b"y", {})
    assert grown.read(BLOCK, 21, {}) == b"x" * 10 + bytes(10) + b"y"
    assert share.cut(BLOCK + 10) is share


def test_no_share_and_no_secret_is_printed() -> None:
    """Write enablers and what is stored stay out of logs and exceptions."""
    slot = Slot(1, b"enabler", {0: Share().written(0, b"content", {})})
    operation = Operation({}, (), b"enabler", None)
    outcome = Outcome(passed=True, data={0: [b"content"]}, after=slot)
    for printed in (repr(slot), repr(operation), repr(outcome)):
        assert "enabler" not in printed.replace("write_enabler", "")
        assert "content" not in printed
