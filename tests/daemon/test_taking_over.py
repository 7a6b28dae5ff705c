"""Taking the journal over is refused where the daemon could not serve afterwards."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lae_flapp.journal.errors import JournalInUse
from lae_flapp.settings import TubSettings
from lae_flapp.wiring.taking_over import refuse_taken_ports


class PortTests(TestCase):
    """Two ports of loopback, held by this test or by nobody."""

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415

        self.reactor, self.held = reactor, []
        for _ in range(2):
            one = socket.socket()
            one.bind(("127.0.0.1", 0))
            one.listen()
            self.held.append(one)
        ports = [one.getsockname()[1] for one in self.held]
        self.private, self.hosts = (
            TubSettings(f"tcp:{port}:interface=127.0.0.1", f"localhost:{port}")
            for port in ports
        )
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.settings: Any = SimpleNamespace(
            private_tub=self.private,
            hosts_tub=self.hosts,
            journal=self.folder / "journal.sqlite",
        )

    def tearDown(self) -> None:
        for one in self.held:
            one.close()

    def refused(self) -> Any:
        refusing = Deferred.fromCoroutine(
            refuse_taken_ports(self.reactor, self.settings)
        )
        return self.assertFailure(refusing, JournalInUse)

    async def test_each_port_is_looked_at(self) -> None:
        """Either port may be the taken one; who has the journal is named."""
        (self.folder / "journal.sqlite.lock").write_text("flapp1 process 4711")
        self.assertIn("by flapp1 process 4711.", str(await self.refused()))
        self.held[0].close()
        self.assertIn(self.hosts.listen, str(await self.refused()))

    async def test_nobody_knows_who_it_is(self) -> None:
        """Without a lock file the port is named all the same."""
        self.assertIn("by another process.", str(await self.refused()))

    async def test_free_ports_stay_free(self) -> None:
        """Where both are free, nothing is refused, twice in a row."""
        self.tearDown()
        for _ in range(2):
            await refuse_taken_ports(self.reactor, self.settings)
