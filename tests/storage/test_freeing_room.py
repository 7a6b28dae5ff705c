"""A full customer frees room, with an unmodified tahoe and the calendar alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from allmydata.client import create_client
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from lae_storage.server.bucket import open_bucket
from lae_storage.server.garbage import DAY, REQUEST_LIFETIME
from lae_storage.server.housekeeping import COLLECT_AFTER
from lae_storage.server.lease import DURATION
from lae_storage.server.limits import Allowance
from lae_storage.server.plug import Backing, client_class
from tests.twins.store import MemoryStore

from .conftest import VanillaClient, free_ports
from .running_node import CONFIG

#: The policy: days that no lease holds a share.
DAYS = 60
SIZE = 300_000


@pytest.mark.end_to_end
class FreeingRoomTests(TestCase):
    """The node is in this process, so that its clocks are the test's; the client is a
    process of its own, the real one.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()

    async def serve(self, folder: Path) -> None:
        """Start a node with the policy, on a bucket whose calendar stands still."""
        self.calendar, self.leases = Clock(), Clock()
        (port,) = free_ports(1)
        node = folder / "node"
        node.mkdir(parents=True)
        (node / "tahoe.cfg").write_text(CONFIG.format(port=port, force="False"))
        bucket = await open_bucket(MemoryStore(), self.calendar)
        self.allowance = Allowance(10**9)
        backing = Backing(bucket, node / "up", self.allowance, expire_days=DAYS)
        made = await create_client(str(node), _client_factory=client_class(backing))
        self.server = made.get_anonymous_storage_server()
        # Upstream's node gives its storage server the reactor's clock.
        self.server._clock = self.server._housekeeping.expiry.clock = self.leases
        made.startService()
        self.addCleanup(made.stopService)
        announced = {
            "anonymous-storage-FURL": (node / "private/storage.furl")
            .read_text()
            .strip(),
            "permutation-seed-base32": (node / "permutation-seed").read_text().strip(),
            "anonymous-storage-NURLs": [n.to_text() for n in made.storage_nurls],
        }
        self.found = {made.get_long_nodeid().decode(): {"ann": announced}}

    async def ask(self, method: str, path: str, data: bytes | None = None) -> bytes:
        """Ask the client as its own commands do; raises OSError where it refuses."""
        answer: bytes = await deferToThread(self.client.ask, method, path, data)
        return answer

    async def deep_check(self, cap: str) -> str:
        """Run the command that the guide names."""
        told: str = await deferToThread(
            self.client.tahoe, "deep-check", "--add-lease", cap
        )
        return told

    def days_pass(self, days: float) -> None:
        """The leases' calendar goes on, and so does housekeeping: it walks each day."""
        self.leases.advance(days * DAY)
        for _ in range(int((DAY + COLLECT_AFTER + REQUEST_LIFETIME) // 5)):
            self.calendar.advance(5)

    def test_delete_check_and_wait(self) -> Deferred[None]:
        """A deleted file's room is free when no lease held it for the policy's days;
        what deep-check --add-lease found in the meantime stays, its directory too.
        """
        return Deferred.fromCoroutine(self._delete_check_and_wait())

    async def _delete_check_and_wait(self) -> None:
        folder = self.folder
        await self.serve(folder)
        self.client = VanillaClient(folder / "client")
        self.addCleanup(self.client.stop)
        await deferToThread(self.client.start, self.found, foolscap=False)
        await deferToThread(self.client.find_node)
        home = (await self.ask("POST", "/uri?t=mkdir")).decode()
        old, kept, new = (os.urandom(SIZE) for _ in range(3))
        await self.ask("PUT", f"/uri/{home}/old", old)
        await self.ask("PUT", f"/uri/{home}/kept", kept)

        # The quota is full: nothing new is taken, and the directory still changes.
        self.allowance.quota = self.server.index.stored + SIZE // 2
        with self.assertRaises(OSError):
            await self.ask("PUT", f"/uri/{home}/new", new)
        await self.ask("DELETE", f"/uri/{home}/old")
        full = self.server.index.stored
        self.days_pass(DURATION / DAY + DAYS - 5)
        self.assertEqual(self.server.index.stored, full)

        told = await self.deep_check(home)
        self.assertIn("done: 2 objects checked, 2 healthy", told)
        self.days_pass(10)
        self.assertLess(self.server.index.stored, full - SIZE)
        # The client hears of the room when it asks next, each second.
        await deferToThread(
            self.client.until, lambda: self.client.ask("PUT", f"/uri/{home}/new", new)
        )
        for name, data in (("kept", kept), ("new", new)):
            self.assertEqual(await self.ask("GET", f"/uri/{home}/{name}"), data)

        # Who never comes back is forgotten in the end.
        self.days_pass(DURATION / DAY + DAYS + 1)
        self.assertFalse(self.server.index)
