"""What clients say of corrupt shares, kept in the bucket."""

from __future__ import annotations

from datetime import UTC, datetime

from allmydata.storage.server import render_corruption_report
from twisted.logger import Logger

from lae_storage.s3.interface import Bytes
from lae_storage.server import keys
from lae_storage.server.bucket import OpenBucket

_log = Logger()
#: Advisories kept in the bucket; a client that sends more is only logged.
MOST_ADVISORIES = 10_000


async def keep_advisory(
    bucket: OpenBucket,
    share_type: bytes,
    storage_index: bytes,
    number: int,
    reason: bytes,
) -> None:
    """Write a report as upstream words it; in S3 when this is done.

    Where there are too many it is only logged.
    """
    where = f"{keys.si_text(storage_index)}/{number}"
    _log.error("a client says that {share} is corrupt", share=where)
    if bucket.index.advisories >= MOST_ADVISORIES:
        return
    bucket.index.advisories += 1
    report = render_corruption_report(
        share_type, keys.si_text(storage_index).encode(), number, reason
    )
    # Advisories are dated with the wall clock: people read them.
    when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    key = keys.advisory_key(when, storage_index, number, bucket.token()[:8])
    await bucket.store.put(key, Bytes(report.encode()), {})
