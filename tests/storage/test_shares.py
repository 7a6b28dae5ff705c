"""What the host asks of its storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from allmydata.client import _Client

from lae_protocol.host_messages import Desired
from lae_storage.server.allowance import Allowance
from lae_storage.server.plug import Backing
from lae_storage.shares import S3Shares


def test_usage_and_what_is_desired(serving: Any, tmp_path: Path) -> None:
    """Both kinds of shares count, and a suspended host offers no room."""
    allowance = Allowance(1000)
    bucket = serving.server._bucket
    shares = S3Shares(Backing(bucket, tmp_path / "up", allowance))
    serving.upload(b"i" * 16, b"x" * 100)
    serving.change(b"m" * 16, b"y" * 10)
    usage = shares.usage()
    assert usage.share_count == 2
    assert (usage.received_today, usage.sent_today) == (110, 0)
    assert usage.requests_today >= 2
    stored = [len(o.data) for k, o in serving.store.objects.items() if k[:2] != "s4"]
    assert usage.used_bytes == sum(stored)
    shares.obey(Desired("serving", 500))
    assert (allowance.quota, allowance.suspended) == (500, False)
    shares.obey(Desired("suspended", 500))
    assert allowance.room(0) == 0
    assert issubclass(shares.client_class, _Client)
    assert shares.close().called
