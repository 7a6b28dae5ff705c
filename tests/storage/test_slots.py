"""Mutable slots: whatever happens to a write, an acknowledged one stays."""

from __future__ import annotations

from typing import Any

import pytest
from allmydata.interfaces import DataTooLargeError, NoSpace
from allmydata.storage.common import UnknownMutableContainerVersionError
from twisted.internet.defer import Deferred

from lae_storage.s3.interface import Contended, Unavailable, Unclear
from lae_storage.server import keys
from lae_storage.server.fence import Superseded
from lae_storage.server.garbage import ORPHAN_AGE
from lae_storage.server.lease import DURATION, Lease, add_or_renew
from lae_storage.server.limits import Suspended
from lae_storage.server.slot import BLOCK, LONGEST_TOMBSTONE
from lae_storage.server.slot_object import DamagedSlot, decode
from tests.twins.store import Request

SI = b"m" * 16
KEY = keys.slot_key(SI)


class Trouble:
    """A fault for the next puts of slots: each of *kinds* once."""

    def __init__(self, *kinds: str | Exception) -> None:
        self.kinds = list(kinds)

    def __call__(self, request: Request) -> str | None:
        if request.operation != "put" or request.key != KEY or not self.kinds:
            return None
        kind = self.kinds.pop(0)
        if isinstance(kind, Exception):
            raise kind
        return kind


@pytest.mark.parametrize("kind", ["lose", Contended("409"), Unclear("lost before")])
def test_a_write_of_unclear_fate_is_carried_through(serving: Any, kind: Any) -> None:
    """A lost reply, a 409 and a request lost on its way all end in one write."""
    serving.change(SI, b"old")
    serving.store.fault = Trouble(kind, kind)
    assert serving.change(SI, b"new", tests=[(0, 3, b"eq", b"old")])
    assert serving.slot(SI) == b"new"
    assert serving.another().slot(SI) == b"new"


def test_a_failed_write_is_forgotten(serving: Any) -> None:
    """After a write that S3 refused, readers see what was there before."""
    serving.change(SI, b"old")
    serving.store.fault = Trouble(Unavailable("SlowDown"))
    with pytest.raises(Unavailable):
        serving.change(SI, b"new")
    assert serving.slot(SI) == b"old"
    assert serving.change(SI, b"new", tests=[(0, 3, b"eq", b"old")])


def _hold_next_put(serving: Any) -> Deferred[None]:
    """Hold the next put of the slot on its way."""
    held: Deferred[None] = Deferred()

    def fault(request: Request) -> Any:
        if request.operation == "put" and request.key == KEY:
            serving.store.fault = None
            return held
        return None

    serving.store.fault = fault
    return held


def _begin_change(serving: Any, data: bytes, tests: Any = ()) -> Any:
    vectors = {0: (list(tests), [(0, data)], None)}
    secrets = (b"w" * 32, b"r" * 32, b"c" * 32)
    return serving.server.slot_testv_and_readv_and_writev(SI, secrets, vectors, [])


def test_changes_of_one_slot_take_turns(serving: Any) -> None:
    """A change waits for the one before it and is decided on what that wrote; other
    slots wait for nobody.
    """
    serving.change(SI, b"old")
    held = _hold_next_put(serving)
    first = _begin_change(serving, b"one", [(0, 3, b"eq", b"old")])
    second = _begin_change(serving, b"two", [(0, 3, b"eq", b"old")])
    third = _begin_change(serving, b"six", [(0, 3, b"eq", b"one")])
    assert serving.change(b"o" * 16, b"other")
    assert not (first.called or second.called or third.called)
    held.callback(None)
    passed = [serving.now(change)[0] for change in (first, second, third)]
    assert passed == [True, False, True]
    assert serving.another().slot(SI) == b"six"


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_dead_hosts_late_put_is_refused(serving: Any, before: bytes | None) -> None:
    """A put under way when its host died cannot undo its successor's."""
    if before is not None:
        serving.change(SI, before)
    held = _hold_next_put(serving)
    late = _begin_change(serving, b"late")
    successor = serving.another()
    assert successor.slot(SI) == before
    successor.change(SI, b"newer")
    held.callback(None)
    with pytest.raises(Superseded):
        serving.now(late)
    assert successor.another().slot(SI) == b"newer"


def test_a_late_put_does_not_raise_the_dead(serving: Any) -> None:
    """A creation that arrives after the slot was made and deleted is refused."""
    held = _hold_next_put(serving)
    late = _begin_change(serving, b"late")
    successor = serving.another()
    successor.change(SI, b"newer")
    secrets = (b"w" * 32, b"r" * 32, b"c" * 32)
    successor.now(
        successor.server.slot_testv_and_readv_and_writev(
            SI, secrets, {0: ([], [], 0)}, []
        )
    )
    held.callback(None)
    with pytest.raises(Superseded):
        serving.now(late)
    assert successor.another().slot(SI) is None
    assert serving.store.objects[KEY].data.startswith(b"S4GONE1")
    assert len(serving.store.objects[KEY].data) <= LONGEST_TOMBSTONE


def test_a_slot_that_vanished_is_decided_anew(serving: Any) -> None:
    """Where a slot's object is gone behind our back, a write that tested for what was
    there fails, and one that tests for nothing makes the slot again.
    """
    serving.grow()
    serving.change(SI, b"old")
    del serving.store.objects[KEY]
    assert not serving.change(SI, b"new", tests=[(0, 3, b"eq", b"old")])
    assert serving.slot(SI) is None
    assert serving.change(SI, b"new", tests=[(0, 1, b"eq", b"")])
    assert serving.another().slot(SI) == b"new"


def test_no_etag_comes_twice(serving: Any) -> None:
    """The same content written again has another ETag, tombstones too."""
    etags = set()
    secrets = (b"w" * 32, b"r" * 32, b"c" * 32)
    for _ in range(3):
        for vectors in ({0: ([], [(0, b"same")], None)}, {0: ([], [], 0)}):
            serving.now(
                serving.server.slot_testv_and_readv_and_writev(SI, secrets, vectors, [])
            )
            etags.add(serving.store.objects[KEY].etag)
    assert len(etags) == 6


def test_two_nodes_on_one_bucket_lose_nothing(serving: Any) -> None:
    """Where another node wrote meanwhile, a test-and-set is decided on what it wrote;
    the older of the two stops as soon as it meets the newer.
    """
    serving.change(SI, b"one")
    newer = serving.another()
    assert newer.slot(SI) == b"one"
    assert serving.change(SI, b"two", tests=[(0, 3, b"eq", b"one")])
    assert not newer.change(SI, b"bad", tests=[(0, 3, b"eq", b"one")])
    assert newer.change(SI, b"six", tests=[(0, 3, b"eq", b"two")])
    for _ in range(2):
        with pytest.raises(Superseded):
            serving.change(SI, b"old")
    assert newer.another().slot(SI) == b"six"


def test_two_nodes_making_one_slot(serving: Any) -> None:
    """Of two nodes that make a slot at once, the second sees the first's."""
    newer = serving.another()
    assert serving.change(SI, b"first", tests=[(0, 1, b"eq", b"")])
    assert not newer.change(SI, b"second", tests=[(0, 1, b"eq", b"")])
    assert newer.slot(SI) == b"first"


def test_a_small_write_into_a_large_slot(serving: Any) -> None:
    """It writes the blocks that it touches and the manifest, and sweeps the old ones."""
    size = 20 * BLOCK
    whole = bytes(range(251)) * (size // 251 + 1)
    serving.change(SI, whole[:size])
    chunks = {k for k in serving.store.objects if k.startswith("chunks/")}
    assert len(chunks) == 20
    serving.requests("put")
    serving.change(SI, b"small", offset=3 * BLOCK - 2)
    put = [serving.store.objects[key] for key in serving.requests("put")]
    assert len(put) == 3
    assert sum(len(o.data) for o in put) < 2 * BLOCK + 10_000
    expected = whole[: 3 * BLOCK - 2] + b"small" + whole[3 * BLOCK + 3 : size]
    assert serving.slot(SI) == expected
    assert serving.another().slot(SI) == expected
    left = {k for k in serving.store.objects if k.startswith("chunks/")}
    assert len(left) == 20
    assert len(left - chunks) == 2
    assert serving.server.index.stored == serving.another().server.index.stored


def test_a_large_slot_that_lost_the_race_leaves_no_chunks(serving: Any) -> None:
    """Chunks of a write that another node's write came before are swept."""
    serving.change(SI, b"x")
    newer = serving.another()
    assert newer.slot(SI) == b"x"
    serving.change(SI, b"y")
    assert not newer.change(SI, b"z" * 3 * BLOCK, tests=[(0, 1, b"eq", b"x")])
    assert not [k for k in serving.store.objects if k.startswith("chunks/")]


def test_reading_while_a_write_sweeps(serving: Any) -> None:
    """A reader whose chunks are swept meanwhile reads the newer slot."""
    serving.change(SI, b"a" * 3 * BLOCK)
    serving.start()
    held: Deferred[None] = Deferred()
    waiting = [held]

    def fault(request: Request) -> Any:
        if request.operation == "get" and request.key.startswith("chunks/"):
            return waiting.pop() if waiting else None
        return None

    serving.store.fault = fault
    reading = serving.server.slot_readv(SI, [0], [(0, 5)])
    serving.change(SI, b"b" * 3 * BLOCK)
    assert not reading.called
    held.callback(None)
    assert serving.now(reading) == {0: [b"bbbbb"]}


def test_leases_are_in_the_slot(serving: Any) -> None:
    """A new host knows the slot's leases, and the right secret alone renews one."""
    serving.change(SI, b"data")
    serving.now(serving.server.add_lease(SI, b"s" * 32, b"t" * 32))
    serving.clock.advance(100)
    successor = serving.another()
    successor.clock.advance(500)
    with pytest.raises(IndexError):
        successor.now(successor.server.renew_lease(SI, b"x" * 32))
    successor.now(successor.server.renew_lease(SI, b"s" * 32))
    held = serving.another()
    found = held.now(held.server.all_leases(SI))[0]
    assert [one.expires for one in found] == [
        DURATION,
        DURATION + 500,
    ]


def test_damage_is_seen(serving: Any) -> None:
    """A slot object with a changed byte is refused, not served."""
    serving.change(SI, b"data")
    data = bytearray(serving.store.objects[KEY].data)
    data[-1] ^= 1
    with pytest.raises(DamagedSlot):
        decode(bytes(data))


def test_bounds(serving: Any) -> None:
    """A far write, a slot under an immutable share, and too many leases are refused."""
    with pytest.raises(DataTooLargeError):
        serving.change(SI, b"x", offset=1 << 50)
    serving.upload(b"i" * 16, b"immutable")
    with pytest.raises(UnknownMutableContainerVersionError):
        serving.change(b"i" * 16, b"x")
    full = tuple(Lease(1, 1, bytes([n % 256, n // 256]), b"") for n in range(1000))
    with pytest.raises(NoSpace):
        add_or_renew(full, Lease(1, 1, b"new", b""))


def test_suspended(serving: Any) -> None:
    """A suspended server reads, refuses changes by name, a lease in a slot too, and
    offers no room.
    """
    serving.change(SI, b"data")
    serving.server.allowance.suspended = True
    with pytest.raises(Suspended):
        serving.change(SI, b"more")
    assert serving.slot(SI) == b"data"
    assert serving.server.get_available_space() == 0
    with pytest.raises(Suspended):
        serving.now(serving.server.add_lease(SI, b"s" * 32, b"t" * 32))


def test_suspended_uploads(serving: Any) -> None:
    """New shares are refused by name, those that are here are told, and what was
    allocated before may be finished.
    """
    share, si = b"data", b"u" * 16
    serving.upload(b"h" * 16, share)
    writer = serving.writer(si, 4)
    serving.server.allowance.suspended = True
    with pytest.raises(Suspended, match="can be read"):
        serving.upload(b"n" * 16, share)
    allocating = serving.server.allocate_buckets(
        b"h" * 16, b"r" * 32, b"c" * 32, {0}, 4
    )
    assert serving.now(allocating) == ({0}, {})
    serving.now(writer.write(0, share))
    serving.now(writer.close())
    assert serving.another().server.get_buckets(si)


def test_a_full_customer_can_tidy_up(serving: Any) -> None:
    """Beyond the quota directories still change, small slots grow into the reserve,
    large ones do not, and whatever shrinks passes.
    """
    serving.change(SI, b"x" * 3 * BLOCK)
    serving.change(b"d" * 16, b"directory")
    allowance, stored = serving.server.allowance, serving.server.index.stored
    allowance.quota = stored
    assert serving.server.get_available_space() == 0
    assert serving.change(SI, b"y" * 3 * BLOCK)
    assert serving.change(b"d" * 16, b"directory, a name more")
    with pytest.raises(NoSpace):
        serving.change(SI, b"z", offset=3 * BLOCK)
    with pytest.raises(NoSpace):
        serving.change(b"n" * 16, b"z" * (stored // 10 + 1))
    allowance.quota = stored // 2
    assert serving.change(b"d" * 16, b"DIRECTORY")
    with pytest.raises(NoSpace):
        serving.change(b"d" * 16, b"directory, a name more again")
    vectors = {0: ([], [], 1)}
    secrets = (b"w" * 32, b"r" * 32, b"c" * 32)
    serving.now(
        serving.server.slot_testv_and_readv_and_writev(SI, secrets, vectors, [])
    )
    assert serving.slot(SI) == b"y"
    assert serving.server._slots.growing == 0


def test_slots_that_grow_at_once_share_the_room(serving: Any) -> None:
    """A write under way counts before S3 has it, and no more when it failed."""
    serving.server.allowance.quota = 2_000_000
    held = _hold_next_put(serving)
    _begin_change(serving, bytes(1_000_000))
    with pytest.raises(NoSpace):
        serving.change(b"o" * 16, bytes(1_200_000))
    held.errback(Unavailable("SlowDown"))
    assert serving.change(b"o" * 16, bytes(1_200_000))


def _chunks(serving: Any) -> set[str]:
    return {k for k in serving.store.objects if k.startswith("chunks/")}


def _start_later(serving: Any, seconds: float) -> Any:
    """Another node, whose clock says so much more, with its housekeeping done."""
    later = type(serving)(serving.folder, serving.store)
    later.retries.advance(seconds)
    later.start()
    for _ in range(80):
        later.retries.advance(0.5)
    return later


def test_orphaned_chunks_are_swept_after_a_day(serving: Any) -> None:
    """Chunks that a crash left go, when they are old; those that a slot names stay."""
    other = b"o" * 16
    serving.change(SI, b"a" * 5 * BLOCK)
    serving.change(other, b"b" * 3 * BLOCK)
    named = _chunks(serving)
    some = next(iter(named))
    orphans = {
        keys.chunk_key(SI, "left"),
        keys.chunk_key(other, "left"),
        keys.chunk_key(b"g" * 16, "of a slot that never was"),
    }
    for key in orphans:
        serving.store.objects[key] = serving.store.objects[some]
    serving.store.page = 2
    _start_later(serving, ORPHAN_AGE - 60)
    assert _chunks(serving) == named | orphans
    later = _start_later(serving, ORPHAN_AGE + 60)
    assert _chunks(serving) == named
    assert later.slot(SI) == b"a" * 5 * BLOCK
    assert later.slot(other) == b"b" * 3 * BLOCK
    assert later.server.index.stored == later.another().server.index.stored


def test_the_sweep_reads_what_another_node_wrote(serving: Any) -> None:
    """A node that holds an old slot in memory deletes nothing that the newer names."""
    serving.change(SI, b"a" * 3 * BLOCK)
    newer = serving.another()
    newer.change(SI, b"b" * 3 * BLOCK)
    with pytest.raises(Superseded):
        serving.now(serving.server._slots.delete_orphans(SI, _chunk_names(serving)))
    assert newer.another().slot(SI) == b"b" * 3 * BLOCK


def _chunk_names(serving: Any) -> set[str]:
    return {keys.read_chunk(key)[1] for key in _chunks(serving)}


def test_a_damaged_slot_keeps_its_chunks(serving: Any) -> None:
    """What cannot be read names nothing, and yet nothing of it is deleted."""
    serving.change(SI, b"a" * 3 * BLOCK)
    serving.store.objects[KEY].data = b"S4SLOT1\n" + bytes(1000)
    before = _chunks(serving)
    _start_later(serving, 2 * ORPHAN_AGE)
    assert _chunks(serving) == before
    assert len(before) == 3
