"""Run upstream's tests against our storage server:

    python tests/storage/upstream_trial.py memory|ENDPOINT TRIAL-ARGUMENTS...

``memory`` is the in-memory bucket, anything else the address of an S3 server with a
bucket named ``upstream``.  Upstream's tests build whole nodes by
``allmydata.client.create_client``; it is given our class here, and nothing else is
changed.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from allmydata import client
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.scripts.trial import run
from twisted.web.client import Agent

from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_storage.s3.interface import IObjectStore
from lae_storage.s3.memory import MemoryStore
from lae_storage.s3.over_http import BucketPlace, HttpStore
from lae_storage.server.allowance import Allowance
from lae_storage.server.bucket import open_bucket
from lae_storage.server.plug import Backing, client_class

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
        if where == "memory":
            return MemoryStore()
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


if __name__ == "__main__":
    plug(sys.argv[1])
    sys.argv = ["trial", *sys.argv[2:]]
    run()
