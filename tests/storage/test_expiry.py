"""What no lease holds is collected, where a policy says so, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from lae_storage.s3.interface import NotThere, Unavailable
from lae_storage.server import keys
from lae_storage.server.garbage import DAY, REQUEST_LIFETIME
from lae_storage.server.housekeeping import COLLECT_AFTER
from lae_storage.server.lease import DURATION
from lae_storage.server.spool import IN_MEMORY
from tests.twins.store import Request

SI, SLOT = b"i" * 16, b"m" * 16
KEY = keys.immutable_key(SI, 0)
DAYS = 60
OVER = DURATION + DAYS * DAY + 1


def _node(serving: Any, after: float, days: int | None = DAYS) -> Any:
    """Another node with a policy; its leases' clock says *after* seconds."""
    node = type(serving)(serving.folder, serving.store, expire_days=days)
    node.clock.advance(after)
    return node.start()


def _pass(node: Any, seconds: float) -> None:
    for _ in range(int(seconds // 5) + 1):
        node.retries.advance(5)


def _shares(node: Any) -> tuple[bool, bool]:
    """Whether the immutable share and the slot are here."""
    return bool(node.server.get_buckets(SI)), node.slot(SLOT) is not None


@pytest.fixture
def filled(serving: Any) -> Any:
    """A share and a slot, each with one lease from the clock's beginning."""
    serving.upload(SI, b"immutable")
    serving.change(SLOT, b"mutable")
    return serving


def test_nothing_expires_without_a_policy(filled: Any) -> None:
    """The default keeps everything, however old its leases are."""
    node = _node(filled, 100 * OVER, None)
    _pass(node, COLLECT_AFTER + REQUEST_LIFETIME + 100)
    assert _shares(node) == (True, True)


@pytest.mark.parametrize("how", ["young", "renewed", "suspended", "no lease"])
def test_what_is_kept(filled: Any, how: str) -> None:
    """A share is kept before the policy's days are over, while any lease lasts, while
    its owner is suspended, and where it never had a lease.
    """
    if how == "renewed":
        later = _node(filled, OVER - 10, None)
        later.now(later.server.add_lease(SI, b"s" * 32, b"t" * 32))
        later.now(later.server.add_lease(SLOT, b"s" * 32, b"t" * 32))
    if how == "no lease":
        filled.store.objects[KEY].metadata.clear()
    node = _node(filled, OVER - (100 if how == "young" else 0))
    node.server.allowance.suspended = how == "suspended"
    _pass(node, COLLECT_AFTER + REQUEST_LIFETIME + 100)
    assert _shares(node) == (True, how != "no lease")


def test_what_no_lease_holds_goes(filled: Any) -> None:
    """Both kinds of shares go, their room is free, and they may be stored again."""
    node = _node(filled, OVER)
    _pass(node, COLLECT_AFTER - 100)
    assert _shares(node) == (True, True)
    _pass(node, 200)
    assert _shares(node) == (False, False)
    assert KEY not in filled.store.objects
    assert node.server.index.stored == 0
    assert not node.server.index
    _pass(node, REQUEST_LIFETIME)
    node.upload(SI, b"other data")
    assert node.now(node.server.get_buckets(SI)[0].read(0, 99)) == b"other data"
    successor = _node(filled, OVER)
    assert successor.now(successor.server.all_leases(SI))[0]
    _pass(successor, COLLECT_AFTER + REQUEST_LIFETIME)
    assert successor.server.get_buckets(SI)


def test_a_share_being_deleted_is_not_stored(filled: Any) -> None:
    """While a DELETE may be on its way there is no room for the share, on no node."""
    node = _node(filled, OVER)
    held: Deferred[None] = Deferred()

    def fault(request: Request) -> Deferred[None] | None:
        return held if request.operation == "delete" else None

    filled.store.fault = fault
    _pass(node, COLLECT_AFTER + 100)
    secret = b"r" * 32
    successor = _node(filled, OVER)
    for one in (node, successor):
        allocating = one.server.allocate_buckets(SI, secret, secret, {0}, 9)
        assert one.now(allocating) == (set(), {})
        assert not one.server.get_buckets(SI)
    held.callback(None)
    filled.store.fault = None
    _pass(successor, COLLECT_AFTER + REQUEST_LIFETIME + 100)
    successor.upload(SI, b"immutable")
    assert successor.server.get_buckets(SI)


def test_a_lease_that_comes_between_keeps_the_share(filled: Any) -> None:
    """A lease that another node adds after we looked is seen before anything goes."""
    node = _node(filled, OVER)
    assert node.now(node.server.all_leases(SI))[0]
    other = _node(filled, OVER, None)
    other.now(other.server.add_lease(SI, b"s" * 32, b"t" * 32))
    node.now(node.server._housekeeping.expiry.collect())
    assert KEY in filled.store.objects
    assert node.server.get_buckets(SI)


def test_a_refused_deletion_is_taken_up_the_next_day(filled: Any) -> None:
    """Where S3 fails in the middle, the share stays gone and is deleted later."""
    node = _node(filled, OVER)

    def fault(request: Request) -> None:
        if request.operation == "delete":
            raise Unavailable("SlowDown")

    filled.store.fault = fault
    _pass(node, COLLECT_AFTER + 100)
    assert not node.server.get_buckets(SI)
    assert KEY in filled.store.objects
    filled.store.fault = None
    _pass(node, DAY + REQUEST_LIFETIME)
    assert KEY not in filled.store.objects
    node.upload(SI, b"immutable")
    assert node.server.get_buckets(SI)


def test_what_is_collected_is_not_read_from_the_disk(serving: Any) -> None:
    """A share that this node stored itself, and had kept there."""
    node = _node(serving, 0)
    node.upload(SI, b"x" * (IN_MEMORY + 1))
    reader = node.server.get_buckets(SI)[0]
    assert node.now(reader.read(0, 1)) == b"x"
    node.clock.advance(OVER)
    _pass(node, COLLECT_AFTER + REQUEST_LIFETIME + 100)
    assert KEY not in node.store.objects
    with pytest.raises(NotThere):
        node.now(reader.read(0, 1))
