"""A bucket without a node: checked, tidied, left with, and come back to."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from allmydata.storage.immutable import ShareFile
from allmydata.storage.immutable_schema import schema_from_version
from allmydata.storage.lease import LeaseInfo
from allmydata.storage.server import StorageServer

from lae_storage.offline.checking import check, repair
from lae_storage.offline.moving import Importing, export
from lae_storage.offline.upstream_files import NotAShare, find, open_share, path_of
from lae_storage.server import beginning, keys
from lae_storage.server.garbage import ORPHAN_AGE
from lae_storage.server.keys import ShareName
from lae_storage.server.lease import Lease, hash_secret
from lae_storage.server.multipart import PART_SIZE
from lae_storage.server.slot import BLOCK
from lae_storage.server.upload import SINGLE_PUT

SI, SLOT, LARGE_SLOT, LARGE = b"i" * 16, b"m" * 16, b"l" * 16, b"L" * 16
NODEID = b"n" * 20
SECRETS = (b"w" * 32, b"r" * 32, b"c" * 32)


@pytest.fixture
def filled(serving: Any) -> Any:
    """A bucket with shares of each kind, leases added to some, and a hole."""
    serving.upload(SI, b"small share")
    serving.upload(LARGE, os.urandom(SINGLE_PUT + PART_SIZE + 5))
    serving.now(serving.server.add_lease(SI, b"s" * 32, b"t" * 32))
    serving.change(SLOT, b"small slot")
    serving.now(serving.server.add_lease(SLOT, b"s" * 32, b"t" * 32))
    serving.change(LARGE_SLOT, b"a" * 3 * BLOCK)
    serving.change(LARGE_SLOT, b"z" * 5, offset=7 * BLOCK)
    serving.change(b"g" * 16, b"gone")
    vectors = {0: ([], [], 0)}
    serving.now(
        serving.server.slot_testv_and_readv_and_writev(b"g" * 16, SECRETS, vectors, [])
    )
    return serving


def _check(serving: Any, *, data: bool = True) -> Any:
    return serving.now(check(serving.store, data=data))


def test_a_bucket_that_is_well(filled: Any) -> None:
    """Everything is counted, and nothing is wrong."""
    found = _check(filled)
    assert found.problems == []
    assert (found.immutable_shares, found.mutable_shares) == (2, 2)
    assert (found.slots, found.tombstones, found.leases) == (2, 1, 6)
    assert found.chunks == 4
    assert found.orphans == 0
    assert found.stored == sum(len(o.data) for o in filled.store.objects.values())


def _damage(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("immutable/", "not the bytes"),
        ("chunks/", "not the bytes"),
        ("mutable/", "damaged"),
        ("leases/", "cannot be read"),
        ("s4/format", "another format"),
    ],
)
def test_what_was_changed_is_found(filled: Any, prefix: str, said: str) -> None:
    """One byte changed behind our back is said, whatever object it is in."""
    for key, there in filled.store.objects.items():
        if key.startswith(prefix) and len(there.data) > 64:
            there.data = _damage(there.data)
    if prefix == "s4/format":
        filled.store.objects[prefix].data = b'{"format": 7}'
    problems = _check(filled).problems
    assert problems
    assert any(said in problem for problem in problems)


def test_another_beginning_is_found(serving: Any) -> None:
    """Clients that open a share are told the beginning that is in the metadata."""
    serving.upload(SI, os.urandom(beginning.WHOLE + 1))
    assert _check(serving).problems == []
    there = serving.store.objects[keys.immutable_key(SI, 0)]
    other = b64encode(bytes(beginning.SIZE)).decode()
    there.metadata = {**there.metadata, beginning.BEGINNING: other}
    (problem,) = _check(serving).problems
    assert "another beginning" in problem


def test_what_is_missing_or_foreign_is_found(filled: Any) -> None:
    """A chunk that is gone, a share that is gone from its leases, a stray object."""
    objects = filled.store.objects
    del objects[next(k for k in objects if k.startswith("chunks/"))]
    del objects[keys.immutable_key(SI, 0)]
    objects["holiday.jpg"] = objects[keys.FORMAT_KEY]
    objects[keys.chunk_key(SLOT, "left")] = objects[keys.FORMAT_KEY]
    found = _check(filled, data=False)
    assert len(found.problems) == 3
    assert found.orphans == 1
    for said in ("chunk", "leases of share 0", "not yours: holiday.jpg"):
        assert any(said in problem for problem in found.problems)


def test_repair_deletes_what_is_old_and_not_needed(filled: Any) -> None:
    """Orphans and unfinished uploads of a day's age go, and nothing else does."""
    objects = filled.store.objects
    before = set(objects)
    objects[keys.chunk_key(LARGE_SLOT, "left")] = objects[keys.FORMAT_KEY]
    filled.now(filled.store.begin_upload(keys.immutable_key(b"u" * 16, 0), {}))
    early = filled.now(repair(filled.store, ORPHAN_AGE - 60.0))
    assert (early.orphans, early.uploads) == (0, 0)
    done = filled.now(repair(filled.store, ORPHAN_AGE + 60.0))
    assert (done.orphans, done.uploads) == (1, 1)
    assert set(objects) == before
    assert not filled.store.uploads


def _upstream(folder: Path) -> Any:
    """Upstream's own server on the exported files."""
    return StorageServer(str(folder / "storage"), NODEID)


def test_upstream_serves_what_is_exported(filled: Any, tmp_path: Path) -> None:
    """Data, leases with their secrets, write enablers and holes are as they were."""
    moved = filled.now(export(filled.store, tmp_path / "node", NODEID))
    assert (moved.immutable, moved.mutable, moved.problems) == (2, 2, [])
    theirs = _upstream(tmp_path / "node")
    for si in (SI, LARGE):
        ours = filled.now(filled.server.get_buckets(si)[0].read(0, 10**9))
        assert theirs.get_buckets(si)[0].read(0, 10**9) == ours
    for si in (SLOT, LARGE_SLOT):
        assert theirs.slot_readv(si, [0], [(0, 10**9)])[0] == [filled.slot(si)]
    for si in (SI, SLOT):
        theirs.renew_lease(si, b"s" * 32)
        with pytest.raises(IndexError):
            theirs.renew_lease(si, b"x" * 32)
    passed, _ = theirs.slot_testv_and_readv_and_writev(
        SLOT, SECRETS, {0: ([(0, 5, b"eq", b"small")], [(0, b"SMALL")], None)}, []
    )
    assert passed
    again = filled.now(export(filled.store, tmp_path / "node", NODEID))
    assert (again.immutable, again.mutable, len(again.problems)) == (0, 0, 4)


#: Exports a bucket with the objects of standard input, and dies while it is asked for the nth object
#: that has a share's data.
KILLED_EXPORT = """
import os, pickle, signal, sys
from pathlib import Path
from twisted.internet.defer import Deferred
from lae_storage.offline.moving import export
from tests.twins.store import MemoryStore

folder, nth = Path(sys.argv[1]), int(sys.argv[2])
store = MemoryStore(objects=pickle.load(sys.stdin.buffer))
asked = []

def die_at_the_nth(request):
    if request.operation == "get" and request.key.startswith(("immutable", "chunks")):
        asked.append(request)
        if len(asked) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

store.fault = die_at_the_nth
Deferred.fromCoroutine(export(store, folder, b"n" * 20))
"""


@pytest.mark.parametrize(
    "nth", [3, 6], ids=["in an immutable share", "in a mutable one"]
)
def test_an_export_that_was_killed_goes_on(
    filled: Any, tmp_path: Path, nth: int
) -> None:
    """A share that a killed export had begun is written again, whole; none that is half
    written is ever where a node or an import looks for shares.
    """
    node, whole = tmp_path / "node", tmp_path / "whole"
    filled.now(export(filled.store, whole, NODEID))
    done = subprocess.run(
        [sys.executable, "-c", KILLED_EXPORT, str(node), str(nth)],
        input=pickle.dumps(filled.store.objects),
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert list((node / "storage" / "shares" / "incoming").iterdir())
    there = {path.relative_to(node) for path in find(node)}
    assert all((node / p).read_bytes() == (whole / p).read_bytes() for p in there)
    moved = filled.now(export(filled.store, node, NODEID))
    assert len(moved.problems) == len(there) == 4 - moved.immutable - moved.mutable
    exported = {path.relative_to(node): path.read_bytes() for path in find(node)}
    assert exported == {p.relative_to(whole): p.read_bytes() for p in find(whole)}


def _import(serving: Any, tmp_path: Path, node: Path) -> Any:
    importing = Importing(serving.server._bucket, tmp_path)
    return serving.now(importing.import_from(node))


def test_there_and_back(filled: Any, tmp_path: Path) -> None:
    """Exported and imported into a new bucket, all is as it was; again changes
    nothing.
    """
    node = tmp_path / "node"
    filled.now(export(filled.store, node, NODEID))
    fresh = type(filled)(tmp_path / "fresh").start()
    moved = _import(fresh, tmp_path, node)
    assert (moved.immutable, moved.mutable, moved.problems) == (2, 2, [])
    later = fresh.another()
    for si in (SI, LARGE):
        ours = filled.now(filled.server.get_buckets(si)[0].read(0, 10**9))
        assert later.now(later.server.get_buckets(si)[0].read(0, 10**9)) == ours
    for si in (SLOT, LARGE_SLOT):
        assert later.slot(si) == filled.slot(si)
    for si in (SI, LARGE, SLOT, LARGE_SLOT):
        expected = filled.now(filled.server.all_leases(si))
        assert later.now(later.server.all_leases(si)) == expected
    assert later.change(SLOT, b"SMALL", tests=[(0, 5, b"eq", b"small")])
    assert _check(later).problems == []
    again = _import(later.another(), tmp_path, node)
    assert (again.immutable, again.mutable) == (0, 0)
    assert later.another().slot(SLOT) == b"SMALL slot"


def test_an_import_that_was_broken_off_goes_on(filled: Any, tmp_path: Path) -> None:
    """A mutable share that came only in part is imported again."""
    node = tmp_path / "node"
    filled.now(export(filled.store, node, NODEID))
    fresh = type(filled)(tmp_path / "fresh").start()
    secrets, vectors = (b"w" * 32, b"", b""), {0: ([], [(0, b"a" * 10)], None)}
    fresh.now(
        fresh.server.slot_testv_and_readv_and_writev(
            LARGE_SLOT, secrets, vectors, [], renew_leases=False
        )
    )
    _import(fresh, tmp_path, node)
    assert fresh.another().slot(LARGE_SLOT) == filled.slot(LARGE_SLOT)


def test_what_is_no_share_is_said(filled: Any, tmp_path: Path) -> None:
    """A damaged file among upstream's is named, and the others are imported."""
    node = tmp_path / "node"
    filled.now(export(filled.store, node, NODEID))
    damaged = next(iter(find(node)))
    damaged.write_bytes(b"\xff" * 20)
    fresh = type(filled)(tmp_path / "fresh").start()
    moved = _import(fresh, tmp_path, node)
    assert moved.problems == [f"not a share file, or damaged: {damaged}"]
    assert moved.immutable + moved.mutable == 3


def test_an_exported_folder_is_a_nodes(filled: Any, tmp_path: Path) -> None:
    """``tahoe run`` knows the folder; one that is a node's already gets nothing more;
    mutable shares name the node that they are exported for.
    """
    node, own = tmp_path / "node", tmp_path / "own"
    own.mkdir()
    (own / "tahoe-introducer.tac").touch()
    for folder in (node, own):
        filled.now(export(filled.store, folder, NODEID))
    assert [path.name for path in node.glob("*.tac")] == ["tahoe-client.tac"]
    assert [path.name for path in own.glob("*.tac")] == ["tahoe-introducer.tac"]
    container = open_share(path_of(node, ShareName(SLOT, 0))).container
    with Path(container.home).open("rb") as file:
        enabler, nodeid = container._read_write_enabler_and_nodeid(file)
    assert (enabler, nodeid) == (SECRETS[0], NODEID)


def test_shares_of_older_nodes_keep_their_leases(tmp_path: Path) -> None:
    """A container of upstream's first version has secrets as they are; ours are hashed,
    so the same secret renews.
    """
    path = path_of(tmp_path, ShareName(SI, 0))
    path.parent.mkdir(parents=True)
    schema = schema_from_version(1)
    share = ShareFile(str(path), max_size=4, create=True, schema=schema)
    share.write_share_data(0, b"data")
    share.add_lease(LeaseInfo(7, b"r" * 32, b"c" * 32, 1000, NODEID))
    found = open_share(path)
    assert found.read(0, 10) == b"data"
    lease = Lease(7, 1000, hash_secret(b"r" * 32), hash_secret(b"c" * 32))
    assert found.leases == (lease,)


def test_only_files_in_their_places_are_shares(filled: Any, tmp_path: Path) -> None:
    """Folders and what upstream is still receiving are passed over; a file whose name is
    no number, or whose folder is no storage index, is no share.
    """
    filled.now(export(filled.store, tmp_path, NODEID))
    good = path_of(tmp_path, ShareName(SI, 0))
    before = list(find(tmp_path))
    assert before == sorted(before)
    assert len(before) == 4
    (good.parent / "9").mkdir()
    deep = tmp_path / "storage" / "shares" / "incoming" / "ab" / "0"
    deep.mkdir(parents=True)
    deep.with_name("1").touch()
    assert list(find(tmp_path)) == before
    misplaced = tmp_path / "storage" / "shares" / "zz" / "!!" / "0"
    misplaced.parent.mkdir(parents=True)
    for wrong in (good.with_name("name"), misplaced):
        wrong.write_bytes(good.read_bytes())
        with pytest.raises(NotAShare):
            open_share(wrong)
    with pytest.raises(NotAShare):
        open_share(good.with_name("8"))


def test_a_hole_at_the_end_is_exported(serving: Any, tmp_path: Path) -> None:
    """An empty write beyond the end makes a slot longer by zeros; so is its file."""
    serving.change(SLOT, b"data")
    serving.change(SLOT, b"", offset=30)
    serving.change(LARGE_SLOT, b"a" * 3 * BLOCK)
    vectors = {0: ([], [], BLOCK + 5)}
    cut = serving.server.slot_testv_and_readv_and_writev
    serving.now(cut(LARGE_SLOT, SECRETS, vectors, []))
    serving.now(export(serving.store, tmp_path, NODEID))
    theirs = _upstream(tmp_path)
    for si in (SLOT, LARGE_SLOT):
        assert theirs.slot_readv(si, [0], [(0, 10**9)])[0] == [serving.slot(si)]
