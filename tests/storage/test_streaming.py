"""Shares go to S3 while they are received, and come from it while they are answered."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from allmydata.interfaces import ConflictingWriteError
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from lae_storage.s3.interface import GROWS_WITHIN, Unavailable
from lae_storage.server import keys
from lae_storage.server.beginning import LEAST_END, find_end
from lae_storage.server.http_messages import ACCEPT_GRAIN, PatchBody, TooShort
from lae_storage.server.immutable import UploadOver
from lae_storage.server.limits import Limits
from lae_storage.server.multipart import PART_SIZE
from lae_storage.server.reader import LARGEST_SPAN
from lae_storage.server.spans import Span
from lae_storage.server.upload import OPEN_EARLY, SINGLE_PUT, SomebodyElses
from tests.twins.store import Request

SI = b"s" * 16
KEY = keys.immutable_key(SI, 0)
MEGABYTE = 1_000_000


def operations(serving: Any) -> list[str]:
    """What was asked of the bucket since this was called last, but for looks."""
    asked = [r.operation for r in serving.store.requests if r.operation != "get"]
    serving.store.requests.clear()
    return asked


def begin(serving: Any, size: int) -> Any:
    """A writer of share 0, with nothing asked of the bucket yet."""
    writer = serving.writer(SI, size)
    serving.store.requests.clear()
    return writer


def read(serving: Any) -> bytes:
    data: bytes = serving.now(serving.server.get_buckets(SI)[0].read(0, 1 << 30))
    return data


@pytest.mark.parametrize("size", [OPEN_EARLY + 1, MEGABYTE, SINGLE_PUT])
def test_a_share_is_on_its_way_from_its_first_bytes(serving: Any, size: int) -> None:
    """One request is open while the share is received; it appears when it is closed."""
    data = os.urandom(size)
    writer = begin(serving, size)
    serving.now(writer.write(0, data[: size // 2]))
    assert operations(serving) == ["put"]
    serving.now(writer.write(size // 2, data[size // 2 :]))
    assert KEY not in serving.store.objects
    serving.now(writer.close())
    assert operations(serving) == []
    assert serving.store.objects[KEY].data == data
    assert read(serving) == data


@pytest.mark.parametrize("end", ["abort", "disconnected"])
def test_what_nobody_closes_is_no_object(serving: Any, end: str) -> None:
    """Though all bytes were written: its last one is kept back until it is closed."""
    writer = begin(serving, MEGABYTE)
    serving.now(writer.write(0, bytes(MEGABYTE)))
    getattr(writer, end)()
    serving.retries.advance(60)
    assert KEY not in serving.store.objects
    assert serving.server.allocated_size() == 0
    serving.upload(SI, b"another share")
    assert read(serving) == b"another share"


def test_a_slow_client_loses_nothing(serving: Any) -> None:
    """S3 waits for no client: the request is taken back, and all is sent at the end."""
    data = os.urandom(MEGABYTE)
    writer = begin(serving, MEGABYTE)
    serving.now(writer.write(0, data[:200_000]))
    assert operations(serving) == ["put"]
    serving.retries.advance(GROWS_WITHIN + 1)
    serving.now(writer.write(200_000, data[200_000:]))
    assert operations(serving) == []
    serving.now(writer.close())
    assert operations(serving) == ["put"]
    assert read(serving) == data


def test_a_slow_clients_parts_go_when_they_are_whole(serving: Any) -> None:
    """From the first that was too slow on, no part is opened before it is here."""
    data = os.urandom(SINGLE_PUT + PART_SIZE)
    writer = begin(serving, len(data))
    serving.now(writer.write(0, data[:MEGABYTE]))
    assert operations(serving) == ["begin", "part"]
    serving.retries.advance(GROWS_WITHIN + 1)
    serving.now(writer.write(MEGABYTE, data[MEGABYTE : PART_SIZE - 1]))
    assert operations(serving) == []
    serving.now(writer.write(PART_SIZE - 1, data[PART_SIZE - 1 : PART_SIZE + MEGABYTE]))
    assert operations(serving) == ["part"]
    serving.now(writer.write(PART_SIZE + MEGABYTE, data[PART_SIZE + MEGABYTE :]))
    serving.now(writer.close())
    assert operations(serving) == ["part", "part", "complete"]
    assert read(serving) == data


def test_what_failed_while_the_client_wrote_is_sent_again(serving: Any) -> None:
    """S3's short trouble in the middle of an upload is not the client's."""
    troubles = serving.fail_once("put")
    data = os.urandom(MEGABYTE)
    writer = begin(serving, MEGABYTE)
    serving.now(writer.write(0, data))
    assert not troubles
    serving.now(writer.close())
    assert read(serving) == data


def test_bytes_in_any_order_are_sent_in_order(serving: Any) -> None:
    """Where the first bytes come last, nothing is opened before they are here."""
    data = os.urandom(MEGABYTE)
    writer = begin(serving, MEGABYTE)
    for at in range(MEGABYTE - 100_000, 0, -100_000):
        serving.now(writer.write(at, data[at : at + 100_000]))
    assert operations(serving) == []
    serving.now(writer.write(0, data[:100_000]))
    assert operations(serving) == ["put"]
    serving.now(writer.close())
    assert read(serving) == data


def test_another_share_that_was_there_first_stays(serving: Any) -> None:
    """The open request meets it, and other bytes are refused."""
    serving.another().upload(SI, os.urandom(MEGABYTE))
    theirs = serving.store.objects[KEY].data
    writer = begin(serving, MEGABYTE)
    serving.now(writer.write(0, bytes(MEGABYTE)))
    with pytest.raises(SomebodyElses):
        serving.now(writer.close())
    assert serving.store.objects[KEY].data == theirs


def test_parts_that_are_whole_are_sent_to_their_end(serving: Any) -> None:
    """Their bytes are kept until then, though the client is gone; then all is thrown
    away.
    """
    held: Deferred[None] = Deferred()
    serving.store.fault = lambda r: held if r.operation == "part" else None
    writer = begin(serving, SINGLE_PUT + PART_SIZE)
    assert Deferred.fromCoroutine(writer.write(0, bytes(PART_SIZE + MEGABYTE))).called
    writer.abort()
    assert writer.spool.read(0, 1) == b"\0"
    held.callback(None)
    assert serving.store.uploads == {}
    with pytest.raises(OSError, match="Bad file descriptor"):
        writer.spool.read(0, 1)


def test_a_last_part_that_is_taken_back_late_is_sent_all_the_same(serving: Any) -> None:
    """Though it was the only one under way: a share is never stored without its end."""
    held: Deferred[None] = Deferred()
    data = os.urandom(SINGLE_PUT + PART_SIZE)
    writer = begin(serving, len(data))
    serving.now(writer.write(0, data[: 2 * PART_SIZE]))
    serving.store.fault = lambda r: held if r.operation == "part" else None
    serving.now(writer.write(2 * PART_SIZE, data[2 * PART_SIZE : -MEGABYTE]))
    serving.retries.advance(GROWS_WITHIN + 1)
    serving.now(writer.write(len(data) - MEGABYTE, data[-MEGABYTE:]))
    closing = Deferred.fromCoroutine(writer.close())
    serving.store.fault = None
    held.callback(None)
    serving.now(closing)
    assert serving.store.objects[KEY].data == data


def test_a_request_that_is_taken_back_late_is_sent_again(serving: Any) -> None:
    """Where the slow client closes before its request has ended, it loses nothing."""
    held: Deferred[None] = Deferred()
    serving.store.fault = lambda r: held if r.operation == "put" else None
    data = os.urandom(MEGABYTE)
    writer = begin(serving, MEGABYTE)
    serving.now(writer.write(0, data[:200_000]))
    serving.retries.advance(GROWS_WITHIN + 1)
    serving.now(writer.write(200_000, data[200_000:]))
    closing = Deferred.fromCoroutine(writer.close())
    serving.store.fault = None
    held.callback(None)
    serving.now(closing)
    assert read(serving) == data


# -- the body of a PATCH -----------------------------------------------------------


def feed(incoming: PatchBody, data: bytes, by: int) -> None:
    for at in range(0, len(data), by):
        incoming.append(data[at : at + by])


@pytest.mark.parametrize("by", [1000, 16_384, ACCEPT_GRAIN, MEGABYTE])
def test_a_body_is_taken_while_it_arrives(serving: Any, by: int) -> None:
    """Before it has ended its first bytes are in the upload."""
    data = os.urandom(MEGABYTE)
    writer = begin(serving, MEGABYTE)
    incoming = PatchBody(writer, 0, MEGABYTE)
    feed(incoming, data[:500_000], by)
    assert writer.spool.front >= 500_000 - ACCEPT_GRAIN
    feed(incoming, data[500_000:], by)
    assert serving.now(incoming.finish()) is True
    serving.now(writer.close())
    assert read(serving) == data


def test_a_body_that_differs_is_refused_at_its_end(serving: Any) -> None:
    """What was written before stays as it was."""
    writer = begin(serving, MEGABYTE)
    serving.now(writer.write(0, b"x" * MEGABYTE))
    incoming = PatchBody(writer, 0, MEGABYTE)
    feed(incoming, b"x" * 500_000 + b"y" * 500_000, 16_384)
    with pytest.raises(ConflictingWriteError):
        serving.now(incoming.finish())
    serving.now(writer.close())
    assert read(serving) == b"x" * MEGABYTE


def test_a_body_that_is_too_short_is_refused(serving: Any) -> None:
    """And one that is too long is cut at its range."""
    writer = begin(serving, 100)
    short = PatchBody(writer, 0, 50)
    short.append(b"x" * 49)
    with pytest.raises(TooShort):
        serving.now(short.finish())
    longer = PatchBody(writer, 49, 60)
    longer.append(b"x" * 50)
    assert serving.now(longer.finish()) is False
    assert writer.spool.front == 60


def test_a_body_for_an_upload_that_is_over(serving: Any) -> None:
    """It is told so at the body's end."""
    writer = begin(serving, 100)
    incoming = PatchBody(writer, 0, 100)
    incoming.append(b"x" * 50)
    writer.abort()
    incoming.append(b"x" * 50)
    with pytest.raises(UploadOver):
        serving.now(incoming.finish())


# -- bytes that arrive -------------------------------------------------------------


@given(
    st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=6),
)
def test_a_span_answers_as_soon_as_the_bytes_are_here(
    pieces: list[bytes], asked: list[tuple[int, int]]
) -> None:
    """Each read fires with the right bytes exactly when its last one came."""
    data = b"".join(pieces)
    span = Span(7, 7 + len(data))
    ranges = [
        (7 + min(a, b, len(data)), 7 + min(max(a, b), len(data))) for a, b in asked
    ]
    reads = [(a, b, Deferred.fromCoroutine(span.read(a, b))) for a, b in ranges]
    here = 7
    for piece in pieces:
        span.append(piece)
        here += len(piece)
        assert [r.called for *_, r in reads] == [b <= here for _, b, _ in reads]
    assert span.is_whole()
    for a, b, answer in reads:
        assert b"".join(answer.result) == data[a - 7 : b - 7]


def test_a_span_that_fails_answers_what_is_here(serving: Any) -> None:
    """Only who waits for the rest hears of it."""
    span = Span(0, 10)
    span.append(b"abc")
    waiting: Deferred[Any] = Deferred.fromCoroutine(span.read(2, 5))
    span.fail(Unavailable("SlowDown"))
    with pytest.raises(Unavailable):
        serving.now(waiting)
    assert b"".join(serving.now(span.read(0, 3))) == b"abc"


def test_a_run_is_fetched_ahead_a_moment_later(serving: Any) -> None:
    """Two spans at once, on borders of their size; and on as they are read."""
    serving.upload(SI, bytes(SINGLE_PUT + PART_SIZE))
    serving.start()
    held: list[Deferred[None]] = []

    def hold(request: Request) -> Any:
        if request.operation == "get":
            held.append(Deferred())
            return held[-1]
        return None

    reader = serving.server.get_buckets(SI)[0]
    serving.now(reader.read(0, 1 << 20))
    serving.now(reader.read(1 << 20, 1000))
    serving.store.fault = hold
    serving.retries.advance(1)
    assert len(held) == 2
    held[0].callback(None)
    serving.now(reader.read((1 << 20) + 1000, 4 << 20))
    serving.retries.advance(1)
    assert len(held) == 3
    spans = serving.server._reader._reads[KEY].spans
    ahead = [
        s.start for s in spans if 1 << 20 < s.start < find_end(SINGLE_PUT + PART_SIZE)
    ]
    assert ahead == [LARGEST_SPAN, 2 * LARGEST_SPAN, 3 * LARGEST_SPAN]


def test_hashes_in_between_break_no_run(serving: Any) -> None:
    """With its first megabyte a client asks for dozens of hashes at the end; the second
    is on its way before it asks for it, and before the first is here.
    """
    size = 10 << 20
    serving.upload(SI, bytes(size))
    serving.start()
    held: Deferred[None] = Deferred()
    serving.store.fault = lambda r: held if r.operation == "get" else None
    reader = serving.server.get_buckets(SI)[0]
    reading = [reader.read(0, 1 << 20)]
    reading += [reader.read(size - 64 * n, 32) for n in range(1, 41)]
    serving.retries.advance(1)
    spans = serving.server._reader._reads[KEY].spans
    assert any(s.start == 1 << 20 for s in spans)
    held.callback(None)
    assert all(serving.now(answer) for answer in reading)


def test_what_is_on_its_way_counts_as_memory(serving: Any) -> None:
    """However many shares are read: nothing is fetched ahead while they fill it."""
    serving.limits = Limits(read_memory=3 << 20)
    serving.start()
    shares = [bytes([n]) * 16 for n in range(6)]
    for si in shares:
        serving.upload(si, bytes(2 << 20))
    serving.start()
    held: Deferred[None] = Deferred()
    serving.store.fault = lambda r: held if r.operation == "get" else None
    readers = [serving.server.get_buckets(si)[0] for si in shares]
    reading = [reader.read(0, 1 << 20) for reader in readers]
    assert serving.server._reader._held == 6 * ((1 << 20) + LEAST_END)
    # What is coming already is not fetched again.
    serving.store.requests.clear()
    reading += [reader.read(0, 1 << 20) for reader in readers]
    assert serving.requests("get") == []
    held.callback(None)
    assert all(len(serving.now(answer)) == 1 << 20 for answer in reading)
    serving.now(readers[0].read(0, 1 << 20))
    assert serving.server._reader._held <= 3 << 20


def test_what_is_about_to_be_read_is_one_request(serving: Any) -> None:
    """A long answer is fetched whole, though it is read and sent by pieces."""
    serving.upload(SI, bytes(SINGLE_PUT + PART_SIZE))
    serving.start()
    serving.store.requests.clear()
    reader = serving.server.get_buckets(SI)[0]
    reader.prefetch(0, 1 << 20)
    step: Callable[[int], bytes] = lambda at: serving.now(reader.read(at, 1 << 16))  # noqa: E731
    assert b"".join(step(at) for at in range(0, 1 << 20, 1 << 16)) == bytes(1 << 20)
    assert [r.operation for r in serving.store.requests].count("get") <= 2


def test_one_long_answer_is_no_run(serving: Any) -> None:
    """A megabyte from the middle of a large share fetches itself; the next one is
    fetched on from.
    """
    serving.upload(SI, bytes(SINGLE_PUT + PART_SIZE))
    serving.start()
    reader = serving.server.get_buckets(SI)[0]

    def answer(start: int) -> int:
        serving.store.requests.clear()
        reader.prefetch(start, 1 << 20)
        for at in range(start, start + (1 << 20), 1 << 18):
            serving.now(reader.read(at, 1 << 18))
        serving.retries.advance(1)
        gets = [r for r in serving.store.requests if r.operation == "get"]
        return sum(r.key == KEY for r in gets)

    assert answer(5 << 20) == 1
    assert answer(6 << 20) > 1
