"""An opened bucket: what all parts of the server share."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from functools import partial
from random import Random

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
from lae_storage.server import keys
from lae_storage.server.concurrency import run_parallel
from lae_storage.server.fence import Fence
from lae_storage.server.index import Index, read_index
from lae_storage.server.meter import Meter
from lae_storage.server.pace import Pace
from lae_storage.server.slot_object import Author

_log = Logger()
#: Times that another node may take the epoch at the same moment.
RACES = 5
SWEPT_AT_ONCE = 8


class NotOurLayout(Exception):
    """The bucket is of a later version of this layout, or of something else."""


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
    pace: Pace
    reactor: IReactorTime
    token: Callable[[], str] = _token

    def author(self) -> Author:
        """The next write's author; raises what :meth:`Fence.check` does."""
        self.fence.check()
        return Author(self.fence.epoch, self.token())


async def open_bucket(
    store: IObjectStore,
    reactor: IReactorTime,
    rng: Random | None = None,
    token: Callable[[], str] = _token,
) -> OpenBucket:
    """Make a bucket ready to serve from.

    1. Its layout's version is ours (an empty bucket is marked);
    2. the writer's epoch is taken, by a conditional write: from here on a node that
       had it before is superseded;
    3. the index is read, in pages: after the epoch, so that it has all that the
       superseded node had acknowledged by then;
    4. uploads that earlier nodes left are thrown away.
    """
    meter = Meter(reactor)
    store = CountedStore(store, lambda kind: meter.now().requests.update([kind]))
    writer = ConditionalWriter(
        store,
        reactor,
        token,
        rng or Random(),  # noqa: S311  (jitter is no secret)
    )
    await _check_format(store, writer)
    fence = await _take_epoch(store, writer, token, reactor)
    index = await read_index(store)
    await _sweep_uploads(store)
    _log.info(
        "bucket open: epoch {epoch}, {shares} immutable shares, {stored} bytes",
        epoch=fence.epoch,
        shares=index.shares,
        stored=index.stored,
    )
    pace = Pace(reactor, meter)
    return OpenBucket(store, writer, index, fence, meter, pace, reactor, token)


async def _sweep_uploads(store: IObjectStore) -> None:
    """No upload outlives its node; where this fails, the bucket's own rule does it."""
    try:
        left = await store.list_uploads(keys.IMMUTABLE)
        jobs = [partial(_abort, store, upload) for upload in left]
        await run_parallel(jobs, SWEPT_AT_ONCE)
    except StoreError as e:
        _log.warn("unfinished uploads are left: {why}", why=str(e))


async def _abort(store: IObjectStore, upload: Unfinished) -> None:
    await store.abort_upload(upload.key, upload.upload_id)


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


async def _take_epoch(
    store: IObjectStore,
    writer: ConditionalWriter,
    token: Callable[[], str],
    reactor: IReactorTime,
) -> Fence:
    for _ in range(RACES):
        before, etag = 0, None
        try:
            got = await store.get(keys.EPOCH_KEY)
        except NotThere:
            pass
        else:
            before, etag = json.loads(got.data)["epoch"], got.head.etag
        began = reactor.seconds()
        taken = {"epoch": before + 1, "token": token(), "at": began}
        try:
            await writer.put(keys.EPOCH_KEY, Bytes(json.dumps(taken).encode()), etag)
        except ConditionFailed:
            continue
        # Nobody else's shares can be in a bucket that nobody had.
        now, first = reactor.seconds(), before == 0
        return Fence(store, reactor, before + 1, now, began, first)
    raise NotOurLayout("other nodes keep taking the epoch of this bucket")
