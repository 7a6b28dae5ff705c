"""What processes of storage nodes share, ours and upstream's: run, and say where.

Imports upstream and nothing else, so that it runs where only tahoe-lafs is installed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from allmydata import storage_client
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python import log

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


def prepare(folder: Path, port: str, *, foolscap: bool) -> None:
    """Write the node's folder, and log beside it."""
    log.startLogging((folder.parent / f"{folder.name}.log").open("a"), setStdout=False)
    folder.mkdir(exist_ok=True)
    (folder / "tahoe.cfg").write_text(CONFIG.format(port=port, force=str(foolscap)))


def run(folder: Path, make: Callable[[], Awaitable[Any]]) -> None:
    """Make the node, print one line of JSON when it serves, and run until told to end."""

    async def serve() -> None:
        node = await make()
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
