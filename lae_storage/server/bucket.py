"""An opened bucket: what all parts of the server share."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from random import Random

from allmydata.storage.server import render_corruption_report
from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lae_storage.s3.conditional import ConditionalWriter
from lae_storage.s3.counted import CountedStore
from lae_storage.s3.interface import (
    Bytes,
    ConditionFailed,
    IObjectStore,
    NotThere,
    StoreError,
    Unfinished,
)
from lae_storage.s3.young import YOUNG_FOR, YoungBucketStore
from lae_storage.server import keys
from lae_storage.server.concurrency import run_parallel
from lae_storage.server.fence import Fence, take_epoch
from lae_storage.server.index import Index, read_index
from lae_storage.server.keys import ShareName
from lae_storage.server.limits import Pace
from lae_storage.server.meter import Meter
from lae_storage.server.slot_object import Author
from lae_storage.server.writes import Writes

_log = Logger()
#: Reports of corrupt shares that a bucket has at most.
MOST_ADVISORIES = 10_000
#: Unfinished uploads that are aborted at once.
ABORTED_AT_ONCE = 8


class NotOurLayout(Exception):
    """The bucket has a later version of this layout, or something else."""


def _token() -> str:
    return secrets.token_hex(16)


@define
class OpenBucket:
    """A bucket whose index is in memory and whose epoch is ours."""

    store: IObjectStore
    writer: ConditionalWriter
    index: Index
    fence: Fence
    meter: Meter
    writes: Writes
    pace: Pace
    reactor: IReactorTime
    token: Callable[[], str] = _token

    async def forget_if_gone(self, name: ShareName) -> None:
        """Take an immutable share out of the index, if its object is gone.

        The index says what exists, and is asked in the bucket's place.  A read that
        finds no object shows that the index was wrong: then the share must be missing
        to clients, as where a file is deleted on a disk, or they could never repair it.
        The share may have been stored again since that read.  What is stored before
        this asks is seen; while it asks, nothing may be added to the index.
        """
        key = keys.immutable_key(name.storage_index, name.share_number)
        before = self.index.additions
        if await self.store.head(key) is None and self.index.additions == before:
            _log.error("a share is gone from the bucket: {key}", key=key)
            self.index.remove_immutable(name.storage_index, name.share_number)

    async def keep_advisory(
        self, share_type: bytes, name: ShareName, reason: bytes
    ) -> None:
        """Write a client's report of a corrupt share, as upstream words it.

        Where the bucket has too many reports, this one is only logged.
        """
        where = f"{keys.si_text(name.storage_index)}/{name.share_number}"
        _log.error("a client says that {share} is corrupt", share=where)
        if self.index.advisories >= MOST_ADVISORIES:
            return
        self.index.advisories += 1
        si = keys.si_text(name.storage_index).encode()
        report = render_corruption_report(share_type, si, name.share_number, reason)
        # Advisories are dated with the wall clock: people read them.
        when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        key = keys.advisory_key(when, name, self.token()[:8])
        await self.store.put(key, Bytes(report.encode()), {})

    def author(self) -> Author:
        """The author of the next write; raises what :meth:`Fence.check` does."""
        self.fence.check()
        return Author(self.fence.epoch, self.token())


async def open_bucket(
    store: IObjectStore,
    reactor: IReactorTime,
    rng: Random | None = None,
    token: Callable[[], str] = _token,
    young_for: float = YOUNG_FOR,
) -> OpenBucket:
    """Make a bucket ready to serve from.  For *young_for* seconds after it was marked,
    what S3 does not show is doubted (:mod:`lae_storage.s3.young`).

    1. Check that the layout's version is ours; an empty bucket is marked.
    2. Take the next epoch, by a conditional write: from here on a node that had the
       bucket before is superseded.
    3. Read the index, in pages: after the epoch, so that the index has all that the
       superseded node had acknowledged by then.
    4. Abort the uploads that earlier nodes left.
    """
    meter = Meter(reactor)
    writes = Writes(reactor)
    rng = rng or Random()  # noqa: S311  (jitter is no secret)
    young = YoungBucketStore(store, reactor, rng, reactor.seconds() + young_for)
    await _tell_age(young, young_for)
    store = CountedStore(
        young, lambda kind: meter.now().requests.update([kind]), writes
    )
    writer = ConditionalWriter(store, reactor, token, rng)
    await _check_format(store, writer)
    fence = await take_epoch(store, writer, token, reactor)
    index = await read_index(store)
    await _abort_uploads(store)
    _log.info(
        "bucket open: epoch {epoch}, {shares} immutable shares, {stored} bytes",
        epoch=fence.epoch,
        shares=index.shares,
        stored=index.stored,
    )
    pace = Pace(reactor, meter)
    return OpenBucket(store, writer, index, fence, meter, writes, pace, reactor, token)


async def _abort_uploads(store: IObjectStore) -> None:
    """Abort unfinished uploads; where this fails, the bucket's own rule does it."""
    try:
        left = await store.list_uploads(keys.IMMUTABLE)
        jobs = [partial(_abort, store, upload) for upload in left]
        await run_parallel(jobs, ABORTED_AT_ONCE)
    except StoreError as e:
        _log.warn("unfinished uploads are left: {why}", why=str(e))


async def _abort(store: IObjectStore, upload: Unfinished) -> None:
    await store.abort_upload(upload.key, upload.upload_id)


async def _tell_age(store: YoungBucketStore, young_for: float) -> None:
    """The bucket is as old as its mark, or younger than this moment; the listing also
    says whether the mark and an epoch are there.
    """
    page = await store.list_page(keys.OWN)
    for listed in page.objects:
        if listed.key == keys.FORMAT_KEY:
            store.grown = listed.modified + young_for


async def _check_format(store: IObjectStore, writer: ConditionalWriter) -> None:
    try:
        got = await store.get(keys.FORMAT_KEY)
    except NotThere:
        await _mark(writer)
        return
    version = json.loads(got.data).get("format")
    if version != keys.FORMAT:
        raise NotOurLayout(f"layout {version}; this release reads {keys.FORMAT}")


async def _mark(writer: ConditionalWriter) -> None:
    document = Bytes(json.dumps({"format": keys.FORMAT}).encode())
    try:
        await writer.put(keys.FORMAT_KEY, document, None)
    except ConditionFailed:
        _log.info("another node marked the bucket at the same moment")
