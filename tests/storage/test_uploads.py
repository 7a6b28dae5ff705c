"""Immutable shares: seen when they are whole in S3, and never before."""

from __future__ import annotations

import os
from typing import Any

import pytest
from allmydata.storage.lease_schema import HashedLeaseSerializer
from twisted.internet.defer import Deferred

from lae_storage.s3.interface import Contended, Denied, NotThere, Unavailable
from lae_storage.server import keys
from lae_storage.server.bucket import NotOurLayout
from lae_storage.server.immutable import IDLE_TIMEOUT, UploadOver
from lae_storage.server.lease import DURATION, hash_secret
from lae_storage.server.limits import Limits
from lae_storage.server.multipart import PART_SIZE
from lae_storage.server.upload import SINGLE_PUT, SomebodyElses
from tests.twins.store import Request

SI = b"i" * 16
KEY = keys.immutable_key(SI, 0)
LARGE = SINGLE_PUT + PART_SIZE + 12345


def _read(serving: Any, offset: int = 0, length: int = 10**9) -> bytes:
    data: bytes = serving.now(serving.server.get_buckets(SI)[0].read(offset, length))
    return data


def test_parts_are_sent_while_the_share_is_received(serving: Any) -> None:
    """Before the last byte is here the first parts are in S3, yet nothing is seen."""
    data = os.urandom(LARGE)
    writer = serving.writer(SI, LARGE)
    for at in range(0, 2 * PART_SIZE, PART_SIZE):
        serving.now(writer.write(at, data[at : at + PART_SIZE]))
    assert serving.requests("begin", "part") == [KEY] * 3
    assert serving.server.get_buckets(SI) == {}
    serving.now(writer.write(2 * PART_SIZE, data[2 * PART_SIZE :]))
    serving.now(writer.close())
    assert _read(serving) == data
    assert not serving.store.uploads
    assert serving.another().server.index.immutable(SI) == {0: LARGE}


def test_requests_of_a_100_mb_upload(serving: Any) -> None:
    """It takes at most 15 requests."""
    data = bytes(100_000_000)
    serving.store.requests.clear()
    serving.upload(SI, data)
    assert len(serving.store.requests) <= 15


def test_a_small_share_is_one_request(serving: Any) -> None:
    """Its first lease is in its metadata, so that nothing else is written."""
    serving.store.requests.clear()
    serving.upload(SI, b"x" * 1000)
    assert [r.operation for r in serving.store.requests] == ["put"]


@pytest.mark.parametrize("end", ["abort", "disconnected", "idle", "restart"])
def test_an_upload_that_ends_early_leaves_nothing(serving: Any, end: str) -> None:
    """Aborted, disconnected or timed out, its parts are thrown away."""
    writer = serving.writer(SI, LARGE)
    serving.now(writer.write(0, bytes(2 * PART_SIZE)))
    assert serving.store.uploads
    if end == "idle":
        serving.clock.advance(IDLE_TIMEOUT + 1)
    elif end == "restart":
        serving.now(serving.server.stopService())
    else:
        getattr(writer, end)()
    assert not serving.store.uploads
    assert not serving.store.objects.get(KEY)
    assert serving.server.allocated_size() == 0
    with pytest.raises(UploadOver):
        serving.now(writer.write(0, b"x"))
    serving.upload(SI, b"other data")
    assert _read(serving) == b"other data"


def test_a_dead_hosts_upload_is_swept(serving: Any) -> None:
    """The next node aborts what its predecessor left; where it may not, it starts."""
    serving.now(serving.writer(SI, LARGE).write(0, bytes(PART_SIZE)))
    assert serving.store.uploads

    def fault(request: Request) -> None:
        if request.operation == "uploads":
            raise Denied("AccessDenied")

    serving.store.fault = fault
    serving.another()
    assert serving.store.uploads
    serving.store.fault = None
    serving.another()
    assert not serving.store.uploads


def test_abort_while_a_part_is_under_way(serving: Any) -> None:
    """The upload is aborted when its last part has arrived, so that none is left."""
    held: Deferred[None] = Deferred()
    serving.store.fault = lambda r: held if r.operation == "part" else None
    writer = serving.writer(SI, LARGE)
    writing = Deferred.fromCoroutine(writer.write(0, bytes(PART_SIZE)))
    writer.abort()
    assert serving.store.uploads
    held.callback(None)
    assert not serving.store.uploads
    assert writing.called


def test_a_client_far_ahead_waits(serving: Any) -> None:
    """While parts are on their way to S3, the answer to a write waits."""
    held: Deferred[None] = Deferred()
    serving.store.fault = lambda r: held if r.operation == "part" else None
    writer = serving.writer(SI, 10 * PART_SIZE)
    assert Deferred.fromCoroutine(writer.write(0, bytes(2 * PART_SIZE))).called
    waiting = Deferred.fromCoroutine(writer.write(2 * PART_SIZE, bytes(PART_SIZE)))
    assert not waiting.called
    held.callback(None)
    assert waiting.called


def test_a_failed_part_fails_the_upload(serving: Any) -> None:
    """The client is told, nothing is seen, and it may try again."""

    def fault(request: Request) -> None:
        if request.operation == "part":
            raise Unavailable("SlowDown")

    serving.store.fault = fault
    writer = serving.writer(SI, LARGE)
    with pytest.raises(Unavailable):
        serving.now(writer.write(0, bytes(PART_SIZE)))
    with pytest.raises(Unavailable):
        serving.now(writer.close())
    serving.store.fault = None
    assert not serving.server.get_buckets(SI)
    assert not serving.store.uploads
    serving.upload(SI, b"again")
    assert _read(serving) == b"again"


@pytest.mark.parametrize("trouble", ["lose", "contend"])
def test_completion_of_unclear_fate(serving: Any, trouble: str) -> None:
    """A lost reply is found out; at a 409 the whole upload begins anew."""
    troubles = [trouble]

    def fault(request: Request) -> str | None:
        if request.operation != "complete" or not troubles:
            return None
        if troubles.pop() == "contend":
            raise Contended("ConditionalRequestConflict")
        return "lose"

    serving.store.fault = fault
    data = os.urandom(LARGE)
    serving.upload(SI, data)
    assert _read(serving) == data
    assert not serving.store.uploads


@pytest.mark.parametrize("size", [1000, LARGE])
def test_another_node_stored_it_first(serving: Any, size: int) -> None:
    """The same bytes are as good as ours; other bytes are never overwritten."""
    data = os.urandom(size)
    writer, wrong = serving.writer(SI, size), serving.another().writer(SI, size)
    serving.another().upload(SI, data)
    for at in range(0, size, PART_SIZE):
        serving.now(writer.write(at, data[at : at + PART_SIZE]))
        serving.now(wrong.write(at, bytes(len(data[at : at + PART_SIZE]))))
    serving.now(writer.close())
    assert _read(serving) == data
    with pytest.raises(SomebodyElses):
        serving.now(wrong.close())
    assert serving.store.objects[KEY].data == data
    assert not serving.store.uploads


def test_closing_twice_at_once(serving: Any) -> None:
    """Both closings wait for S3, and only one object is written."""
    held: Deferred[None] = Deferred()
    serving.store.fault = lambda r: held if r.operation == "put" else None
    writer = serving.writer(SI, 3)
    serving.now(writer.write(0, b"abc"))
    first, second = (Deferred.fromCoroutine(writer.close()) for _ in range(2))
    writer.disconnected()
    assert not first.called
    assert not second.called
    held.callback(None)
    assert first.called
    assert second.called
    assert _read(serving) == b"abc"


def test_room(serving: Any) -> None:
    """The quota bounds new shares and unfinished ones; the spool's disk does, too."""
    serving.server.allowance.quota = 100
    secret = b"s" * 32
    allocate = serving.server.allocate_buckets
    _, writers = serving.now(allocate(SI, secret, secret, {0, 1, 2}, 40))
    assert set(writers) == {0, 1}
    writers[0].abort()
    _, writers = serving.now(allocate(SI, secret, secret, {2}, 41))
    assert set(writers) == {2}
    small = serving.another()
    small.limits = Limits(spool=50)
    small.start()
    _, writers = small.now(
        small.server.allocate_buckets(SI, secret, secret, {0, 1}, 40)
    )
    assert set(writers) == {0}


def test_leases_survive_the_host(serving: Any) -> None:
    """The first lease is in the object, later ones beside it; only its secret renews."""
    serving.upload(SI, b"data", b"a" * 32)
    serving.now(serving.server.add_lease(SI, b"b" * 32, b"c" * 32))
    successor = serving.another()
    successor.clock.advance(50)
    with pytest.raises(IndexError):
        successor.now(successor.server.renew_lease(SI, b"x" * 32))
    successor.now(successor.server.renew_lease(SI, b"a" * 32))
    last = serving.another()
    found = last.now(last.server.all_leases(SI))
    assert [(x.expires, x.renew) for x in found[0]] == [
        (DURATION + 50, hash_secret(b"a" * 32)),
        (DURATION, hash_secret(b"b" * 32)),
    ]


def test_a_share_stored_while_leases_are_written_has_its_lease(serving: Any) -> None:
    """A lease that is added while another share of the same index is stored loses
    nothing of that share's: a later lease is on both.
    """
    secret = b"a" * 32
    serving.upload(SI, b"data", secret)
    held: Deferred[None] = Deferred()

    def fault(request: Request) -> Deferred[None] | None:
        written = (request.operation, request.key) == ("put", keys.leases_key(SI))
        return held if written else None

    serving.store.fault = fault
    adding = serving.server.add_lease(SI, b"b" * 32, b"c" * 32)
    allocate = serving.server.allocate_buckets
    _, writers = serving.now(allocate(SI, secret, secret, {1}, 4, renew_leases=False))
    serving.now(writers[1].write(0, b"more"))
    serving.now(writers[1].close())
    serving.store.fault = None
    held.callback(None)
    serving.now(adding)
    serving.now(serving.server.add_lease(SI, b"d" * 32, b"e" * 32))
    found = serving.now(serving.server.all_leases(SI))
    assert {number: len(leases) for number, leases in found.items()} == {0: 3, 1: 2}
    later = serving.another()
    assert later.now(later.server.all_leases(SI)) == found


def test_secrets_are_hashed_as_upstream_does() -> None:
    """A lease of ours is a lease of upstream's newest containers."""
    secret = os.urandom(32)
    assert hash_secret(secret) == HashedLeaseSerializer._hash_secret(secret)


def test_reading_in_order_is_ahead(serving: Any) -> None:
    """A large share read by segments takes few requests, and no listing."""
    data = os.urandom(24 << 20)
    serving.upload(SI, data)
    serving.start()
    serving.store.requests.clear()
    segment = 1 << 20
    read = b"".join(_read(serving, at, segment) for at in range(0, len(data), segment))
    assert read == data
    assert len(serving.requests("get")) <= 14
    assert serving.requests("list", "head") == []
    assert serving.server._reader._held <= 12 << 20


def test_reading_anywhere_fetches_little(serving: Any) -> None:
    """A read of 1 KB from the middle is one request of at most 64 KiB."""
    serving.upload(SI, bytes(LARGE))
    serving.start()
    fetched = []
    pour = serving.store.pour
    serving.store.requests.clear()
    reads = serving.server._reader
    object.__setattr__(
        reads,
        "store",
        _Counting(lambda *asked: (fetched.append(asked[2]), pour(*asked))[1]),
    )
    assert len(_read(serving, 5_000_000, 1000)) == 1000
    assert fetched == [64 * 1024]


class _Counting:
    def __init__(self, pour: Any) -> None:
        self.pour = pour


def test_memory_of_reads_is_bounded(serving: Any) -> None:
    """Many shares read at once hold no more than the limit."""
    serving.limits = Limits(read_memory=3 << 20)
    serving.start()
    for n in range(8):
        serving.upload(bytes([n]) * 16, bytes(2 << 20))
    serving.start()
    for at in range(0, 2 << 20, 1 << 18):
        for n in range(8):
            reader = serving.server.get_buckets(bytes([n]) * 16)[0]
            assert len(serving.now(reader.read(at, 1 << 18))) == 1 << 18
    assert serving.server._reader._held <= 3 << 20


def test_a_failed_read_is_tried_anew(serving: Any) -> None:
    """A read that S3 failed raises, and the next one asks S3 again."""
    serving.upload(SI, bytes(LARGE))
    serving.start()
    serving.fail_once("get")
    with pytest.raises(Unavailable):
        _read(serving, 0, 10)
    assert _read(serving, 0, 10) == bytes(10)


def test_a_share_that_vanished_is_not_here(serving: Any) -> None:
    """A read that finds the object gone ends it: it may be stored again."""
    serving.grow()
    serving.upload(SI, b"data")
    serving.start()
    serving.store.objects.pop(KEY)
    with pytest.raises(NotThere):
        _read(serving)
    assert serving.server.get_buckets(SI) == {}
    assert serving.server.index.stored == serving.another().server.index.stored
    serving.start()
    serving.upload(SI, b"data")
    assert _read(serving) == b"data"


def test_a_share_that_is_stored_again_is_read_anew(serving: Any) -> None:
    """What was read of another that is gone, as a corrupt one, is not answered."""
    serving.grow()
    serving.upload(SI, b"x" * LARGE)
    serving.start()
    assert _read(serving, 0, 10) == b"x" * 10
    serving.store.objects.pop(KEY)
    with pytest.raises(NotThere):
        _read(serving, LARGE // 2, 10)
    serving.upload(SI, b"y" * LARGE)
    assert _read(serving, 0, 10) == b"y" * 10


def test_a_share_stored_meanwhile_is_here(serving: Any) -> None:
    """Late words of a share's absence do not hide one that is stored by then."""
    serving.grow()
    serving.upload(SI, b"data")
    serving.start()
    there = serving.store.objects.pop(KEY)
    reader = serving.server.get_buckets(SI)[0]
    looks: list[Deferred[None]] = []

    def fault(request: Request) -> Any:
        if request.operation != "head":
            return None
        looks.append(Deferred())
        return looks[-1]

    serving.store.fault = fault
    early, late = reader.read(0, 4), reader.read(0, 4)
    looks[0].callback(None)
    assert serving.server.get_buckets(SI) == {}
    serving.upload(SI, b"data")
    # As if S3 had looked before that.
    serving.store.objects.pop(KEY)
    looks[1].callback(None)
    serving.store.objects[KEY] = there
    for reading in (early, late):
        with pytest.raises(NotThere):
            serving.now(reading)
    assert _read(serving) == b"data"


def test_version_asks_nobody(serving: Any) -> None:
    """What clients poll each second makes no request, and tells the quota's rest."""
    serving.upload(SI, b"x" * 1000)
    serving.store.requests.clear()
    version = serving.server.get_version()
    limits = version[b"http://allmydata.org/tahoe/protocols/storage/v1"]
    assert limits[b"available-space"] == 10**9 - 1000
    assert serving.server.have_shares()
    assert serving.server.get_stats()["storage_server.total_bucket_count"] == 1
    assert serving.store.requests == []


def test_advisories_are_in_the_bucket(serving: Any) -> None:
    """A client's word about a share that is here is kept; about another, dropped."""
    serving.upload(SI, b"x")
    reader = serving.server.get_buckets(SI)[0]
    serving.now(reader.advise_corrupt_share(b"hash \xc3\xbc differs"))
    serving.now(serving.server.advise_corrupt_share(b"immutable", SI, 9, b"no"))
    kept = [o.data for k, o in serving.store.objects.items() if k.startswith("adv")]
    assert len(kept) == 1
    assert "hash ü differs" in kept[0].decode()
    assert serving.another().server.index.advisories == 1


def test_the_bucket_is_checked_and_taken(serving: Any) -> None:
    """Each start takes the next epoch; a later layout is refused."""
    first = serving.server.fence.epoch
    assert serving.another().server.fence.epoch == first + 1
    serving.store.objects[keys.FORMAT_KEY].data = b'{"format": 2}'
    with pytest.raises(NotOurLayout):
        serving.another()


def test_what_a_process_left_is_cleared(serving: Any) -> None:
    """Files of an earlier process in the cache are removed at start."""
    folder = serving.server._folder
    (folder / "upload-left").write_bytes(b"x")
    (folder / "shares/aa").mkdir(parents=True)
    type(serving.server)(
        serving.server._bucket, b"n" * 20, folder, serving.server.allowance
    )
    assert not (folder / "upload-left").exists()
    assert not (folder / "shares/aa").exists()


def test_a_foreign_object_is_left_alone(serving: Any) -> None:
    """An object that is none of the layout's stops no start, and is not a share."""
    serving.upload(SI, b"x")
    serving.store.objects["immutable/README"] = serving.store.objects[KEY]
    serving.store.objects["immutable/aa/07"] = serving.store.objects[KEY]
    assert serving.another().server.index.buckets() == 1
