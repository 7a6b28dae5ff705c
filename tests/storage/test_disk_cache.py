"""Shares that were just stored are read from the host's disk, as long as they lie there."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lae_storage.server import cache as module
from lae_storage.server import keys
from lae_storage.server.cache import MOST_FILES, READ_PIECE, DiskCache
from lae_storage.server.limits import (
    MOST_DISK_CACHE,
    MOST_SPOOL,
    Limits,
    limits_for,
    limits_in,
)
from lae_storage.server.spool import IN_MEMORY

SI = b"k" * 16
KEY = keys.immutable_key(SI, 0)
SIZE = IN_MEMORY + 1


def a_file(data: bytes) -> int:
    number, name = tempfile.mkstemp()
    Path(name).unlink()
    os.write(number, data)
    return number


def is_open(number: int) -> bool:
    return identity(number) is not None


def identity(number: int) -> tuple[int, int] | None:
    """Of the file that has the number now: numbers come again."""
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def now(asking: Any) -> Any:
    """What is answered without waiting."""
    answers: list[Any] = []
    Deferred.fromCoroutine(asking).addBoth(answers.append)
    (answer,) = answers
    return answer


@given(
    st.binary(min_size=1, max_size=300),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=8),
    st.integers(1, 50),
)
def test_any_range_of_what_is_kept(
    data: bytes, asked: list[tuple[int, int]], piece: int
) -> None:
    """Each read has the file's bytes, cut at its end, however they are read."""
    original, module.READ_PIECE = module.READ_PIECE, piece
    try:
        kept = DiskCache(1000)
        kept.add("k", a_file(data), len(data))
        for offset, size in asked:
            assert now(kept.read("k", offset, size)) == data[offset : offset + size]
    finally:
        module.READ_PIECE = original
        kept.close()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60)), max_size=30))
def test_bounded_whatever_is_stored(steps: list[tuple[int, int]]) -> None:
    """Never more bytes than the limit; what was used last is the last to go, and no
    file stays open that is not kept.
    """
    kept, opened = DiskCache(100), {}
    for key, size in steps:
        number = a_file(b"x" * size)
        opened[number] = identity(number)
        kept.add(str(key), number, size)
        assert kept.has(str(key))
        held = list(kept._files.values())
        assert sum(file.size for file in held) == kept._held <= 100
        still = {n for n, which in opened.items() if identity(n) == which}
        assert still == {file.descriptor for file in held}
    kept.close()
    assert not kept._files
    assert kept._held == 0
    assert not any(identity(n) == which for n, which in opened.items())


def test_few_files_are_open() -> None:
    """However small they are, no more than MOST_FILES of them."""
    kept = DiskCache(10**6)
    numbers = [a_file(b"x") for _ in range(MOST_FILES + 3)]
    for n, number in enumerate(numbers):
        kept.add(str(n), number, 1)
    assert [is_open(number) for number in numbers] == [False] * 3 + [True] * MOST_FILES
    kept.close()


def test_what_is_too_large_is_not_kept() -> None:
    """And what was kept before stays."""
    kept = DiskCache(10)
    kept.add("small", a_file(b"small"), 5)
    number = a_file(b"x" * 11)
    kept.add("large", number, 11)
    assert not kept.has("large")
    assert not is_open(number)
    assert now(kept.read("small", 0, 5)) == b"small"
    kept.close()


def test_a_file_that_cannot_be_read_is_left() -> None:
    """S3 is asked instead, and the file not again."""
    kept = DiskCache(100)
    reading, writing = os.pipe()
    kept.add("k", writing, 10)
    assert now(kept.read("k", 0, 10)) is None
    assert not kept.has("k")
    assert not is_open(writing)
    os.close(reading)


class WaitingTests(TestCase):
    """Bytes that are not in memory are read where nobody waits for them."""

    def setUp(self) -> None:
        self.kept = DiskCache(100)
        self.number = a_file(b"0123456789")
        self.kept.add("k", self.number, 10)
        self.addCleanup(self.kept.close)
        self.patch(module, "_read_into", lambda *_: 0)

    async def test_in_a_thread(self) -> None:
        """They are answered all the same."""
        self.assertEqual(await self.kept.read("k", 3, 4), b"3456")

    async def test_a_file_that_is_too_short(self) -> None:
        """It is left, and S3 is asked instead."""
        os.truncate(self.number, 5)
        self.assertIsNone(await self.kept.read("k", 3, 4))
        self.assertFalse(self.kept.has("k"))
        self.assertFalse(is_open(self.number))

    async def test_forgotten_meanwhile(self) -> None:
        """The file is closed after its reader is through, not under it."""
        reading = Deferred.fromCoroutine(self.kept.read("k", 3, 4))
        self.assertNoResult(reading)
        self.kept.drop("k")
        self.assertTrue(is_open(self.number))
        self.assertEqual(await reading, b"3456")
        self.assertFalse(is_open(self.number))


def test_a_disk_that_would_have_to_be_waited_for(monkeypatch: Any) -> None:
    """EAGAIN is no error; a file system that does not know the question is asked
    plainly.
    """
    number, real = a_file(b"0123456789"), os.preadv

    def answering(code: int) -> Any:
        def preadv(fd: int, buffers: Any, at: int, flags: int = 0) -> int:
            if flags:
                raise OSError(code, "")
            return real(fd, buffers, at)

        return preadv

    buffer = bytearray(4)
    monkeypatch.setattr(os, "preadv", answering(errno.EAGAIN))
    assert module._read_into(number, memoryview(buffer), 2) == 0
    monkeypatch.setattr(os, "preadv", answering(errno.EOPNOTSUPP))
    assert module._read_into(number, memoryview(buffer), 2) == 4
    assert buffer == b"2345"
    monkeypatch.setattr(os, "preadv", answering(errno.EIO))
    with pytest.raises(OSError, match="Errno 5"):
        module._read_into(number, memoryview(buffer), 2)
    os.close(number)


# -- in the server ---------------------------------------------------------------------


def read(serving: Any, offset: int = 0, length: int = 10**9) -> bytes:
    data: bytes = serving.now(serving.server.get_buckets(SI)[0].read(offset, length))
    return data


def test_what_was_just_stored_asks_s3_nothing(serving: Any) -> None:
    """Until another process serves it."""
    data = os.urandom(SIZE)
    serving.upload(SI, data)
    serving.store.requests.clear()
    assert read(serving) == data
    assert read(serving, READ_PIECE - 5, 10) == data[READ_PIECE - 5 : READ_PIECE + 5]
    assert serving.requests("get") == []
    serving.start()
    assert read(serving) == data
    assert serving.requests("get") != []


def test_holes_are_zeros(serving: Any) -> None:
    """What a client never wrote reads as it does from S3."""
    writer = serving.writer(SI, SIZE)
    serving.now(writer.write(SIZE - 3, b"end"))
    serving.now(writer.close())
    assert read(serving) == bytes(SIZE - 3) + b"end"
    assert read(serving) == serving.store.objects[KEY].data


def test_what_could_not_be_stored_is_not_kept(serving: Any) -> None:
    """An aborted upload is nowhere."""
    writer = serving.writer(SI, SIZE)
    serving.now(writer.write(0, bytes(SIZE)))
    writer.abort()
    assert not serving.server._disk.has(KEY)


def test_a_server_that_stops_keeps_nothing(serving: Any) -> None:
    """Its disk is free again."""
    serving.upload(SI, bytes(SIZE))
    assert serving.server._disk.has(KEY)
    serving.now(serving.server.stopService())
    assert not serving.server._disk.has(KEY)


def test_nothing_is_kept_where_that_is_the_limit(serving: Any) -> None:
    """A host with a full disk reads from S3."""
    serving.limits = Limits(disk_cache=0)
    serving.start()
    data = os.urandom(SIZE)
    serving.upload(SI, data)
    serving.store.requests.clear()
    assert read(serving) == data
    assert serving.requests("get") != []


# -- how much --------------------------------------------------------------------------


@given(st.integers(0, 10**14))
def test_limits_fit_on_the_disk(free: int) -> None:
    """Whatever is free: both together leave an eighth of it to others."""
    limits = limits_for(free)
    assert 0 <= limits.spool <= MOST_SPOOL
    assert 0 <= limits.disk_cache <= MOST_DISK_CACHE
    assert limits.spool + limits.disk_cache <= free - free // 8


def test_a_disk_with_room_has_the_most() -> None:
    """And an empty one nothing."""
    assert limits_for(10**12) == Limits()
    assert limits_for(0) == Limits(spool=0, disk_cache=0)


def test_the_folder_need_not_be_there_yet(tmp_path: Path) -> None:
    """Its disk is the one that the nearest folder above it is on."""
    limits = limits_in(tmp_path / "not" / "yet")
    assert limits.spool > 0
    assert not (tmp_path / "not").exists()
