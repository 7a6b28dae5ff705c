"""A storage node of ours as a process:

    python tests/storage/node_process.py FOLDER ENDPOINT BUCKET PORT [force-foolscap]

Prints one line of JSON, what a client needs to find it, when it serves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from allmydata import storage_client
from allmydata.client import create_client
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python import log

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.secret import Secret
from lae_storage.s3.over_http import BucketPlace, HttpStore
from lae_storage.server.allowance import Allowance
from lae_storage.server.bucket import open_bucket
from lae_storage.server.plug import Backing, client_class

KEYS = Credentials("AKIAEXAMPLEEXAMPLE00", Secret("an-example-secret"))
CONFIG = """\
[node]
tub.port = tcp:{port}:interface=127.0.0.1
tub.location = tcp:127.0.0.1:{port}
web.port =
[client]
[storage]
enabled = true
force_foolscap = {force}
"""


def main(folder: Path, endpoint: str, bucket: str, port: str, *more: str) -> None:
    """Run until killed, or told to end."""
    log.startLogging((folder.parent / f"{folder.name}.log").open("a"), setStdout=False)
    folder.mkdir(exist_ok=True)
    force = str("force-foolscap" in more)
    (folder / "tahoe.cfg").write_text(CONFIG.format(port=port, force=force))
    place = BucketPlace(bucket, "us-east-1", endpoint)
    store = HttpStore(reactor, pooled_agent(reactor), StaticCredentials(KEYS), place)

    async def serve() -> None:
        opened = await open_bucket(store, reactor)
        backing = Backing(opened, folder / "uploads", Allowance(10**12))
        node = await create_client(str(folder), _client_factory=client_class(backing))
        node.startService()
        reactor.addSystemEventTrigger("before", "shutdown", node.stopService)
        furl = (folder / "private/storage.furl").read_text().strip()
        seed = (folder / "permutation-seed").read_text().strip()
        found = {"anonymous-storage-FURL": furl, "permutation-seed-base32": seed}
        if node.storage_nurls:
            nurls = [nurl.to_text() for nurl in node.storage_nurls]
            found[storage_client.ANONYMOUS_STORAGE_NURLS] = nurls
        server_id = node.get_long_nodeid().decode()
        sys.stdout.write(json.dumps({server_id: {"ann": found}}) + "\n")
        sys.stdout.flush()

    def failed(failure: object) -> None:
        sys.stderr.write(f"{failure}\n")
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(serve()).addErrback(failed))
    reactor.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
