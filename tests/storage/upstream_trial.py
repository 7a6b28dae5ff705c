"""Run upstream's tests against our storage server:

    python tests/storage/upstream_trial.py memory|ENDPOINT TRIAL-ARGUMENTS...
    python tests/storage/upstream_trial.py storage TRIAL-OPTIONS...

``memory`` is the in-memory bucket, ``young`` one that does not show at first what was
written, anything else the address of an S3 server with a
bucket named ``upstream``.  Upstream's tests build whole nodes by
``allmydata.client.create_client``, or (those of HTTP) a storage server and its front by
name; they are given our classes here, and nothing else is changed.  ``storage`` runs
the portable part of upstream's ``test_storage``, on the in-memory bucket.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from allmydata import client
from allmydata.test import test_storage_http
from hypothesis import HealthCheck, settings
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.scripts.trial import run
from twisted.web.client import Agent

from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_storage.s3.interface import IObjectStore
from lae_storage.s3.over_http import BucketPlace, HttpStore
from lae_storage.server.bucket import OpenBucket, open_bucket
from lae_storage.server.http_front import HttpFront
from lae_storage.server.limits import Allowance
from lae_storage.server.plug import Backing, client_class
from lae_storage.server.storage_server import S3StorageServer
from tests.twins.store import MemoryStore

BUCKET, QUOTA = "upstream", 100 * 1024**3
KEYS = Credentials("AKIAEXAMPLEEXAMPLE00", Secret("an-example-secret"))


def bucket_of(where: str) -> Callable[[str], IObjectStore]:
    """A bucket for each node's folder; a node that is restarted gets its own again."""
    made: dict[str, IObjectStore] = {}

    def of(basedir: str) -> IObjectStore:
        if basedir not in made:
            made[basedir] = fresh(basedir)
        return made[basedir]

    def fresh(basedir: str) -> IObjectStore:
        if where in ("memory", "young"):
            return MemoryStore(unseen=int(where == "young"))
        name = hashlib.sha256(f"{os.getpid()} {basedir}".encode()).hexdigest()[:16]
        place = BucketPlace(BUCKET, "us-east-1", where, f"{name}/")
        # No kept connections: trial calls them a reactor left unclean.
        return HttpStore(reactor, Agent(reactor), StaticCredentials(KEYS), place)

    return of


def plug(where: str) -> None:
    """Have upstream build its nodes with our class."""
    stores = bucket_of(where)
    create = client.create_client

    def create_client(basedir: str = ".", _client_factory: Any = None) -> Any:
        return Deferred.fromCoroutine(build(str(Path(basedir).resolve())))

    async def build(basedir: str) -> Any:
        bucket = await open_bucket(stores(basedir), reactor)
        folder = Path(basedir) / "s3-uploads"
        backing = Backing(bucket, folder, Allowance(QUOTA))
        return await create(basedir, _client_factory=client_class(backing))

    client.create_client = create_client


def plug_http(where: str) -> None:
    """Have upstream's tests of HTTP make our server and our front."""
    stores = bucket_of(where)

    def server(basedir: str, nodeid: bytes, *, clock: Any) -> S3StorageServer:
        opening = Deferred.fromCoroutine(open_bucket(stores(basedir), clock))
        opened: list[OpenBucket] = []
        opening.addCallback(opened.append)
        folder = Path(basedir) / "uploads"
        made = S3StorageServer(opened[0], nodeid, folder, Allowance(QUOTA), clock=clock)
        made.startService()
        return made

    test_storage_http.StorageServer = server
    test_storage_http.HTTPServer = HttpFront
    # A test's first run imports and compiles, and other tests share the machine.
    settings.register_profile(
        "s4",
        deadline=None,
        max_examples=20,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("s4")


if __name__ == "__main__":
    if sys.argv[1] == "storage":
        sys.path.insert(0, str(Path(__file__).parent))
        portable = import_module("upstream_storage")
        portable.plug_storage()
        sys.argv += portable.names()
    else:
        plug(sys.argv[1])
    if sys.argv[1] == "memory":
        # These run on a clock that stands still between their steps.
        plug_http(sys.argv[1])
    sys.argv = ["trial", *sys.argv[2:]]
    run()
