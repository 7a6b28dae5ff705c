"""Ours and upstream's disk server side by side: the same operations, the same answers.

The bucket under ours loses replies and answers 409 at times, and both servers are
restarted in between; blocks, parts and inline slots are made tiny, so that small
operations cross all their edges.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from allmydata.storage.immutable import ShareFile
from allmydata.storage.mutable import MutableShareFile
from allmydata.storage.server import StorageServer
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lae_storage.s3.interface import Contended
from lae_storage.server import (
    beginning,
    cache,
    multipart,
    slot,
    slots,
    spool,
    upload,
)
from lae_storage.server.bucket import open_bucket
from lae_storage.server.index import read_index
from lae_storage.server.lease import hash_secret
from lae_storage.server.limits import Allowance, Limits
from lae_storage.server.storage_server import S3StorageServer
from tests.twins import store as memory
from tests.twins.store import MemoryStore, Request

NODEID = b"n" * 20
#: Bytes that stay on the disk: of some shares, not of all.
FEW = 25
IMMUTABLE = [b"i" * 16, b"j" * 16]
MUTABLE = [b"m" * 16, b"n" * 16]
SECRETS = [bytes([n]) * 32 for n in (1, 2, 3)]

data = st.binary(max_size=30)
offsets = st.integers(0, 60)
numbers = st.integers(0, 2)
indexes = st.sampled_from(IMMUTABLE)
slots_ = st.sampled_from(MUTABLE)
secrets = st.sampled_from(SECRETS)
reads = st.lists(st.tuples(offsets, st.integers(0, 40)), max_size=3)
faults = st.sampled_from(["", "", "", "lose", "contend"])


def answer(asking: Callable[[], Any]) -> Any:
    """What was answered, or the error's name."""
    try:
        return asking()
    except Exception as e:  # noqa: BLE001  (the error is the answer)
        return type(e).__name__


class SideBySide(RuleBasedStateMachine):
    """Both servers."""

    writers: Bundle[Any] = Bundle("writers")

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock, self.retries = Clock(), Clock()
        self.clock.advance(1_000_000)
        self.store, self.trouble = MemoryStore(page=3), ""
        self.store.fault = self._fault
        self.store.seconds = self.retries.seconds
        self.opened: list[Any] = []
        self.tokens = 0
        self._begin()

    def _begin(self) -> None:
        path = Path(self.folder.name)
        self.theirs = StorageServer(str(path / "theirs"), NODEID, clock=self.clock)
        bucket = self.now(open_bucket(self.store, self.retries, Random(0), self._token))
        self.ours = S3StorageServer(
            bucket,
            NODEID,
            path / "ours",
            Allowance(10**9),
            Limits(disk_cache=FEW),
            clock=self.clock,
        )
        self.ours.startService()

    def _kill(self) -> None:
        """What ends with a process, and writes nothing more."""
        self.ours.fence.stop()
        self.ours._disk.close()
        for work in self.ours._housekeeping._running:
            work.cancel()

    def _token(self) -> str:
        self.tokens += 1
        return f"{self.tokens:08x}{0:024x}"

    def _fault(self, request: Request) -> str | None:
        trouble, writes = self.trouble, ("put", "complete")
        # Chunks go without a condition: the store itself repeats them, and S3 has
        # no conflict to tell of.
        unconditional = request.key.startswith(("chunks/", "advisories/", "meter/"))
        if not trouble or unconditional or request.operation not in writes:
            return None
        self.trouble = ""
        if trouble == "contend":
            raise Contended("ConditionalRequestConflict")
        return "lose"

    def now(self, answering: Any) -> Any:
        """The answer; retries wait on a clock of their own."""
        if not isinstance(answering, Deferred):
            answering = Deferred.fromCoroutine(answering)
        found: list[Any] = []
        answering.addBoth(found.append)
        for _ in range(20):
            if found:
                break
            self.retries.advance(5)
        assert found, "no answer"
        if isinstance(found[0], Failure):
            found[0].raiseException()
        return found[0]

    def both(self, theirs: Callable[[], Any], ours: Callable[[], Any]) -> Any:
        """The answer that both give."""
        expected = answer(theirs)
        found = answer(lambda: self.now(ours()))
        assert found == expected, (found, expected)
        return found

    # -- immutable shares ------------------------------------------------------

    @rule(
        target=writers,
        si=indexes,
        secret=secrets,
        wanted=st.sets(numbers),
        size=st.integers(1, 40),
        fault=faults,
    )
    def allocate(
        self, si: bytes, secret: bytes, wanted: set[int], size: int, fault: str
    ) -> Any:
        self.trouble = fault if fault != "contend" else ""
        arguments = (si, secret, secret, wanted, size)
        here, theirs = self.theirs.allocate_buckets(*arguments)
        found, ours = self.now(self.ours.allocate_buckets(*arguments))
        assert (here, set(theirs)) == (found, set(ours))
        self.trouble = ""
        made = [(theirs[n], ours[n]) for n in ours]
        self.opened += made
        return multiple(*made)

    # A write of nothing is an error of upstream's range map, and no client sends one.
    @rule(pair=writers, offset=offsets, what=st.binary(min_size=1, max_size=30))
    def write(self, pair: Any, offset: int, what: bytes) -> None:
        theirs, ours = pair
        if not theirs.closed:
            self.both(
                lambda: theirs.write(offset, what), lambda: ours.write(offset, what)
            )

    @rule(pair=writers, seed=st.integers(0, 3))
    def write_all(self, pair: Any, seed: int) -> None:
        theirs, ours = pair
        size = ours.allocated_size()
        what = Random(seed).randbytes(size)
        for at in range(0, size, 7):
            if not theirs.closed:
                piece = what[at : at + 7]
                self.both(
                    lambda at=at, p=piece: theirs.write(at, p),
                    lambda at=at, p=piece: ours.write(at, p),
                )

    @rule(pair=consumes(writers), fault=faults)
    def close(self, pair: Any, fault: str) -> None:
        theirs, ours = pair
        if theirs.closed:
            return
        self.trouble = fault
        missing = [(a, b) for a, b, _ in theirs.required_ranges().ranges()]
        assert missing == [(a, b) for a, b, _ in ours.required_ranges().ranges()]
        self.both(theirs.close, ours.close)
        self.trouble = ""
        self.opened.remove(pair)

    @rule(pair=consumes(writers))
    def abort(self, pair: Any) -> None:
        theirs, ours = pair
        if not theirs.closed:
            theirs.abort()
            ours.abort()
            self.opened.remove(pair)

    @rule(si=indexes, ranges=reads)
    def read(self, si: bytes, ranges: list[tuple[int, int]]) -> None:
        theirs, ours = self.theirs.get_buckets(si), self.ours.get_buckets(si)
        assert set(theirs) == set(ours)
        for n in ours:
            assert theirs[n].get_length() == ours[n].get_length()
            for offset, length in [*ranges, (0, 100)]:
                expected = theirs[n].read(offset, length)
                assert self.now(ours[n].read(offset, length)) == expected

    # -- leases ----------------------------------------------------------------

    @rule(si=st.sampled_from(IMMUTABLE + MUTABLE), secret=secrets, fault=faults)
    def add_lease(self, si: bytes, secret: bytes, fault: str) -> None:
        self.trouble = fault
        self.both(
            lambda: self.theirs.add_lease(si, secret, secret),
            lambda: self.ours.add_lease(si, secret, secret),
        )
        self.trouble = ""

    @rule(si=st.sampled_from(IMMUTABLE + MUTABLE), secret=secrets)
    def renew_lease(self, si: bytes, secret: bytes) -> None:
        have = [
            any(lease[2] == hash_secret(secret) for lease in held)
            for held in self._our_leases(si).values()
        ]
        # Upstream stops at the first share without it, in the folder's order.
        if all(have) or not any(have):
            self.both(
                lambda: self.theirs.renew_lease(si, secret),
                lambda: self.ours.renew_lease(si, secret),
            )

    @rule(seconds=st.integers(1, 100))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    def _our_leases(self, si: bytes) -> dict[int, list[Any]]:
        found = self.now(self.ours.all_leases(si))
        return {
            n: [(lease.owner, lease.expires, lease.renew) for lease in held]
            for n, held in found.items()
        }

    def _their_leases(self, si: bytes) -> dict[int, list[Any]]:
        kind = ShareFile if si in IMMUTABLE else MutableShareFile
        found = {}
        for n, name in self.theirs.get_shares(si):
            inner = [lease._lease_info for lease in kind(name).get_leases()]
            found[n] = [
                (i.owner_num, i.get_expiration_time(), i.renew_secret) for i in inner
            ]
        return found

    # -- mutable slots ---------------------------------------------------------

    @rule(
        si=slots_,
        enabler=st.sampled_from(SECRETS[:2]),
        secret=secrets,
        vectors=st.dictionaries(
            numbers,
            st.tuples(
                st.lists(st.tuples(offsets, st.integers(0, 9), data), max_size=1),
                st.lists(st.tuples(offsets, data), max_size=3),
                st.none() | st.integers(0, 70),
            ),
            max_size=3,
        ),
        ranges=reads,
        fault=faults,
    )
    def change_slot(
        self,
        si: bytes,
        enabler: bytes,
        secret: bytes,
        vectors: Any,
        ranges: Any,
        fault: str,
    ) -> None:
        self._change(si, enabler, secret, vectors, ranges, fault)

    def _change(
        self,
        si: bytes,
        enabler: bytes,
        secret: bytes,
        vectors: Any,
        ranges: Any,
        fault: str,
    ) -> None:
        full = {
            n: ([(o, k, b"eq", s) for o, k, s in tests], writes, length)
            for n, (tests, writes, length) in vectors.items()
        }
        arguments = (si, (enabler, secret, secret), full, ranges)
        self.trouble = fault
        self.both(
            lambda: self.theirs.slot_testv_and_readv_and_writev(*arguments),
            lambda: self.ours.slot_testv_and_readv_and_writev(*arguments),
        )
        self.trouble = ""

    @rule(
        si=slots_, secret=secrets, number=numbers, what=data, length=st.none() | offsets
    )
    def overwrite(
        self, si: bytes, secret: bytes, number: int, what: bytes, length: int | None
    ) -> None:
        """Tests that pass, which random ones seldom do."""
        held = self.now(self.ours.slot_readv(si, [number], [(0, 5)]))
        tests = [(0, 5, held.get(number, [b""])[0])]
        vectors = {number: (tests, [(len(what), what)], length)}
        self._change(si, SECRETS[0], secret, vectors, [(0, 9)], "")

    @rule(si=slots_, enabler=st.sampled_from(SECRETS[:2]))
    def delete_slot(self, si: bytes, enabler: bytes) -> None:
        """All shares, where the enabler is right: a tombstone stays."""
        there = self.now(self.ours.enumerate_mutable_shares(si))
        vectors = {number: ([], [], 0) for number in there}
        self._change(si, enabler, SECRETS[0], vectors, [], "")

    @rule(si=slots_, wanted=st.lists(numbers, max_size=2), ranges=reads)
    def read_slot(self, si: bytes, wanted: list[int], ranges: Any) -> None:
        self.both(
            lambda: self.theirs.slot_readv(si, wanted, ranges),
            lambda: self.ours.slot_readv(si, wanted, ranges),
        )
        self.both(
            lambda: self.theirs.enumerate_mutable_shares(si),
            lambda: self.ours.enumerate_mutable_shares(si),
        )
        for n in range(3):
            self.both(
                lambda n=n: self.theirs.get_mutable_share_length(si, n),
                lambda n=n: self.ours.get_mutable_share_length(si, n),
            )

    # -- the host --------------------------------------------------------------

    @rule(minutes=st.sampled_from([1, 30, 24 * 60]))
    def housekeeping(self, minutes: int) -> None:
        """The node looks at its epoch, sees again what is there, counts and sweeps."""
        for _ in range(12):
            self.retries.advance(minutes * 5)

    @rule()
    def restart(self) -> None:
        """The host is lost; upstream's server is stopped and started."""
        for theirs, _ in self.opened:
            theirs.abort()
        self.opened.clear()
        self._kill()
        self._begin()
        assert not self.store.uploads

    @invariant()
    def same_leases(self) -> None:
        if hasattr(self, "ours"):
            for si in IMMUTABLE + MUTABLE:
                assert self._our_leases(si) == self._their_leases(si)

    @invariant()
    def index_is_what_is_listed(self) -> None:
        if hasattr(self, "ours"):
            listed, index = self.now(read_index(self.store)), self.ours.index
            for si in IMMUTABLE:
                assert listed.immutable(si) == index.immutable(si)
            for si in MUTABLE:
                assert listed.has_slot(si) == index.has_slot(si)
            assert listed.stored == index.stored

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.ours._disk.close()
            self.folder.cleanup()


def with_tiny_pieces(case: SynchronousTestCase) -> None:
    """Have small operations cross the edges of blocks, parts and inline slots."""
    case.patch(slot, "BLOCK", 8)
    case.patch(slots, "LARGEST_INLINE", 40)
    case.patch(upload, "SINGLE_PUT", 20)
    case.patch(multipart, "PART_SIZE", 8)
    case.patch(memory, "SMALLEST_PART", 1)
    case.patch(spool, "IN_MEMORY", 10)
    case.patch(beginning, "WHOLE", 12)
    case.patch(beginning, "SIZE", 4)
    case.patch(beginning, "LEAST_END", 5)
    case.patch(cache, "READ_PIECE", 7)
    # There is no reactor that would hear of a thread.
    case.patch(cache, "deferToThread", maybeDeferred)


class LikeUpstream(SynchronousTestCase):
    def test_side_by_side(self) -> None:
        """Whatever is asked, ours answers as upstream's server does."""
        with_tiny_pieces(self)
        run_state_machine_as_test(
            SideBySide,
            settings=settings(max_examples=60, stateful_step_count=50),
        )
