"""What the host asks of its storage."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from allmydata.client import _Client

from lae_protocol.host_messages import Desired, StoragePlace
from lae_storage import shares as shares_module
from lae_storage.server.garbage import DAY
from lae_storage.server.limits import Allowance, limits_for
from lae_storage.server.plug import Backing
from lae_storage.shares import S3Shares, open_shares


def test_usage_and_what_is_desired(serving: Any, tmp_path: Path) -> None:
    """Both kinds of shares count, and a suspended host offers no room."""
    allowance = Allowance(1000)
    bucket = serving.server._bucket
    shares = S3Shares(Backing(bucket, tmp_path / "up", allowance))
    serving.upload(b"i" * 16, b"x" * 100)
    serving.change(b"m" * 16, b"y" * 10)
    usage = shares.usage()
    assert usage.share_count == 2
    stored = [len(o.data) for k, o in serving.store.objects.items() if k[:2] != "s4"]
    assert usage.used_bytes == sum(stored)
    (today,) = usage.days
    assert today.day == date(1970, 1, 1)
    assert (today.received, today.sent) == (110, 0)
    assert {r.kind: r.count for r in today.requests}["put"] >= 2
    assert usage.noncurrent_bytes is None
    bucket.meter.noncurrent, bucket.meter.opened = 70, False
    # Half of a day is not told for the whole.
    assert (shares.usage().noncurrent_bytes, shares.usage().days) == (70, ())
    bucket.meter.opened = True
    serving.retries.advance(DAY)
    serving.upload(b"j" * 16, b"x" * 5)
    told = [(d.day.day, d.received) for d in shares.usage().days]
    assert told == [(2, 5), (1, 110)]
    shares.obey(Desired("serving", 500))
    assert (allowance.quota, allowance.suspended) == (500, False)
    shares.obey(Desired("suspended", 500))
    assert allowance.room(0) == 0
    assert issubclass(shares.client_class, _Client)
    assert shares.close().called


def test_its_limits_are_those_of_the_hosts_disk(
    serving: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host with a small volume takes no more than fits on it."""
    free = 4 * 1024**3

    async def opened(*_: Any) -> Any:
        return serving.server._bucket

    monkeypatch.setattr(shares_module, "open_bucket", opened)
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    place = StoragePlace("bucket", "eu-central-1", None, 10**9)
    # Nothing is asked of S3: the bucket is open.
    nobody: Any = None
    opening = open_shares(serving.retries, nobody, nobody, place, tmp_path)
    made = serving.now(opening)
    assert made.backing.limits == limits_for(free)
    assert made.backing.limits.spool < free
