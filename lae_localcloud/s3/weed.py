"""SeaweedFS as a child process: a real S3 server, on loopback, with a fresh folder.

Why not moto's S3: see ``docs/decisions``.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    ResponseFailed,
    ResponseNeverReceived,
    _HTTP11ClientFactory,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IResponse

from lae_localcloud.child import Child, Program
from lae_localcloud.ports import free_ports
from lae_localcloud.state_folder import write_private
from lae_protocol.aws.body import read_body
from lae_protocol.aws.sigv4 import UNSIGNED_PAYLOAD, Credentials, Scope, sign
from lae_protocol.secret import Secret

#: Seconds until the server answers, on a machine that is busy.
_PATIENCE = 60.0
_BETWEEN_LOOKS = 0.05
_ATTEMPTS = 3
_CONNECTIONS = 64
#: Less than the server's own 120 s, so that it never closes under a request of ours.
_IDLE = 60
_FORBIDDEN = 403
_SMALL = 1 << 20
#: A bucket's first write makes its volumes: one is enough, and seven take a second.
_MASTER = "[master.volume_growth]\ncopy_1 = 1\n"
#: It makes these sockets wherever it runs, and leaves them.
_SOCKET = "/tmp/seaweedfs-{part}-grpc-{port}.sock"  # noqa: S108  (its own choice)
_PARTS = ("master", "volume", "filer", "s3")


class _QuietFactory(_HTTP11ClientFactory):
    """Twisted's own logs two lines a connection."""

    noisy = False


class WeedFailed(Exception):
    """The server did not come up; its log says why."""


class Weed:
    """The server, and signed requests to it."""

    _log = Logger()

    def __init__(self, reactor: Any, folder: Path, region: str) -> None:
        self._reactor, self._folder, self._region = reactor, folder, region
        self._keys = Credentials("localcloud", Secret(secrets.token_hex(20)))
        self._pool = HTTPConnectionPool(reactor)  # type: ignore[no-untyped-call]
        self._pool._factory = _QuietFactory  # noqa: SLF001  (there is no other way)
        self._pool.maxPersistentPerHost = _CONNECTIONS
        self._pool.cachedConnectionTimeout = _IDLE
        self._agent = Agent(reactor, pool=self._pool)  # type: ignore[no-untyped-call]
        self._child: Child | None = None
        self._stopping = False
        self._exit: str | None = None
        self._sockets: tuple[Path, ...] = ()
        self._base = self._master = ""

    async def start(self) -> None:
        """Run it, and wait until it answers; raises :class:`WeedFailed`."""
        self._prepare()
        for attempt in range(_ATTEMPTS):
            try:
                await self._try_to_start(self._data(attempt))
            except WeedFailed:
                # Somebody may have taken one of the eight ports that were free.
                if attempt == _ATTEMPTS - 1 or self._stopping:
                    raise
            else:
                return

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True)
        write_private(self._folder / "s3.json", _identities(self._keys))
        (self._folder / "master.toml").write_text(_MASTER)

    def _data(self, attempt: int) -> Path:
        data = self._folder / f"data{attempt}"
        data.mkdir()
        return data

    async def _try_to_start(self, data: Path) -> None:
        ports = free_ports(8)
        self._base = f"http://127.0.0.1:{ports[6]}"
        self._master = f"http://127.0.0.1:{ports[0]}"
        self._sockets = tuple(
            Path(_SOCKET.format(part=part, port=port))
            for part, port in zip(_PARTS, ports[1::2], strict=True)
        )
        program = Program(
            argv=_argv(self._folder, data, ports),
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._folder)},
            cwd=self._folder,
            log=self._folder / "weed.log",
            death_signal=signal.SIGKILL,
        )
        self._exit = None
        self._child = Child(self._reactor, program, self._ended)
        self._child.start()
        give_up = self._reactor.seconds() + _PATIENCE
        while not await self._answers():
            if self._exit is not None or self._reactor.seconds() > give_up:
                await self._child.stop(0)
                raise WeedFailed(f"{self._exit or 'no answer'}: see {program.log}")
            await deferLater(self._reactor, _BETWEEN_LOOKS)

    async def stop(self) -> None:
        """Kill it: it takes over ten seconds to end by itself, and what it keeps is
        forgotten anyway.
        """
        self._stopping = True
        closing = self._pool.closeCachedConnections()  # type: ignore[no-untyped-call]
        await closing
        if self._child is not None:
            await self._child.stop(0)

    def request(
        self,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        body: IBodyProducer | None,
    ) -> Deferred[IResponse]:
        """One request, signed; *path* and *query* are quoted already."""
        url = self._base + path + (f"?{query}" if query else "")
        signed = sign(
            self._keys,
            Scope(self._region, "s3"),
            datetime.now(UTC),
            method=method,
            url=url,
            headers=headers,
            payload=UNSIGNED_PAYLOAD,
        )
        sent = Headers({n: [v] for n, v in signed.items() if n != "content-length"})
        return self._agent.request(method.encode(), url.encode(), sent, body)

    async def small(
        self, method: str, path: str, query: str = "", body: IBodyProducer | None = None
    ) -> tuple[int, bytes]:
        """One request whose answer is small: status and body."""
        response = await self.request(method, path, query, {}, body)
        if method == "HEAD":
            return response.code, b""
        text = await read_body(self._reactor, response, seconds=30, limit=_SMALL)
        return response.code, text

    async def make_room(self, bucket: str) -> None:
        """Make the bucket's volume now: its first write would wait 0.2 s for it."""
        url = f"{self._master}/vol/grow?collection={bucket}&count=1"
        response = await self._agent.request(b"GET", url.encode())
        await read_body(self._reactor, response, seconds=30, limit=_SMALL)

    async def _answers(self) -> bool:
        try:
            code, _ = await self.small("GET", "/")
        except (ConnectError, ResponseFailed, ResponseNeverReceived):
            return False
        # The gateway listens before it knows its keys, and before it has volumes.
        return code not in (_FORBIDDEN, 500, 503)

    def _ended(self, how: str) -> None:
        self._exit = how
        for socket in self._sockets:
            socket.unlink(missing_ok=True)
        if not self._stopping:
            self._log.error("the S3 server {how}", how=how)


def _identities(keys: Credentials) -> str:
    key = {"accessKey": keys.access_key, "secretKey": keys.secret_key.reveal()}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    who = {"name": "front", "credentials": [key], "actions": actions}
    return json.dumps({"identities": [who]})


def _argv(folder: Path, data: Path, ports: list[int]) -> list[str]:
    master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc = ports
    options: dict[str, object] = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.port": master,
        "master.port.grpc": master_grpc,
        "master.volumeSizeLimitMB": 256,
        "master.telemetry": "false",
        "volume.port": volume,
        "volume.port.grpc": volume_grpc,
        "volume.max": 0,
        "volume.minFreeSpacePercent": 0,
        "volume.preStopSeconds": 0,
        "filer": "true",
        "filer.port": filer,
        "filer.port.grpc": filer_grpc,
        "filer.localSocket": f"@s4-filer-{filer}",
        "s3": "true",
        "s3.port": s3,
        "s3.port.grpc": s3_grpc,
        "s3.config": folder / "s3.json",
        "s3.localSocket": f"@s4-s3-{s3}",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.iam": "false",
        "s3.autoCreateBucket": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
    }
    weed = Path(sys.executable).with_name("weed")
    return [
        str(weed),
        "-logtostderr",
        "server",
        *(f"-{name}={value}" for name, value in options.items()),
    ]
