"""A large share's beginning is in its object's metadata, so that few requests open it."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_storage.s3.conditional import WRITER
from lae_storage.s3.interface import Unavailable
from lae_storage.server import keys
from lae_storage.server.beginning import (
    BEGINNING,
    LEAST_END,
    MOST_END,
    SIZE,
    WHOLE,
    add_beginning,
    find_end,
    read_beginning,
)
from lae_storage.server.lease import new_lease
from lae_storage.server.spool import Spool
from lae_storage.server.upload import SINGLE_PUT

SI = b"b" * 16
KEY = keys.immutable_key(SI, 0)
LARGE = SINGLE_PUT + 12345
#: Of all names and values of an object's metadata, in bytes (S3's user guide).
S3_ROOM = 2048


def read(serving: Any, offset: int, length: int) -> bytes:
    data: bytes = serving.now(serving.server.get_buckets(SI)[0].read(offset, length))
    return data


def stored(serving: Any, size: int) -> bytes:
    """A share that another process reads, with nothing asked yet."""
    data = os.urandom(size)
    serving.upload(SI, data)
    serving.start()
    serving.store.requests.clear()
    return data


def gets(serving: Any) -> int:
    """How many since this was called last."""
    return len([key for key in serving.requests("get") if key == KEY])


@pytest.mark.parametrize("size", [WHOLE + 1, SINGLE_PUT, LARGE])
def test_beginning_and_end_are_one_request(serving: Any, size: int) -> None:
    """Whichever a client asks for first; a little of the rest is another."""
    data = stored(serving, size)
    assert read(serving, 0, SIZE) == data[:SIZE]
    assert read(serving, size - 2000, 2000) == data[-2000:]
    assert read(serving, size - LEAST_END, 10) == data[-LEAST_END:][:10]
    assert gets(serving) == 1
    assert read(serving, 500_000, 1000) == data[500_000:501_000]
    assert gets(serving) == 1


@pytest.mark.parametrize("size", [1, 1000, WHOLE])
def test_a_small_share_is_one_request(serving: Any, size: int) -> None:
    """It is fetched whole, wherever a client begins."""
    data = stored(serving, size)
    # Where it was just stored it is in memory.
    assert read(serving, size - 1, 1) == data[-1:]
    assert read(serving, 0, size) == data
    assert gets(serving) == 1
    assert BEGINNING not in serving.store.objects[KEY].metadata


def test_an_older_object_has_no_beginning(serving: Any) -> None:
    """Nor has one whose first bytes came last: it takes a request more."""
    data = os.urandom(LARGE)
    writer = serving.writer(SI, LARGE)
    serving.now(writer.write(0, data[: SIZE - 1]))
    serving.now(writer.write(SIZE - 1, data[SIZE - 1 :]))
    serving.now(writer.close())
    assert BEGINNING not in serving.store.objects[KEY].metadata
    serving.start()
    serving.store.requests.clear()
    assert read(serving, 0, SIZE) == data[:SIZE]
    assert gets(serving) == 2


def test_the_end_alone_fails_both(serving: Any) -> None:
    """And the next read asks anew."""
    data = stored(serving, LARGE)
    serving.fail_once("get")
    with pytest.raises(Unavailable):
        read(serving, 0, SIZE)
    assert serving.server._reader._held == 0
    assert read(serving, 0, SIZE) == data[:SIZE]


@given(st.dictionaries(st.sampled_from([BEGINNING, "other"]), st.text(max_size=40)))
def test_metadata_that_is_no_beginning(metadata: dict[str, str]) -> None:
    """Whatever is there: none."""
    assert read_beginning(metadata) is None


@given(st.binary(min_size=SIZE, max_size=SIZE))
def test_metadata_that_is_one(data: bytes) -> None:
    """It comes back as it was."""
    assert read_beginning({BEGINNING: b64encode(data).decode()}) == data


@given(st.integers(WHOLE + 1, 10**13))
def test_where_the_end_begins(length: int) -> None:
    """Behind the beginning; it is no more of a share than its hashes take."""
    assert SIZE < find_end(length) <= length - LEAST_END
    assert length - find_end(length) <= MOST_END


def test_it_fits_beside_what_else_is_there(tmp_path: Path) -> None:
    """S3 takes 2 KB of metadata, names included."""
    spool = Spool(LARGE, tmp_path)
    spool.write(0, os.urandom(SIZE))
    lease = new_lease(10**9, 10**10, b"r" * 32, b"c" * 32)
    metadata = add_beginning({**lease.to_metadata(), WRITER: "w" * 64}, spool)
    spool.close()
    assert BEGINNING in metadata
    assert sum(len(k) + len(v) for k, v in metadata.items()) <= S3_ROOM
