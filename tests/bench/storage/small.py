"""Small operations of a client, and the floor beside them: one PUT of the S3 server."""

from __future__ import annotations

import http.client
import os
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from statistics import median
from urllib.parse import urlsplit

from attrs import define

from lae_protocol.aws.sigv4 import UNSIGNED_PAYLOAD, Credentials, Scope, sign
from lae_protocol.secret import Secret
from tests.bench.storage.nodes import Grid
from tests.storage.conftest import ACCESS_KEY, REGION, SECRET_KEY

#: Each of the first of a kind warms something up.
_WARM = 3
#: Seconds in which the S3 server has done what it can with the bytes so far.
_A_WHILE = 0.05
IMMUTABLE, OVERWRITE, NEW_FILE = (
    "1 KB immutable",
    "SDMF overwrite",
    "new file into a directory",
)


@define(frozen=True)
class Small:
    """Median milliseconds of one operation, by grid."""

    operation: str
    protocol: str
    milliseconds: dict[str, float]


def measure(grids: Sequence[Grid], protocol: str, times: int) -> list[Small]:
    """Each operation *times* times, the grids in turn."""
    return [
        Small(name, protocol, _median(grids, prepare, times))
        for name, prepare in (
            (IMMUTABLE, _immutable),
            (OVERWRITE, _overwrite),
            (NEW_FILE, _new_file),
        )
    ]


def _median(
    grids: Sequence[Grid], prepare: Callable[[Grid], Callable[[], object]], times: int
) -> dict[str, float]:
    doing = {grid.name: prepare(grid) for grid in grids}
    took: dict[str, list[float]] = {name: [] for name in doing}
    for turn in range(times + _WARM):
        names = [*doing][turn % len(doing) :] + [*doing][: turn % len(doing)]
        for name in names:
            began = time.monotonic()
            doing[name]()
            took[name].append(1000 * (time.monotonic() - began))
    return {name: median(each[_WARM:]) for name, each in took.items()}


def _immutable(grid: Grid) -> Callable[[], object]:
    return lambda: grid.client.store(os.urandom(1000))


def _overwrite(grid: Grid) -> Callable[[], object]:
    cap = grid.client.store(os.urandom(1000), "SDMF")
    return lambda: grid.client.ask("PUT", f"/uri/{cap}", os.urandom(1000))


def _new_file(grid: Grid) -> Callable[[], object]:
    cap = grid.client.ask("POST", "/uri?t=mkdir", b"").decode()

    def put() -> object:
        name = os.urandom(8).hex()
        return grid.client.ask("PUT", f"/uri/{cap}/{name}", os.urandom(1000))

    return put


def one_put(endpoint: str, bucket: str, times: int) -> float:
    """Median milliseconds of a conditional PUT of 1 KB, by the plainest client."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
    took = []
    for number in range(times + _WARM):
        path = f"/{bucket}/floor/{number}"
        headers = _signed(endpoint, path)
        body = os.urandom(1000)
        began = time.monotonic()
        connection.request("PUT", path, body, headers)
        _answered(connection)
        took.append(1000 * (time.monotonic() - began))
    connection.close()
    return median(took[_WARM:])


def last_byte(endpoint: str, bucket: str, size: int, times: int) -> float:
    """Median milliseconds from the last byte of a PUT of *size* to its answer, where
    the S3 server had all others a while before.
    """
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
    took = []
    for number in range(times + _WARM):
        path = f"/{bucket}/last/{size}-{number}"
        connection.putrequest("PUT", path, skip_host=True)
        for name, value in _signed(endpoint, path).items():
            connection.putheader(name, value)
        connection.putheader("content-length", str(size))
        connection.endheaders()
        # The last byte must not wait for what was sent before it (Nagle).
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.send(os.urandom(size - 1))
        time.sleep(_A_WHILE)
        began = time.monotonic()
        connection.send(b"x")
        _answered(connection)
        took.append(1000 * (time.monotonic() - began))
    connection.close()
    return median(took[_WARM:])


def _signed(endpoint: str, path: str) -> dict[str, str]:
    return sign(
        Credentials(ACCESS_KEY, Secret(SECRET_KEY)),
        Scope(REGION, "s3"),
        datetime.now(UTC),
        method="PUT",
        url=endpoint + path,
        headers={"if-none-match": "*"},
        payload=UNSIGNED_PAYLOAD,
    )


def _answered(connection: http.client.HTTPConnection) -> None:
    answer = connection.getresponse()
    answer.read()
    if answer.status != http.client.OK:
        raise OSError(f"the S3 server answered {answer.status}")
