"""A bucket so young that S3 may answer 404 for what is in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lae_storage.s3.interface import (
    Bytes,
    ConditionFailed,
    NotThere,
    StoreError,
    Unavailable,
)
from lae_storage.s3.young import ASK_WITHIN, YOUNG_FOR, YoungBucketStore
from lae_storage.server import keys
from lae_storage.server.bucket import open_bucket
from tests.twins.store import MemoryStore

NEVER = 10**6


@define
class Young:
    """The store under test, on the twin, with a clock."""

    clock: Clock = field(factory=Clock)
    twin: MemoryStore = field(factory=MemoryStore)
    store: YoungBucketStore = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.twin.seconds = self.clock.seconds
        self.store = YoungBucketStore(self.twin, self.clock, Random(0), YOUNG_FOR)

    def now(self, asked: Deferred[Any]) -> Any:
        """What is answered, while the clock goes on."""
        told: list[Any] = []
        asked.addBoth(told.append)
        while not told:
            self.clock.advance(0.1)
        if isinstance(told[0], Failure):
            raise told[0].value
        return told[0]

    def put(self, key: str, data: bytes, *condition: Any) -> str:
        return str(self.now(self.store.put(key, Bytes(data), {}, *condition)))

    def asked(self, asking: Callable[[], Any]) -> int:
        """How many requests it took."""
        before = len(self.twin.requests)
        with contextlib.suppress(StoreError):
            asking()
        return len(self.twin.requests) - before


@pytest.fixture
def young() -> Young:
    return Young(twin=MemoryStore(unseen=2))


def test_what_was_written_is_asked_again(young: Young) -> None:
    """What this node wrote is read, however often S3 says that it is not there."""
    poured: list[bytes] = []
    reads: list[Callable[[], Any]] = [
        lambda: young.store.get("k").addCallback(lambda got: got.data),
        lambda: young.store.head("k").addCallback(lambda head: head and b"data"),
        lambda: young.store.pour("k", 0, 4, poured.append).addCallback(
            lambda _: b"".join(poured)
        ),
    ]
    for read in reads:
        young.put("k", b"data")
        before = len(young.twin.requests)
        assert young.now(read()) == b"data"
        assert len(young.twin.requests) == before + 3


def test_unknown_is_absent(young: Young) -> None:
    """What nobody wrote or listed is absent at the first word."""
    with pytest.raises(NotThere):
        young.now(young.store.get("k"))
    assert young.now(young.store.head("k")) is None
    with pytest.raises(ConditionFailed):
        young.put("k", b"data", '"an etag"')
    assert len(young.twin.requests) == 3


def test_a_condition_on_what_is_not_shown(young: Young) -> None:
    """A write on the condition of what this node wrote is sent again: where S3 saw no
    object, nothing was written.
    """
    etag = young.put("k", b"one")
    young.put("k", b"two", etag)
    assert young.twin.objects["k"].data == b"two"
    with pytest.raises(ConditionFailed):
        young.put("k", b"three", etag)


def test_what_is_listed_is_known(young: Young) -> None:
    """What a listing shows is there: another node wrote it."""
    young.now(young.twin.put("k", Bytes(b"theirs"), {}))
    young.now(young.store.list_page(""))
    assert young.now(young.store.get("k")).data == b"theirs"


def test_what_is_in_the_way_is_known(young: Young) -> None:
    """What a condition met is there."""
    young.now(young.twin.put("k", Bytes(b"theirs"), {}))
    with pytest.raises(ConditionFailed):
        young.put("k", b"ours", None, True)
    assert young.now(young.store.get("k")).data == b"theirs"


def test_a_whole_upload_is_known(young: Young) -> None:
    """A share of many parts is asked for again like any other, whoever completed it."""
    for if_absent in (False, True):
        upload = young.now(young.store.begin_upload("k", {}))
        part = young.now(young.store.put_part("k", upload, 1, Bytes(b"data")))
        try:
            young.now(young.store.complete_upload("k", upload, (part,), if_absent))
        except ConditionFailed:
            young.now(young.store.abort_upload("k", upload))
        assert young.now(young.store.get("k")).data == b"data"
        young.twin.objects["k"].unseen = 2
        young.store._known.clear()


def test_what_was_deleted_is_absent(young: Young) -> None:
    """What this node deleted is absent at the first word."""
    young.put("k", b"data")
    young.now(young.store.delete("k"))
    assert young.asked(lambda: young.now(young.store.get("k"))) == 1


def test_never_shown() -> None:
    """What S3 does not show in time is not lost: the client is told to try later."""
    young = Young(twin=MemoryStore(unseen=NEVER))
    young.put("k", b"data")
    began = young.clock.seconds()
    with pytest.raises(Unavailable):
        young.now(young.store.get("k"))
    assert began + ASK_WITHIN <= young.clock.seconds() < began + ASK_WITHIN + 3


def test_grown(young: Young) -> None:
    """A bucket that is older is believed, and nothing is remembered of it."""
    young.put("k", b"data")
    young.clock.advance(YOUNG_FOR)
    assert young.asked(lambda: young.now(young.store.get("k"))) == 1
    young.put("other", b"data")
    assert not young.store._known


def test_the_mark_says_how_old(young: Young) -> None:
    """A node that starts later knows from the bucket's mark until when to doubt."""

    def opening() -> Any:
        opened = open_bucket(young.twin, young.clock, Random(0))
        return young.now(Deferred.fromCoroutine(opened))

    opening()
    young.clock.advance(600)
    bucket: Any = opening()
    assert bucket.fence.epoch == 2
    marked = young.twin.objects[keys.FORMAT_KEY].modified
    assert bucket.store.store.grown == marked + YOUNG_FOR
