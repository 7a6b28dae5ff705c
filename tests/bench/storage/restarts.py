"""A node that ends and comes again: until the next write, and with many shares."""

from __future__ import annotations

import http.client
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from allmydata.storage.common import si_b2a

from lae_protocol.aws.sigv4 import UNSIGNED_PAYLOAD, Credentials, Scope, sign
from lae_protocol.secret import Secret
from tests.bench.storage.nodes import Grid
from tests.storage.conftest import ACCESS_KEY, REGION, SECRET_KEY, NodeProcess

_LOOK_AGAIN = 0.02
_LONGEST = 120.0
_THREADS = 8


def until_the_next_write(grid: Grid, times: int) -> list[float]:
    """Seconds from ``kill -9`` of the node, which is started again at once, to the
    running client's next stored file.
    """
    took = []
    for _ in range(times):
        grid.client.find_node()
        began = time.monotonic()
        grid.node.kill()
        grid.node.start()
        _write(grid, began + _LONGEST)
        took.append(time.monotonic() - began)
    return took


def _write(grid: Grid, end: float) -> None:
    while True:
        try:
            grid.client.store(os.urandom(1000))
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(_LOOK_AGAIN)
        else:
            return


def fill(endpoint: str, bucket: str, count: int) -> None:
    """Put *count* shares into the bucket, by the plainest client."""
    keys = Credentials(ACCESS_KEY, Secret(SECRET_KEY))

    def some(start: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
        for _ in range(start, count, _THREADS):
            path = f"/{bucket}/immutable/{si_b2a(os.urandom(16)).decode()}/0"
            headers = sign(
                keys,
                Scope(REGION, "s3"),
                datetime.now(UTC),
                method="PUT",
                url=endpoint + path,
                headers={},
                payload=UNSIGNED_PAYLOAD,
            )
            connection.request("PUT", path, b"x" * 100, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != http.client.OK:
                raise OSError(f"the S3 server answered {answer.status}")
        connection.close()

    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(some, range(_THREADS)))


def until_it_serves(folder: Path, endpoint: str, bucket: str) -> float:
    """Seconds from the start of a node's process to its serving this bucket."""
    node = NodeProcess(folder, endpoint, bucket)
    began = time.monotonic()
    node.start()
    took = time.monotonic() - began
    node.kill()
    return took
