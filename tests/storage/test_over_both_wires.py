"""Ours and upstream's disk server side by side, asked over both protocols at once.

To what ``test_like_upstream`` does with the servers this adds clients: whole requests,
as bytes, to each server's two fronts, which share their uploads, slots and leases.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from allmydata.storage.http_server import HTTPServer
from allmydata.storage.server import FoolscapStorageServer
from allmydata.util import cputhreadpool
from foolscap import eventual
from foolscap.api import Referenceable
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from twisted.internet import task
from twisted.internet.task import Cooperator
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from lae_storage.server import keys
from lae_storage.server.foolscap_front import FoolscapFront
from lae_storage.server.http_front import GuardedSite, HttpFront
from lae_storage.server.keys import si_text
from tests.storage.test_like_upstream import (
    IMMUTABLE,
    MUTABLE,
    SECRETS,
    SideBySide,
    data,
    faults,
    indexes,
    numbers,
    offsets,
    reads,
    secrets,
    slots_,
    with_tiny_pieces,
)
from tests.storage.wires import SWISSNUM, Foolscap, Gbs, Said, Turns, secret

#: Set while the test runs: what Foolscap and twisted.web wait for.
TURNS = Turns()
#: Longer than an upload may be silent.
SILENCE = 31 * 60
EXAMPLES = 40
orders = st.randoms(use_true_random=False)
any_index = st.sampled_from(IMMUTABLE + MUTABLE)
ranges = st.one_of(
    st.none(),
    st.tuples(offsets, st.integers(0, 40)).map(lambda r: f"bytes={r[0]}-{sum(r)}"),
    st.sampled_from(["bytes=5-", "bytes=-3", "bytes=7-2", "bytes=0-1,3-4", "eggs=0-1"]),
)


def lease(value: bytes) -> list[str]:
    """The two secrets of a lease."""
    return [secret(f"lease-{what}-secret", value) for what in ("renew", "cancel")]


class OverBothWires(SideBySide):
    """Both servers with both fronts."""

    uploads: Bundle[Any] = Bundle("uploads")
    remote: Bundle[Any] = Bundle("remote")

    def _begin(self) -> None:
        super()._begin()
        path = Path(self.folder.name)
        front = HttpFront(None, self.ours, SWISSNUM)
        self.gbs = (
            Gbs(Site(HTTPServer(TURNS, self.theirs, SWISSNUM).get_resource()), _turn),
            Gbs(GuardedSite(front, SWISSNUM, path), self._turn_ours),
        )
        self.foolscap = (
            Foolscap(FoolscapStorageServer(self.theirs), _turn),
            Foolscap(FoolscapFront(self.ours), self._turn_ours),
        )
        self.reports: list[str] = []
        self._connect()

    def _turn_ours(self) -> None:
        _turn()
        if self.waits:
            self.retries.advance(5)
        self.waits += 1

    def _connect(self) -> None:
        self.fronts = [wire.connect() for wire in self.foolscap]
        self.canaries = [Referenceable(), Referenceable()]
        self.connection = object()

    def _http(self, fault: str, *asked: Any, **more: Any) -> Said:
        theirs, ours = self.gbs
        expected = theirs.ask(*asked, **more)
        self.trouble, self.waits = fault, 0
        found = ours.ask(*asked, **more)
        self.trouble = ""
        assert found == expected, (asked, more, found, expected)
        return found

    def _call(self, fault: str, references: Any, method: str, *asked: Any) -> Any:
        """Answers that can be compared; references are handed on."""
        expected = self.foolscap[0].call(references[0], method, *asked)
        self.trouble, self.waits = fault, 0
        found = self.foolscap[1].call(references[1], method, *asked)
        self.trouble = ""
        assert found == expected, (method, asked, found, expected)
        return found

    # -- GBS: immutable shares ---------------------------------------------------

    @rule(
        target=uploads,
        si=indexes,
        key=secrets,
        wanted=st.sets(numbers),
        size=st.integers(1, 40),
        fault=faults,
    )
    def gbs_allocate(
        self, si: bytes, key: bytes, wanted: set[int], size: int, fault: str
    ) -> Any:
        return multiple(*self._gbs_allocate(si, key, wanted, size, fault))

    def _gbs_allocate(
        self, si: bytes, key: bytes, wanted: set[int], size: int, fault: str
    ) -> list[Any]:
        said = self._http(
            fault if fault != "contend" else "",
            "POST",
            f"immutable/{si_text(si)}",
            {"share-numbers": wanted, "allocated-size": size},
            [*lease(key), secret("upload-secret", key)],
        )
        return [(si, n, key, size) for n in said.body["allocated"]]

    @rule(
        it=uploads, offset=offsets, what=st.binary(min_size=1, max_size=30), at=faults
    )
    def gbs_write(self, it: Any, offset: int, what: bytes, at: str) -> None:
        """Any piece; overlaps may conflict, and the last one stores the share."""
        si, number, key, size = it
        # Upstream fails of what is too long, and says 500.
        self._patch(si, number, key, offset, what[: max(1, size - offset)], size, at)

    def _patch(
        self,
        si: bytes,
        number: int,
        key: bytes,
        offset: int,
        what: bytes,
        size: int,
        fault: str,
    ) -> None:
        if offset + len(what) > size:
            return
        self._http(
            fault,
            "PATCH",
            f"immutable/{si_text(si)}/{number}",
            what,
            [secret("upload-secret", key)],
            content_range=f"bytes {offset}-{offset + len(what) - 1}/*",
        )

    @rule(it=uploads, seed=st.integers(0, 3), order=orders)
    def gbs_write_all(self, it: Any, seed: int, order: Random) -> None:
        self._gbs_write_all(it, seed, order)

    def _gbs_write_all(self, it: Any, seed: int, order: Random) -> None:
        """In any order, some pieces twice."""
        si, number, key, size = it
        what = Random(seed).randbytes(size)
        places = [*range(0, size, 7), *range(0, size, 14)]
        order.shuffle(places)
        for at in places:
            self._patch(si, number, key, at, what[at : at + 7], size, "")

    @rule(it=uploads, key=secrets)
    def gbs_abort(self, it: Any, key: bytes) -> None:
        """With the right secret or another."""
        si, number, _, _ = it
        path = f"immutable/{si_text(si)}/{number}/abort"
        self._http("", "PUT", path, None, [secret("upload-secret", key)])

    @rule(si=indexes, key=secrets, number=numbers, size=st.integers(1, 40), seed=orders)
    def gbs_store(
        self, si: bytes, key: bytes, number: int, size: int, seed: Random
    ) -> None:
        """A whole share, where there is none, and what is read of it."""
        for it in self._gbs_allocate(si, key, {number}, size, ""):
            self._gbs_write_all(it, number, seed)
        self.gbs_read(si, ["bytes=2-4"])

    @rule(si=any_index, wanted=st.lists(ranges, max_size=3))
    def gbs_read(self, si: bytes, wanted: list[str | None]) -> None:
        # Asked for shares of the other kind, upstream says 500.
        where = f"{'mutable' if si in MUTABLE else 'immutable'}/{si_text(si)}"
        said = self._http("", "GET", f"{where}/shares")
        for number in [*sorted(said.body), 3]:
            for span in [None, "bytes=1-3", *wanted]:
                more = {} if span is None else {"range": span}
                self._http("", "GET", f"{where}/{number}", **more)

    # -- GBS: leases, advisories, slots, and what is none -------------------------

    @rule(si=any_index, key=secrets, fault=faults)
    def gbs_lease(self, si: bytes, key: bytes, fault: str) -> None:
        self._http(fault, "PUT", f"lease/{si_text(si)}", None, lease(key))

    @rule(si=any_index, number=numbers, reason=st.text("ab\u00fc\n", max_size=9))
    def gbs_advise(self, si: bytes, number: int, reason: str) -> None:
        kind = "mutable" if si in MUTABLE else "immutable"
        where = f"{kind}/{si_text(si)}/{number}/corrupt"
        self._http("", "POST", where, {"reason": reason})

    @rule(
        si=slots_,
        enabler=st.sampled_from(SECRETS[:2]),
        key=secrets,
        vectors=st.dictionaries(
            numbers,
            st.fixed_dictionaries(
                {
                    "test": st.lists(
                        st.fixed_dictionaries(
                            {"offset": offsets, "size": offsets, "specimen": data}
                        ),
                        max_size=1,
                    ),
                    "write": st.lists(
                        st.fixed_dictionaries({"offset": offsets, "data": data}),
                        max_size=3,
                    ),
                    "new-length": st.none() | st.integers(0, 70),
                }
            ),
            max_size=3,
        ),
        wanted=reads,
        fault=faults,
    )
    def gbs_change(
        self,
        si: bytes,
        enabler: bytes,
        key: bytes,
        vectors: Any,
        wanted: Any,
        fault: str,
    ) -> None:
        asked = {
            "test-write-vectors": vectors,
            "read-vector": [{"offset": o, "size": n} for o, n in wanted],
        }
        keys_ = [*lease(key), secret("write-enabler", enabler)]
        path = f"mutable/{si_text(si)}/read-test-write"
        self._http(fault, "POST", path, asked, keys_)

    @rule(
        asked=st.sampled_from(
            [
                ("GET", "version", {"swissnum": b"wrong"}),
                ("GET", "nothing", {}),
                ("DELETE", f"immutable/{si_text(IMMUTABLE[0])}/0", {}),
                ("GET", "immutable/TOO-SHORT/0", {}),
                ("POST", f"immutable/{si_text(IMMUTABLE[0])}", {"body": {"a": 1}}),
                ("PUT", f"lease/{si_text(IMMUTABLE[0])}", {"secrets": lease(b"x")[:1]}),
                (
                    "GET",
                    f"immutable/{si_text(IMMUTABLE[0])}/0",
                    {"secrets": lease(b"x")},
                ),
                ("POST", f"mutable/{si_text(MUTABLE[0])}/0/corrupt", {"body": b"\xff"}),
            ]
        )
    )
    def gbs_nonsense(self, asked: Any) -> None:
        method, path, more = asked
        self._http("", method, path, **more)

    # -- Foolscap ----------------------------------------------------------------

    @rule(
        target=remote,
        si=indexes,
        key=secrets,
        wanted=st.sets(numbers),
        size=st.integers(1, 40),
    )
    def call_allocate(self, si: bytes, key: bytes, wanted: set[int], size: int) -> Any:
        here, made = [], []
        for wire, front, canary in zip(
            self.foolscap, self.fronts, self.canaries, strict=True
        ):
            asked = (si, key, key, wanted, size, canary)
            self.waits = 0
            found, writers = wire.call(front, "allocate_buckets", *asked)
            here.append(found)
            made.append(writers)
        assert here[0] == here[1]
        assert set(made[0]) == set(made[1])
        pairs = [(made[0][n], made[1][n]) for n in made[0]]
        return multiple(*((pair, size, self.connection) for pair in pairs))

    @rule(it=remote, offset=offsets, what=st.binary(min_size=1, max_size=30))
    def call_write(self, it: Any, offset: int, what: bytes) -> None:
        pair, _, connection = it
        if connection is self.connection:
            self._write(pair, offset, what)

    def _write(self, pair: Any, offset: int, what: bytes) -> None:
        # Upstream's writer that is over fails with what Python says of None.
        expected = self.foolscap[0].call(pair[0], "write", offset, what)
        self.waits = 0
        found = self.foolscap[1].call(pair[1], "write", offset, what)
        if expected in OVER:
            assert str(found).startswith("failed"), found
        else:
            assert found == expected, (found, expected)

    @rule(it=remote, seed=st.integers(0, 3))
    def call_write_all(self, it: Any, seed: int) -> None:
        pair, size, connection = it
        what = Random(seed).randbytes(size)
        for at in range(0, size, 7):
            if connection is self.connection:
                self._write(pair, at, what[at : at + 7])

    @rule(it=consumes(remote), end=st.sampled_from(["close", "abort"]), fault=faults)
    def call_end(self, it: Any, end: str, fault: str) -> None:
        pair, _, connection = it
        if connection is not self.connection:
            return
        expected = self.foolscap[0].call(pair[0], end)
        self.trouble, self.waits = fault, 0
        found = self.foolscap[1].call(pair[1], end)
        self.trouble = ""
        if expected in OVER:
            assert str(found).startswith("failed"), found
        else:
            assert found == expected, (found, expected)

    @rule(si=indexes, wanted=reads)
    def call_read(self, si: bytes, wanted: list[tuple[int, int]]) -> None:
        readers = []
        for wire, front in zip(self.foolscap, self.fronts, strict=True):
            self.waits = 0
            readers.append(wire.call(front, "get_buckets", si))
        assert set(readers[0]) == set(readers[1])
        for n in readers[0]:
            for span in [*wanted, (0, 100)]:
                self._call("", (readers[0][n], readers[1][n]), "read", *span)

    @rule(si=any_index, key=secrets, fault=faults)
    def call_lease(self, si: bytes, key: bytes, fault: str) -> None:
        self._call(fault, self.fronts, "add_lease", si, key, key)

    @rule(si=any_index, number=numbers, reason=st.binary(max_size=9))
    def call_advise(self, si: bytes, number: int, reason: bytes) -> None:
        kind = b"mutable" if si in MUTABLE else b"immutable"
        self._call("", self.fronts, "advise_corrupt_share", kind, si, number, reason)

    @rule(
        si=slots_,
        enabler=st.sampled_from(SECRETS[:2]),
        key=secrets,
        vectors=st.dictionaries(
            numbers,
            st.tuples(
                st.lists(st.tuples(offsets, offsets, st.just(b"eq"), data), max_size=1),
                st.lists(st.tuples(offsets, data), max_size=3),
                st.none() | st.integers(0, 70),
            ),
            max_size=3,
        ),
        wanted=reads,
        fault=faults,
    )
    def call_change(
        self,
        si: bytes,
        enabler: bytes,
        key: bytes,
        vectors: Any,
        wanted: Any,
        fault: str,
    ) -> None:
        name, keys_ = "slot_testv_and_readv_and_writev", (enabler, key, key)
        self._call(fault, self.fronts, name, si, keys_, vectors, wanted)

    @rule(si=slots_, wanted=st.lists(numbers, max_size=2), spans=reads)
    def call_read_slot(self, si: bytes, wanted: list[int], spans: Any) -> None:
        self._call("", self.fronts, "slot_readv", si, wanted, spans)

    # -- connections and time ------------------------------------------------------

    @rule()
    def disconnect(self) -> None:
        """Foolscap's uploads end with the connection, GBS' are resumed on another."""
        self.waits = 0
        for wire in self.foolscap:
            wire.disconnect()
        self._connect()
        self._same_uploads()

    @rule()
    def silence(self) -> None:
        """Uploads of either protocol are thrown away."""
        self.clock.advance(SILENCE)
        self._same_uploads()

    def _same_uploads(self) -> None:
        allocated = self.theirs.allocated_size()
        assert self.ours.allocated_size() == allocated

    @rule()
    def restart(self) -> None:
        for writer in list(self.theirs._bucket_writers.values()):
            writer.abort()
        super().restart()

    @invariant()
    def same_reports(self) -> None:
        """What clients said of corrupt shares is kept, word by word."""
        if not hasattr(self, "ours"):
            return
        folder = Path(self.theirs.corruption_advisory_dir)
        # Upstream's of one second and share are one file.
        theirs = {path.read_text("utf-8") for path in folder.iterdir()}
        kept = self.store.objects.items()
        ours = {o.data.decode() for k, o in kept if k.startswith(keys.ADVISORIES)}
        assert theirs <= ours


#: What upstream's writer that is closed already fails with.
OVER = frozenset(
    f"failed: {name}"
    for name in ("AttributeError", "AssertionError", "TypeError", "AlreadyCalled")
)


def _turn() -> None:
    TURNS.go_on()


class OverWires(SynchronousTestCase):
    def test_both_protocols_side_by_side(self) -> None:
        """Whatever clients send over either protocol, ours answers as upstream's."""
        with_tiny_pieces(self)
        self.patch(eventual, "reactor", TURNS)
        # Another test may have left one that waits for a turn of the real reactor.
        self.patch(eventual, "_theSimpleQueue", eventual._SimpleCallQueue())
        self.patch(cputhreadpool, "_DISABLED", True)
        cooperator = Cooperator(scheduler=lambda work: TURNS.callLater(0, work))
        self.patch(task, "_theCooperator", cooperator)
        run_state_machine_as_test(
            OverBothWires,
            settings=settings(max_examples=EXAMPLES, stateful_step_count=40),
        )
