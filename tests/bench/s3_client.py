"""One S3 client at work, in a process of its own:

    python -m tests.bench.s3_client CLIENT ENDPOINT BUCKET

Prints one line of JSON: milliseconds of a conditional PUT of 1 KB (median of 200),
seconds and CPU seconds of 100 MB up (by 8 MiB) and down (by ranges of 2 MiB), and the
most MiB that were resident, 96 of them the bench's own.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any, Protocol

from tests.storage.conftest import ACCESS_KEY, REGION, SECRET_KEY

SMALL, PART, RANGE = 1000, 8 << 20, 2 << 20
PARTS, TIMES = 12, 200


class Client(Protocol):
    """Waits for each request; an asynchronous client does so on a loop of its own."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object where there is none."""

    def get(self, key: str, start: int, length: int) -> bytes:
        """Read a range."""

    def end(self) -> None:
        """Leave no thread that the process would wait for."""


class Boto3:
    """botocore under boto3, as PyPI has it."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        import boto3  # noqa: PLC0415  (only this one's memory is to be seen)

        self._bucket = bucket
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
        )

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(
            Bucket=self._bucket, Key=key, Body=data, IfNoneMatch="*"
        )

    def get(self, key: str, start: int, length: int) -> bytes:
        span = f"bytes={start}-{start + length - 1}"
        got = self._client.get_object(Bucket=self._bucket, Key=key, Range=span)
        data: bytes = got["Body"].read()
        return data

    def end(self) -> None:
        """It has no threads."""


class Obstore:
    """The Rust crate object_store under Python."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        import obstore  # noqa: PLC0415
        from obstore.store import S3Store  # noqa: PLC0415

        self._obstore = obstore
        self._store = S3Store(
            bucket,
            endpoint=endpoint,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            region=REGION,
            client_options={"allow_http": True},
        )

    def put(self, key: str, data: bytes) -> None:
        self._obstore.put(self._store, key, data, mode="create", use_multipart=False)

    def get(self, key: str, start: int, length: int) -> bytes:
        span = self._obstore.get_range(self._store, key, start=start, length=length)
        return bytes(span)

    def end(self) -> None:
        """Its threads are not Python's."""


class OnReactor:
    """Runs a Twisted client on its reactor, a request at a time."""

    def __init__(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415

        self._reactor: Any = reactor
        self._running = False

    def wait(self, asking: Callable[[], Awaitable[Any]]) -> Any:
        """The answer; raises the error."""
        from twisted.internet.defer import Deferred  # noqa: PLC0415
        from twisted.python.failure import Failure  # noqa: PLC0415

        if not self._running:
            self._reactor.startRunning()
            self._running = True
        found: list[Any] = []

        async def ask() -> Any:
            return await asking()

        Deferred.fromCoroutine(ask()).addBoth(found.append)
        while not found:
            self._reactor.iterate(0.01)
        if isinstance(found[0], Failure):
            found[0].raiseException()
        return found[0]

    def end(self) -> None:
        """Stop the reactor, and its threads with it."""
        self._reactor.stop()
        self._reactor.iterate()


class Ours(OnReactor):
    """Twisted's Agent with our signature: ``lae_storage.s3``."""

    def __init__(self, endpoint: str, bucket: str) -> None:
        super().__init__()
        from lae_protocol.aws.agent import pooled_agent  # noqa: PLC0415
        from lae_protocol.aws.credentials import StaticCredentials  # noqa: PLC0415
        from lae_protocol.aws.sigv4 import Credentials  # noqa: PLC0415
        from lae_protocol.secret import Secret  # noqa: PLC0415
        from lae_storage.s3.over_http import BucketPlace, HttpStore  # noqa: PLC0415

        keys = StaticCredentials(Credentials(ACCESS_KEY, Secret(SECRET_KEY)))
        place = BucketPlace(bucket, REGION, endpoint)
        self._store = HttpStore(self._reactor, pooled_agent(self._reactor), keys, place)

    def put(self, key: str, data: bytes) -> None:
        from lae_storage.s3.interface import Bytes  # noqa: PLC0415

        self.wait(lambda: self._store.put(key, Bytes(data), {}, if_absent=True))

    def get(self, key: str, start: int, length: int) -> bytes:
        data: bytes = self.wait(lambda: self._store.get(key, start, length)).data
        return data


CLIENTS: dict[str, Callable[[str, str], Client]] = {
    "ours": Ours,
    "boto3": Boto3,
    "obstore": Obstore,
}


def measure(client: Client) -> dict[str, float]:
    """All of it, one request after the other."""
    took = []
    for number in range(TIMES):
        began = time.monotonic()
        client.put(f"small/{number}", os.urandom(SMALL))
        took.append(1000 * (time.monotonic() - began))
    parts = [os.urandom(PART) for _ in range(PARTS)]
    up = _timed(lambda: [client.put(f"part/{n}", p) for n, p in enumerate(parts)])
    starts = range(0, PART, RANGE)
    down = _timed(
        lambda: [
            client.get(f"part/{n}", a, RANGE) for n in range(PARTS) for a in starts
        ]
    )
    scale = 100e6 / (PART * PARTS)
    return {
        "put_ms": median(took),
        "up": up[0] * scale,
        "up_cpu": up[1] * scale,
        "down": down[0] * scale,
        "down_cpu": down[1] * scale,
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    began, used = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - began, time.process_time() - used


if __name__ == "__main__":
    name, endpoint, bucket = sys.argv[1:]
    client = CLIENTS[name](endpoint, bucket)
    sys.stdout.write(json.dumps(measure(client)) + "\n")
    client.end()
