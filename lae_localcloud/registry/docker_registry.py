"""Debian's ``docker-registry`` as a child process: plain HTTP on loopback, for us."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from lae_localcloud.child import Child, Program
from lae_localcloud.ports import free_ports
from lae_localcloud.s3.body import Bytes

PROGRAM = "docker-registry"
_PATIENCE = 30.0  # s
_BETWEEN_LOOKS = 0.05  # s
_ATTEMPTS = 3


class NoRegistry(Exception):
    """The program is not here, or did not come up.  The text says what to do."""


class DockerRegistry:
    """The program, and requests to it."""

    _log = Logger()

    def __init__(self, reactor: Any, folder: Path) -> None:
        self.reactor, self._folder = reactor, folder
        pool = HTTPConnectionPool(reactor)  # type: ignore[no-untyped-call]
        self._pool = pool
        self._agent = Agent(reactor, pool=pool)  # type: ignore[no-untyped-call]
        self._child: Child | None = None
        self._base = ""

    async def start(self) -> None:
        """Run it, and wait until it answers; raises :class:`NoRegistry`."""
        program = _find()
        self._folder.mkdir(parents=True)
        for _ in range(_ATTEMPTS):
            (port,) = free_ports(1)
            self._base = f"http://127.0.0.1:{port}"
            self._run(program, port)
            if await self._comes_up():
                return
            await self.stop()
        raise NoRegistry(f"{PROGRAM} did not come up: {self._folder / 'log'} says why")

    async def stop(self) -> None:
        """End it."""
        await self._pool.closeCachedConnections()  # type: ignore[no-untyped-call]
        if self._child is not None:
            await self._child.stop(0)

    async def request(
        self, method: str, uri: str, headers: dict[str, str], body: bytes | None
    ) -> IResponse:
        """Ask it; raises what the agent raises."""
        response: IResponse = await self._agent.request(
            method.encode(),
            f"{self._base}{uri}".encode(),
            Headers({name: [value] for name, value in headers.items()}),
            None if body is None else Bytes(body),
        )
        return response

    def _run(self, program: str, port: int) -> None:
        settings = self._folder / "config.yml"
        # JSON is YAML.
        settings.write_text(json.dumps(_settings(self._folder / "data", port)), "utf-8")
        self._child = Child(
            self.reactor,
            Program(
                argv=(program, "serve", str(settings)),
                env={"PATH": os.environ.get("PATH", os.defpath)},
                cwd=self._folder,
                log=self._folder / "log",
                death_signal=signal.SIGKILL,
            ),
            lambda how: self._log.info("the registry {how}", how=how),
        )
        self._child.start()

    async def _comes_up(self) -> bool:
        assert self._child is not None
        until = self.reactor.seconds() + _PATIENCE
        while self._child.running and self.reactor.seconds() < until:
            try:
                response = await self.request("HEAD", "/v2/", {}, None)
            except ConnectError:
                await deferLater(self.reactor, _BETWEEN_LOOKS)
            else:
                return bool(response.code == 200)  # noqa: PLR2004
        return False


def _find() -> str:
    beside = Path(sys.executable).with_name(PROGRAM)
    found = str(beside) if beside.exists() else shutil.which(PROGRAM)
    if found is None:
        raise NoRegistry(
            f"{PROGRAM} is not here: `make install-tests` takes it out of Debian's"
            f" package {PROGRAM}"
        )
    return found


def _settings(data: Path, port: int) -> dict[str, object]:
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(data)},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {
            "addr": f"127.0.0.1:{port}",
            "relativeurls": True,
            # Several copies would share it, and there is one.
            "secret": secrets.token_hex(16),
        },
    }
