"""Look at a bucket that no node serves any more, with our own server's code:

    python -m tests.storage.killing.last_look ENDPOINT BUCKET FOLDER < LEASES

Opens the bucket, as the next node would; sweeps, as a node does, but what is younger
than a day, too; and prints as JSON what is left.  LEASES is JSON, a list of storage
index and renew secret, both in hex.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from struct import Struct
from typing import Any

from attrs import asdict
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_storage.offline.checking import check
from lae_storage.offline.inventory import lines
from lae_storage.s3.interface import IObjectStore
from lae_storage.s3.over_http import BucketPlace, HttpStore
from lae_storage.server import garbage, keys
from lae_storage.server.bucket import open_bucket
from lae_storage.server.lease import hash_secret
from lae_storage.server.limits import Allowance
from lae_storage.server.storage_server import S3StorageServer

KEYS = Credentials("AKIAEXAMPLEEXAMPLE00", Secret("an-example-secret"))
#: Upstream's header of an immutable share, whose last field says where its last
#: section begins, and that section's length (allmydata/immutable/layout.py).
HEADER, LENGTH = Struct(">9L"), Struct(">L")


async def _cut_short(store: IObjectStore) -> list[str]:
    """Immutable shares that end before, or after, they say they do."""
    found = []
    async for line in lines(store, keys.IMMUTABLE):
        header = (await store.get(line.key, 0, HEADER.size)).data
        last = HEADER.unpack(header)[-1]
        (length,) = LENGTH.unpack((await store.get(line.key, last, LENGTH.size)).data)
        if last + LENGTH.size + length != line.size:
            found.append(line.key)
    return found


async def look(
    reactor: Any, store: IObjectStore, folder: Path, leases: list[list[str]]
) -> dict[str, Any]:
    """What is to be told; uploads as the last node left them that served."""
    uploads = len(await store.list_uploads(""))
    bucket = await open_bucket(store, reactor)
    before = await check(store, data=False)
    server = S3StorageServer(bucket, bytes(20), folder, Allowance(10**12))
    garbage.ORPHAN_AGE = -60
    swept = await garbage.sweep_orphans(bucket, server._slots)
    after = await check(store, data=True)
    lost = []
    for storage_index, renew in leases:
        held = await server.all_leases(bytes.fromhex(storage_index))
        secret = hash_secret(bytes.fromhex(renew))
        if not held or not all(secret in [x.renew for x in h] for h in held.values()):
            lost.append(storage_index)
    return {
        **asdict(after),
        "uploads": uploads,
        "orphans before": before.orphans,
        "swept": swept,
        "cut short": await _cut_short(store),
        "leases lost": lost,
    }


def main(endpoint: str, bucket: str, folder: str) -> None:
    """Print it."""

    async def go(reactor: Any) -> None:
        place = BucketPlace(bucket, "us-east-1", endpoint)
        agent = pooled_agent(reactor)
        store = HttpStore(reactor, agent, StaticCredentials(KEYS), place)
        found = await look(reactor, store, Path(folder), json.load(sys.stdin))
        sys.stdout.write(json.dumps(found))

    react(lambda reactor: Deferred.fromCoroutine(go(reactor)))


if __name__ == "__main__":
    main(*sys.argv[1:])
