"""A node that lost its bucket to another stops; the other sees all it acknowledged."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from lae_storage.s3.interface import StoreError, Unavailable
from lae_storage.server import keys
from lae_storage.server.bucket import open_bucket
from lae_storage.server.fence import (
    LOOK_EVERY,
    LOOK_TIMEOUT,
    SETTLED_AFTER,
    TERM,
    Superseded,
    Unconfirmed,
)
from lae_storage.server.spool import IN_MEMORY
from lae_storage.server.status import V1
from tests.twins.store import Request

SI, OTHER = b"i" * 16, b"o" * 16


def _pass(serving: Any, seconds: float) -> None:
    """Let time pass in small steps, as it does."""
    for _ in range(int(seconds * 2)):
        serving.retries.advance(0.5)


def _operations(serving: Any) -> list[Any]:
    """What a client may ask for, of both kinds of shares."""
    server = serving.server
    return [
        lambda: server.get_buckets(SI),
        lambda: server.has_shares(SI),
        lambda: list(server.get_shares(SI)),
        lambda: serving.slot(OTHER),
        lambda: serving.change(OTHER, b"late"),
        lambda: serving.upload(b"n" * 16, b"late"),
        lambda: serving.now(server.add_lease(SI, b"r" * 32, b"c" * 32)),
        lambda: serving.now(server.enumerate_mutable_shares(OTHER)),
        lambda: serving.now(server.get_mutable_share_length(OTHER, 0)),
    ]


@pytest.mark.parametrize("size", [9, IN_MEMORY + 1], ids=["in memory", "on the disk"])
def test_a_superseded_node_stops_within_30_seconds(serving: Any, size: int) -> None:
    """It finds out by itself, then acknowledges and serves nothing, also from memory
    and from the disk, and goes on answering for its version, with no room.
    """
    serving.upload(SI, b"x" * size)
    serving.change(OTHER, b"mutable")
    reader = serving.server.get_buckets(SI)[0]
    serving.another()
    _pass(serving, LOOK_EVERY + 1)
    for operation in [*_operations(serving), lambda: serving.now(reader.read(0, 9))]:
        with pytest.raises(Superseded):
            operation()
    limits = serving.server.get_version()[V1]
    assert limits[b"available-space"] == 0
    serving.requests("get")
    _pass(serving, 10 * LOOK_EVERY)
    assert serving.requests("get") == []


def test_a_node_that_cannot_ask_stops_in_time(serving: Any) -> None:
    """Cut off from the epoch it serves for its term and no longer; then it goes on."""
    serving.upload(SI, b"immutable")

    def fault(request: Request) -> Deferred[None] | None:
        return Deferred() if request.key == keys.EPOCH_KEY else None

    serving.store.fault = fault
    _pass(serving, TERM - LOOK_EVERY)
    assert serving.server.get_buckets(SI)
    _pass(serving, LOOK_EVERY + 1)
    with pytest.raises(Unconfirmed):
        serving.server.get_buckets(SI)
    with pytest.raises(Unconfirmed):
        serving.upload(OTHER, b"more")
    serving.store.fault = None
    _pass(serving, LOOK_EVERY)
    assert serving.server.get_buckets(SI)


def test_a_slow_look_confirms_from_its_beginning(serving: Any) -> None:
    """An answer that took long says what was so when it was asked for: the term counts
    from then, and not from when the answer came.
    """
    serving.upload(SI, b"immutable")
    looks: list[tuple[float, Deferred[None]]] = []

    def fault(request: Request) -> Deferred[None] | None:
        if request.key != keys.EPOCH_KEY:
            return None
        looks.append((serving.retries.seconds(), Deferred()))
        return looks[-1][1]

    serving.store.fault = fault
    while not looks:
        _pass(serving, 0.5)
    asked, answer = looks[0]
    _pass(serving, LOOK_TIMEOUT - 1)
    answer.callback(None)
    _pass(serving, asked + TERM - serving.retries.seconds())
    assert serving.server.get_buckets(SI)
    _pass(serving, 0.5)
    with pytest.raises(Unconfirmed):
        serving.server.get_buckets(SI)
    assert len(looks) > 1


def test_a_share_stored_too_late_is_not_acknowledged(serving: Any) -> None:
    """A put that ends after the term is no acknowledgement, though S3 has the share;
    the same share stored again is.
    """
    held: Deferred[None] = Deferred()

    def fault(request: Request) -> Deferred[None] | None:
        if request.operation == "put" or request.key == keys.EPOCH_KEY:
            return held if request.operation == "put" else Deferred()
        return None

    writer = serving.writer(SI, 4)
    serving.now(writer.write(0, b"data"))
    serving.store.fault = fault
    closing = Deferred.fromCoroutine(writer.close())
    _pass(serving, TERM + LOOK_EVERY)
    held.callback(None)
    with pytest.raises(Unconfirmed):
        serving.now(closing)
    serving.store.fault = None
    _pass(serving, LOOK_EVERY)
    assert not serving.server.get_buckets(SI)
    serving.upload(SI, b"data")
    assert serving.server.get_buckets(SI)


def test_the_successor_sees_what_was_acknowledged_after_its_start(serving: Any) -> None:
    """Slots at once, and immutable shares when the other's term is over."""
    serving.change(OTHER, b"one")
    successor = serving.another()
    assert successor.slot(OTHER) == b"one"
    serving.upload(SI, b"stored by the old one")
    serving.change(OTHER, b"two")
    serving.change(b"m" * 16, b"a new slot")
    assert successor.slot(OTHER) == b"two"
    assert successor.slot(b"m" * 16) == b"a new slot"
    _pass(successor, SETTLED_AFTER + 1)
    assert 0 in successor.server.get_buckets(SI)
    assert successor.server.index.stored == serving.server.index.stored
    successor.requests("get")
    assert successor.slot(OTHER) == b"two"
    successor.slot(OTHER)
    assert len([k for k in successor.requests("get") if k != keys.EPOCH_KEY]) == 1


def test_seeing_again_waits_for_s3(serving: Any) -> None:
    """Where S3 refuses the listing, it is asked again until it answers."""
    successor = serving.another()
    serving.upload(SI, b"stored by the old one")

    def fault(request: Request) -> None:
        if request.operation == "list":
            raise Unavailable("SlowDown")

    serving.store.fault = fault
    _pass(successor, SETTLED_AFTER + 1)
    assert not successor.server.get_buckets(SI)
    serving.store.fault = None
    _pass(successor, 2 * TERM)
    assert successor.server.get_buckets(SI)


def test_the_first_node_of_a_bucket_has_nothing_to_wait_for(serving: Any) -> None:
    """Nobody else can have acknowledged anything in a new bucket."""
    assert serving.server.fence.settled
    assert not serving.another().server.fence.settled


def test_an_epoch_that_is_gone_confirms_nothing(serving: Any) -> None:
    """A bucket emptied under a node, or an epoch that is damaged, ends its service."""
    serving.store.objects[keys.EPOCH_KEY].data = b"{}"
    _pass(serving, TERM + LOOK_EVERY)
    with pytest.raises(StoreError):
        serving.server.get_buckets(SI)
    del serving.store.objects[keys.EPOCH_KEY]
    _pass(serving, TERM)
    with pytest.raises(Unconfirmed):
        serving.server.get_buckets(SI)


def test_a_stopped_node_looks_no_more(serving: Any) -> None:
    """Nothing is left on the clock."""
    serving.another()
    serving.now(serving.server.stopService())
    assert serving.retries.getDelayedCalls() == []


def test_a_clock_that_was_set_back_confirms_nothing(serving: Any) -> None:
    """A node whose clock is before its last good look does not answer."""
    serving.upload(SI, b"immutable")
    fence = serving.server.fence
    fence.confirmed = serving.retries.seconds() + 1
    with pytest.raises(Unconfirmed):
        serving.server.get_buckets(SI)


def test_a_successor_waits_for_the_whole_term() -> None:
    """What a superseded node may still acknowledge is awaited, and clocks may differ."""
    assert SETTLED_AFTER > TERM > LOOK_EVERY + LOOK_TIMEOUT


def test_two_nodes_that_take_the_epoch_at_once(serving: Any) -> None:
    """The one that was late takes the epoch after the other's."""
    epoch = serving.server.fence.epoch
    other: list[Any] = []

    def fault(request: Request) -> None:
        if request.operation == "put" and request.key == keys.EPOCH_KEY and not other:
            other.append(None)
            other[0] = serving.another()

    serving.store.fault = fault
    late = serving.another()
    assert other[0].server.fence.epoch == epoch + 1
    assert late.server.fence.epoch == epoch + 2


def test_the_term_of_a_start_counts_from_its_write(serving: Any) -> None:
    """A node whose epoch took long to write is confirmed from when the write began, and
    waits for the other node from when it was done.
    """
    held: Deferred[None] = Deferred()

    def fault(request: Request) -> Deferred[None] | None:
        taking = (request.operation, request.key) == ("put", keys.EPOCH_KEY)
        return held if taking else None

    serving.store.fault = fault
    opening = Deferred.fromCoroutine(
        open_bucket(serving.store, serving.retries, Random(0))
    )
    began = serving.retries.seconds()
    _pass(serving, 5)
    held.callback(None)
    fence = serving.now(opening).fence
    assert (fence.confirmed, fence.taken) == (began, began + 5)
