"""A storage node of ours as a process:

    python tests/storage/node_process.py FOLDER ENDPOINT BUCKET PORT [OPTION ...]

Prints one line of JSON, what a client needs to find it, when it serves.  Options:
``force-foolscap``; ``first-byte=SECONDS``, by which each answer of S3 comes later, as
from farther away; ``requests=FILE``, which gets a line of JSON for each request to S3;
``patience=SECONDS`` with strangers; ``nothing-kept``: what was just stored is read from
S3; ``grown``: the bucket counts as so old that S3 shows all that is in it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from allmydata.client import create_client
from running_node import prepare, run
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.web.iweb import IAgent
from zope.interface import implementer

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.credentials import StaticCredentials
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.process.crowd import CrowdLimits
from lae_protocol.secret import Secret
from lae_storage.s3.over_http import BucketPlace, HttpStore
from lae_storage.s3.young import YOUNG_FOR
from lae_storage.server.bucket import open_bucket
from lae_storage.server.limits import Allowance, Limits
from lae_storage.server.plug import Backing, client_class

KEYS = Credentials(
    os.environ.get("AWS_ACCESS_KEY_ID", "AKIAEXAMPLEEXAMPLE00"),
    Secret(os.environ.get("AWS_SECRET_ACCESS_KEY", "an-example-secret")),
)
LATER, REQUESTS, PATIENCE = "first-byte=", "requests=", "patience="


@implementer(IAgent)
class FarAgent:
    """Hands on, and has each answer's first byte come *seconds* later."""

    def __init__(self, agent: Any, seconds: float) -> None:
        self._agent, self._seconds = agent, seconds

    def request(self, *arguments: Any, **named: Any) -> Any:
        """Send at once; the answer waits."""
        asking = self._agent.request(*arguments, **named)
        return asking.addBoth(
            lambda answer: deferLater(reactor, self._seconds, lambda: answer)
        )


@implementer(IAgent)
class CountedAgent:
    """Hands on, and writes down each request: method, path, bytes sent and received."""

    def __init__(self, agent: Any, path: Path) -> None:
        self._agent, self._path = agent, path

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, body: Any = None
    ) -> Any:
        """Send it, and write it down when it is answered."""

        def answered(response: Any) -> Any:
            received = response.length if isinstance(response.length, int) else 0
            where = uri.split(b"/", 4)[4].partition(b"?")[0].decode()
            sent = body.length if body is not None else 0
            line = json.dumps([method.decode(), where, sent, received])
            with self._path.open("a") as file:
                file.write(line + "\n")
            return response

        return self._agent.request(method, uri, headers, body).addCallback(answered)


def main(folder: Path, endpoint: str, bucket: str, port: str, *more: str) -> None:
    """Run until killed, or told to end."""
    prepare(folder, port, foolscap="force-foolscap" in more)
    agent: Any = pooled_agent(reactor)
    crowd = CrowdLimits()
    for option in more:
        if option.startswith(LATER):
            agent = FarAgent(agent, float(option.removeprefix(LATER)))
        if option.startswith(REQUESTS):
            agent = CountedAgent(agent, Path(option.removeprefix(REQUESTS)))
        if option.startswith(PATIENCE):
            crowd = CrowdLimits(patience=float(option.removeprefix(PATIENCE)))
    place = BucketPlace(bucket, "us-east-1", endpoint)
    store = HttpStore(reactor, agent, StaticCredentials(KEYS), place)

    async def make() -> Any:
        young_for = 0.0 if "grown" in more else YOUNG_FOR
        opened = await open_bucket(store, reactor, young_for=young_for)
        limits = Limits(disk_cache=0) if "nothing-kept" in more else Limits()
        allowance = Allowance(10**12)
        backing = Backing(opened, folder / "uploads", allowance, limits, crowd=crowd)
        return await create_client(str(folder), _client_factory=client_class(backing))

    run(folder, make)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
