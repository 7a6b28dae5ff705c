"""One contract, three buckets: the twin, moto's, and a real S3 server's."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.trial.unittest import TestCase
from twisted.web.client import HTTPConnectionPool
from zope.interface.verify import verifyObject

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_storage.s3.interface import (
    Bytes,
    ConditionFailed,
    Denied,
    IObjectStore,
    NotThere,
)
from lae_storage.s3.over_http import BucketPlace, HttpStore
from tests.twins.store import SMALLEST_PART, MemoryStore

KEYS = StaticCredentials(
    Credentials("AKIAEXAMPLEEXAMPLE00", Secret("an-example-secret"))
)


class _Contract:
    """What every bucket does; ``make`` gives a fresh, empty one."""

    store: Any

    async def _put(self, key: str, data: bytes, **condition: Any) -> str:
        return await self.store.put(key, Bytes(data), {"a": "b"}, **condition)

    def test_provides_the_interface(self) -> None:
        """It has every method of the interface."""
        verifyObject(IObjectStore, self.store)

    async def test_reads_what_was_put(self) -> None:
        """An object comes back whole, with its ETag, size and metadata."""
        for data in (b"", b"hello", bytes(range(256)) * 1000):
            etag = await self._put("p/one", data)
            got = await self.store.get("p/one")
            head = await self.store.head("p/one")
            self.assertEqual(got.data, data)
            self.assertEqual(got.head, head)
            self.assertEqual((head.etag, head.size), (etag, len(data)))
            self.assertEqual(head.metadata["a"], "b")

    async def test_ranges(self) -> None:
        """A range is cut at the end, and empty beyond it."""
        await self._put("p/one", b"0123456789")
        for start, length, expected in [
            (0, 4, b"0123"),
            (8, 5, b"89"),
            (3, None, b"3456789"),
            (10, 5, b""),
            (50, 5, b""),
            (4, 0, b""),
        ]:
            got = await self.store.get("p/one", start, length)
            self.assertEqual((got.data, got.head.size), (expected, 10))

    async def test_pouring(self) -> None:
        """A range arrives in order, and in the end what the object is; with no bytes
        there is nothing to tell.
        """
        await self.store.put("p/one", Bytes(b"0123456789"), {"s4-name": "value"})
        for start, length, expected in [
            (0, 4, b"0123"),
            (8, 5, b"89"),
            (3, 7, b"3456789"),
        ]:
            arrived: list[bytes] = []
            head = await self.store.pour("p/one", start, length, arrived.append)
            self.assertEqual(b"".join(arrived), expected)
            self.assertEqual((head.size, head.metadata["s4-name"]), (10, "value"))
        for start in (10, 50):
            arrived = []
            self.assertIsNone(await self.store.pour("p/one", start, 5, arrived.append))
            self.assertEqual(arrived, [])
        with pytest.raises(NotThere):
            await self.store.pour("p/none", 0, 5, arrived.append)

    async def test_what_is_not_there(self) -> None:
        """A missing object has no head, cannot be read, and is deleted already."""
        self.assertIsNone(await self.store.head("p/none"))
        await self.store.delete("p/none")
        with pytest.raises(NotThere):
            await self.store.get("p/none")

    async def test_put_if_absent(self) -> None:
        """The second of two puts on the condition of absence is refused."""
        await self._put("p/one", b"first", if_absent=True)
        with pytest.raises(ConditionFailed):
            await self._put("p/one", b"second", if_absent=True)
        self.assertEqual((await self.store.get("p/one")).data, b"first")

    async def test_put_if_match(self) -> None:
        """A put on an ETag succeeds while it is current, and not after."""
        old = await self._put("p/one", b"first")
        new = await self._put("p/one", b"second", if_match=old)
        with pytest.raises(ConditionFailed):
            await self._put("p/one", b"late", if_match=old)
        await self._put("p/one", b"third", if_match=new)
        self.assertEqual((await self.store.get("p/one")).data, b"third")

    async def test_put_if_match_on_nothing(self) -> None:
        """A put on an ETag of an object that is gone is refused like a stale one."""
        old = await self._put("p/one", b"first")
        await self.store.delete("p/one")
        with pytest.raises(ConditionFailed):
            await self._put("p/one", b"late", if_match=old)
        self.assertIsNone(await self.store.head("p/one"))

    async def test_delete_if_match(self) -> None:
        """A delete on a stale ETag leaves the object."""
        old = await self._put("p/one", b"first")
        new = await self._put("p/one", b"second")
        with pytest.raises(ConditionFailed):
            await self.store.delete("p/one", if_match=old)
        await self.store.delete("p/one", if_match=new)
        self.assertIsNone(await self.store.head("p/one"))

    async def test_listing(self) -> None:
        """A listing has every object under its prefix once, in order, with sizes."""
        for n in range(7):
            await self._put(f"p/{n}", b"x" * n)
        await self._put("q/0", b"other")
        page = await self.store.list_page("p/", None)
        self.assertEqual(
            [(o.key, o.size) for o in page.objects], [(f"p/{n}", n) for n in range(7)]
        )
        self.assertIsNone(page.after)
        rest = await self.store.list_page("p/", "p/4")
        self.assertEqual([o.key for o in rest.objects], ["p/5", "p/6"])
        self.assertEqual(rest.objects[0].etag, (await self.store.head("p/5")).etag)

    async def test_listing_goes_on_within_folders(self) -> None:
        """A listing continues after any key, also between two of one folder."""
        names = [f"p/{a}/{n}" for a in "abc" for n in range(3)]
        for name in names:
            await self._put(name, b"x")
        for at, name in enumerate(names):
            page = await self.store.list_page("p/", name)
            self.assertEqual([o.key for o in page.objects], names[at + 1 :])

    async def test_versions(self) -> None:
        """All versions are added up, page by page: what an object is, and what it was
        before it was replaced or deleted.
        """
        self.version_it()
        for size in (5, 70, 900):
            await self._put("p/one", b"x" * size)
        await self._put("p/two", b"x" * 2_000)
        await self.store.delete("p/two")
        await self._put("q/three", b"x" * 30_000)
        page = await self.store.versions_page()
        self.assertEqual((page.current, page.noncurrent), (30_900, 2_075))
        self.assertIsNone(page.after)

    async def test_versions_go_on(self) -> None:
        """A listing of versions continues within an object and after it."""
        self.version_it()
        for size in (1, 2, 4):
            await self._put("p/one", b"x" * size)
            await self._put("p/two", b"x" * size * 10)
        whole, noncurrent, pages, after = 0, 0, 0, None
        with self.pages_of(2):
            while pages == 0 or after is not None:
                page = await self.store.versions_page(after)
                whole += page.current + page.noncurrent
                noncurrent += page.noncurrent
                pages, after = pages + 1, page.after
        self.assertEqual((whole, noncurrent, pages), (77, 33, 3))

    async def test_upload_in_parts(self) -> None:
        """Parts become one object when they are completed, and not before."""
        first, last = b"a" * SMALLEST_PART, b"bc"
        upload = await self.store.begin_upload("p/big", {"m": "n"})
        etags = (
            await self.store.put_part("p/big", upload, 1, Bytes(first)),
            await self.store.put_part("p/big", upload, 2, Bytes(last)),
        )
        self.assertIsNone(await self.store.head("p/big"))
        self.assertEqual(
            [(u.key, u.upload_id) for u in await self.store.list_uploads("p/")],
            [("p/big", upload)],
        )
        etag = await self.store.complete_upload("p/big", upload, etags, True)
        got = await self.store.get("p/big", SMALLEST_PART - 1, 10)
        self.assertEqual(got.data, b"abc")
        self.assertEqual(got.head.size, len(first) + len(last))
        self.assertEqual(got.head.etag, etag)
        self.assertEqual(got.head.metadata["m"], "n")
        self.assertEqual(await self.store.list_uploads("p/"), ())

    async def test_upload_in_parts_if_absent(self) -> None:
        """Completing on the condition of absence is refused where an object is."""
        upload = await self.store.begin_upload("p/big", {})
        etags = (await self.store.put_part("p/big", upload, 1, Bytes(b"new")),)
        await self._put("p/big", b"old")
        with pytest.raises(ConditionFailed):
            await self.store.complete_upload("p/big", upload, etags, True)
        self.assertEqual((await self.store.get("p/big")).data, b"old")
        await self.store.abort_upload("p/big", upload)

    async def test_aborted_upload(self) -> None:
        """An aborted upload leaves nothing; aborting it again is success."""
        upload = await self.store.begin_upload("p/big", {})
        await self.store.put_part("p/big", upload, 1, Bytes(b"x"))
        await self.store.abort_upload("p/big", upload)
        await self.store.abort_upload("p/big", upload)
        self.assertIsNone(await self.store.head("p/big"))
        self.assertEqual(await self.store.list_uploads("p/"), ())

    async def test_a_wrong_part_is_refused(self) -> None:
        """An upload with a part that was never sent cannot be completed."""
        upload = await self.store.begin_upload("p/big", {})
        await self.store.put_part("p/big", upload, 1, Bytes(b"x"))
        with pytest.raises((Denied, NotThere)):
            await self.store.complete_upload("p/big", upload, ('"no"',), False)


class MemoryContract(_Contract, TestCase):
    def setUp(self) -> None:
        self.store = MemoryStore()

    def version_it(self) -> None:
        """It is."""

    @contextmanager
    def pages_of(self, size: int) -> Iterator[None]:
        self.store.page = size
        yield


class _OverHttp(_Contract):
    s3_server: Any

    def setUp(self) -> None:
        bucket = f"b{uuid.uuid4().hex}"
        self.s3_server.make_bucket(bucket)
        agent = pooled_agent(reactor)
        pool: HTTPConnectionPool = agent._pool
        self.addCleanup(pool.closeCachedConnections)
        place = BucketPlace(bucket, "us-east-1", self.s3_server.endpoint)
        self.store = HttpStore(reactor, agent, KEYS, place)
        self.bucket = bucket

    def version_it(self) -> None:
        self.s3_server.version(self.bucket)

    @contextmanager
    def pages_of(self, size: int) -> Iterator[None]:
        asking = self.store._ask

        def ask(asked: Any, query: Any = None, *more: Any, **named: Any) -> Any:
            return asking(asked, query | {"max-keys": str(size)}, *more, **named)

        self.store._ask = ask
        yield


@pytest.mark.usefixtures("on_moto")
class MotoContract(_OverHttp, TestCase):
    pass


@pytest.mark.usefixtures("on_seaweed")
class SeaweedContract(_OverHttp, TestCase):
    pass
