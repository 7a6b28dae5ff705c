"""Waits until a program is ready, by its own way of saying so."""

from __future__ import annotations

import secrets
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    ResponseFailed,
    ResponseNeverReceived,
    readBody,
)

from lae_localcloud.demo.program import Answers, FileAppears

_BETWEEN_LOOKS = 0.05
_SERVER_ERROR = 500


class NotifySocket(DatagramProtocol):
    """systemd's end of ``sd_notify``, on an abstract socket: a path could be too long.

    *name* goes into the program's ``NOTIFY_SOCKET``; *ready* fires once.
    """

    def __init__(self, reactor: Any) -> None:
        self.ready: Deferred[None] = Deferred()
        text = f"s4-demo-{secrets.token_hex(8)}"
        self.name = f"@{text}"
        self._port = reactor.listenUNIXDatagram("\0" + text, self)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """What a program says of itself."""
        del addr
        if b"READY=1" in datagram.split(b"\n") and not self.ready.called:
            self.ready.callback(None)

    def close(self) -> None:
        """Nobody listens any more."""
        self._port.stopListening()


async def appears(reactor: Any, wanted: FileAppears) -> None:
    """Wait for a file: its maker renames it into place, and has no other word."""
    while not wanted.path.exists():
        await deferLater(reactor, _BETWEEN_LOOKS)


async def answers(reactor: Any, wanted: Answers) -> None:
    """Wait for a server: until it listens there is nobody to ask but its port."""
    pool = HTTPConnectionPool(reactor, persistent=False)  # type: ignore[no-untyped-call]
    agent = Agent(reactor, pool=pool)  # type: ignore[no-untyped-call]
    while True:
        try:
            response = await agent.request(b"GET", wanted.url.encode())
            await readBody(response)
        except (ConnectError, ResponseFailed, ResponseNeverReceived):
            pass
        else:
            if response.code < _SERVER_ERROR:
                return
        await deferLater(reactor, _BETWEEN_LOOKS)
