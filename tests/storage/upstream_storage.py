"""Our storage server with the answers that upstream's tests of its own expect: at once.

The in-memory bucket answers within the call, so each Deferred has fired when we have
it.  :data:`PORTABLE` are upstream's classes that ask a storage server; those that are
left out test its containers and its paths on a disk.
"""

from __future__ import annotations

import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from allmydata.test import test_storage
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from lae_storage.server.bucket import open_bucket
from lae_storage.server.limits import Allowance
from lae_storage.server.storage_server import S3StorageServer
from tests.twins.store import MemoryStore

QUOTA = 1 << 40
PORTABLE = ("Server", "MutableServer", "MDMFProxies", "Stats")
#: Tests of these classes that are about upstream's disk, each with what it asks.
EXCLUDED = {
    "Server.test_allocate_without_lease_renewal": "reads a share's file",
    "Server.test_large_share": "writes 4 GiB into a sparse file",
    "Server.test_dont_overfill_dirs": "lists upstream's folders",
    "Server.test_remove_incoming": "lists upstream's folders",
    "Server.test_bad_container_version": "damages a file",
    "Server.test_reserved_space": "reserves room on the disk",
    "Server.test_reserved_space_immutable_lease": "reserves room on the disk",
    "Server.test_reserved_space_mutable_lease": "reserves room on the disk",
    "Server.test_reserved_space_advise_corruption": "reserves room on the disk",
    "Server.test_advise_corruption": "reads upstream's advisory files",
    "Server.test_seek": "is of files, not of a server",
    "Server.test_readonly": "an option of upstream's server",
    "Server.test_discard": "an option of upstream's server",
    "MutableServer.test_bad_magic": "damages a file",
    "MutableServer.test_container_size": "is of upstream's containers",
    "MutableServer.test_leases": "puts a file among the shares",
    "MutableServer.test_mutable_add_lease_renews": "reads a share's file",
    "MutableServer.test_remove": "lists upstream's folders",
}


def names() -> list[str]:
    """The tests to run."""
    load = unittest.TestLoader().getTestCaseNames
    found = [f"{k}.{m}" for k in PORTABLE for m in load(getattr(test_storage, k))]
    assert set(EXCLUDED) <= set(found)
    return [f"{test_storage.__name__}.{n}" for n in found if n not in EXCLUDED]


def _now(answering: Any) -> Any:
    if not isinstance(answering, Deferred):
        answering = Deferred.fromCoroutine(answering)
    found: list[Any] = []
    answering.addBoth(found.append)
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]


class _AtOnce:
    """Hands on to *inner*; the methods *waiting* answer what they waited for."""

    waiting: tuple[str, ...] = ()

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self.waiting:
            return found
        return lambda *arguments: _now(found(*arguments))

    def __str__(self) -> str:
        return str(self._inner)


class _Writer(_AtOnce):
    waiting = ("write", "close")


class _Reader(_AtOnce):
    waiting = ("read", "advise_corrupt_share")


def _method(name: str) -> Callable[..., Any]:
    waiting = getattr(S3StorageServer, name)
    return lambda self, *arguments, **named: _now(waiting(self, *arguments, **named))


class ServerAtOnce(S3StorageServer):
    """Made as upstream's is made, on a bucket of its own."""

    def __init__(
        self, folder: str, nodeid: bytes, *, clock: Any = None, **more: Any
    ) -> None:
        clock = clock or Clock()
        more.pop("reserved_space", None)
        bucket = _now(open_bucket(MemoryStore(), clock))
        path = Path(folder)
        super().__init__(bucket, nodeid, path, Allowance(QUOTA), clock=clock, **more)

    def allocate_buckets(self, *arguments: Any, **named: Any) -> Any:
        """With writers that answer at once."""
        here, writers = _now(super().allocate_buckets(*arguments, **named))
        return here, {n: _Writer(writer) for n, writer in writers.items()}

    def get_buckets(self, storage_index: bytes) -> Any:
        """With readers that answer at once."""
        readers = super().get_buckets(storage_index)
        return {n: _Reader(reader) for n, reader in readers.items()}


for _name in (
    "add_lease",
    "renew_lease",
    "slot_testv_and_readv_and_writev",
    "slot_readv",
    "enumerate_mutable_shares",
    "get_mutable_share_length",
    "advise_corrupt_share",
):
    setattr(ServerAtOnce, _name, _method(_name))


def plug_storage() -> None:
    """Have upstream's tests make our server."""
    test_storage.StorageServer = ServerAtOnce
    # Defaults of arguments were bound when upstream's module was read.
    create = test_storage.Server.create
    test_storage.Server.create = lambda self, name, **more: create(
        self, name, **{"klass": ServerAtOnce, **more}
    )
