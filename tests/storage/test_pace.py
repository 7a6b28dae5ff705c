"""When the month's traffic is used up bytes go slower, and everything goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_protocol.host_messages import Desired
from lae_storage.server.foolscap_front import FoolscapFront
from lae_storage.server.housekeeping import COUNTS_EVERY, TRAFFIC_EVERY
from lae_storage.server.limits import (
    BURST,
    DIRECTORY_SIZE,
    LONGEST_WAIT,
    RATE,
    Allowance,
    Lane,
    is_used_up,
)
from lae_storage.server.plug import Backing
from lae_storage.shares import S3Shares

from .test_http_edge import PATH, Edge

MB = 1024 * 1024
SI, SLOT = b"i" * 16, b"m" * 16
SIZES = st.lists(st.tuples(st.integers(0, 2 * MB), st.floats(0, 20)), max_size=60)


@given(SIZES)
def test_a_lane_keeps_its_rate(asked: list[tuple[int, float]]) -> None:
    """Bytes pass in their order and no faster than the rate, as long as nobody would
    have to wait longer than a client does; and nobody waits longer than that.
    """
    clock = Clock()
    lane = Lane(clock)
    passed, last, clamped = 0, 0.0, False
    for size, pause in asked:
        clock.advance(pause)
        wait = lane.take(size)
        assert 0 <= wait <= LONGEST_WAIT
        clamped = clamped or wait == LONGEST_WAIT
        passed += size
        until = clock.seconds() + wait
        if not clamped:
            assert passed <= BURST + RATE * until + 1
            assert until >= last or wait == 0
        last = until


@given(st.integers(1, 100))
def test_no_debt_is_older_than_a_clients_patience(crowd: int) -> None:
    """However many asked at once, after the longest wait a small read has its turn
    soon.
    """
    clock = Clock()
    lane = Lane(clock)
    for _ in range(crowd):
        lane.take(10 * MB)
    clock.advance(LONGEST_WAIT)
    assert lane.take(1000) <= 1


@pytest.mark.parametrize(
    ("sent", "traffic", "expected"),
    [(10, None, False), (10, 10, False), (11, 10, True), (0, 0, False), (1, 0, True)],
)
def test_used_up(sent: int, traffic: int | None, expected: bool) -> None:
    """The traffic is used up when more was sent than was agreed."""
    assert is_used_up(sent, traffic) is expected


def _shares(serving: Any, folder: Path) -> S3Shares:
    bucket = serving.server._bucket
    return S3Shares(Backing(bucket, folder / "up", Allowance(10**9)))


def _read(serving: Any, size: int) -> Deferred[bytes]:
    reading: Deferred[bytes] = serving.server.get_buckets(SI)[0].read(0, size)
    return reading


@pytest.fixture
def slowed(serving: Any, tmp_path: Path) -> Any:
    """A server whose month's traffic is used up, and whose burst is spent."""
    serving.upload(SI, b"x" * 8 * MB)
    serving.now(_read(serving, 8 * MB))
    shares = _shares(serving, tmp_path)
    shares.obey(Desired("serving", 10**9, 8 * MB - 1))
    assert shares.usage().slowed
    serving.server._bucket.pace.to_clients.take(BURST)
    serving.server._bucket.pace.from_clients.take(BURST)
    return serving


def test_while_it_lasts_nothing_waits(serving: Any, tmp_path: Path) -> None:
    """Within the traffic, and where there is no limit, nobody waits."""
    serving.upload(SI, b"x" * 8 * MB)
    for traffic in (None, 100 * MB):
        _shares(serving, tmp_path).obey(Desired("serving", 10**9, traffic))
        for _ in range(3):
            assert _read(serving, 8 * MB).called
    assert not _shares(serving, tmp_path).usage().slowed


def test_reading_waits(slowed: Any) -> None:
    """Files are read at the rate."""
    reading = _read(slowed, 3 * MB)
    slowed.retries.advance(2.9)
    assert not reading.called
    slowed.retries.advance(0.2)
    assert len(slowed.now(reading)) == 3 * MB


def test_storing_waits_for_its_answer_alone(slowed: Any) -> None:
    """A piece of a new file is taken at once and acknowledged in its turn, and the file
    may be closed behind it.
    """
    writer = slowed.writer(b"a" * 16, 2 * MB)
    writing = Deferred.fromCoroutine(writer.write(0, b"y" * 2 * MB))
    assert not writing.called
    assert slowed.now(writer.close()) is None
    assert list(slowed.server.get_buckets(b"a" * 16)) == [0]
    slowed.retries.advance(2.1)
    assert writing.called


def test_both_protocols_wait(slowed: Any, tmp_path: Path) -> None:
    """Over either protocol a file's bytes wait for their turn, and a version does not."""
    front = FoolscapFront(slowed.server)
    reading = front.remote_get_buckets(SI)[0].remote_read(0, 2 * MB)
    assert not reading.called
    slowed.retries.advance(2.1)
    assert reading.called
    slowed.server._bucket.pace.to_clients.take(MB)
    edge = Edge(slowed, tmp_path)
    asking = edge.begin("GET", f"{PATH}/0", b"", [])
    assert asking.value() == b""
    assert edge.ask("GET", "/storage/v1/version")[0] == 200
    # Piece by piece, one after the other.
    for _ in range(100):
        slowed.retries.advance(0.2)
    assert len(asking.value()) > 8 * MB


def test_what_keeps_a_grid_alive_waits_for_nothing(slowed: Any) -> None:
    """Versions, directories, leases and listings are answered at once, whatever queues
    for its turn; a mutable file of more than a directory's size waits, too.
    """
    server = slowed.server
    queued = [_read(slowed, 8 * MB) for _ in range(20)]
    secrets = (b"w" * 32, b"r" * 32, b"c" * 32)

    def write(data: bytes) -> Any:
        return server.slot_testv_and_readv_and_writev(
            SLOT, secrets, {0: ([], [(0, data)], None)}, []
        )

    assert write(b"d" * DIRECTORY_SIZE).called
    assert server.slot_readv(SLOT, [0], [(0, DIRECTORY_SIZE)]).called
    assert server.add_lease(SI, b"r" * 32, b"c" * 32).called
    assert list(server.get_buckets(SI)) == [0]
    assert server.get_version()
    assert not any(q.called for q in queued)
    large = write(b"d" * (DIRECTORY_SIZE + 1))
    assert not large.called
    slowed.retries.advance(1.1)
    assert large.called
    large_read = server.slot_readv(SLOT, [0], [(0, DIRECTORY_SIZE + 1)])
    assert not large_read.called
    for _ in range(int(LONGEST_WAIT)):
        slowed.retries.advance(1)
    assert large_read.called
    assert all(q.called for q in queued)


def test_it_survives_a_restart_and_ends_with_the_month(
    slowed: Any, tmp_path: Path
) -> None:
    """The next node knows what was sent, and slows down as well; on the first of the
    next month all is as before.
    """
    slowed.retries.advance(COUNTS_EVERY)
    later = slowed.another()
    shares = _shares(later, tmp_path)
    shares.obey(Desired("serving", 10**9, 8 * MB - 1))
    assert shares.usage().slowed
    later.retries.advance(31 * 24 * 3600)
    later.retries.advance(TRAFFIC_EVERY)
    assert not shares.usage().slowed


def test_more_traffic_ends_it(slowed: Any, tmp_path: Path) -> None:
    """A larger plan is obeyed at once."""
    shares = _shares(slowed, tmp_path)
    shares.obey(Desired("serving", 10**9, 100 * MB))
    assert not shares.usage().slowed
    assert _read(slowed, 8 * MB).called
