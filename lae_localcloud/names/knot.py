"""Knot (of Debian) as a child process: an authoritative name server.

It needs no right on a high port of loopback.  Started with a *prefix* of words it runs
elsewhere, such as in the network namespace of a cloud whose resolvers ask port 53.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.logger import Logger

from lae_localcloud.child import Child, Program
from lae_localcloud.names.zone import Zone, write_zone

#: Until it answers, on a machine that is busy.
PATIENCE = 60.0  # s
BETWEEN_LOOKS = 0.05  # s
#: Debian puts it where only root's PATH leads.
_PLACES = ("/usr/sbin", "/usr/local/sbin")


class KnotFailed(Exception):
    """The name server does not do what it is told; its log says why."""


@define(frozen=True)
class Place:
    """Where it listens (UDP and TCP), and the words that it is started with."""

    address: str = "127.0.0.1"
    port: int = 0
    prefix: Sequence[str] = ()


def find_program(name: str) -> str | None:
    """Find a program of Knot's: beside our Python, or installed; None without."""
    beside = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    return shutil.which(name, path=os.pathsep.join((beside, path, *_PLACES)))


class Knot:
    """The server and its zones.  *folder* is its own."""

    _log = Logger()

    def __init__(self, reactor: Any, folder: Path, place: Place) -> None:
        self._reactor, self._folder, self.place = reactor, folder, place
        self._child: Child | None = None
        self._exit: str | None = None
        self._stopping = False
        self._serial = 0
        self._known: set[str] = set()
        # One change after the other: a file is read as a whole.
        self._turn = DeferredLock()

    async def start(self) -> None:
        """Run it, and wait until it answers; raises :class:`KnotFailed`."""
        server = find_program("knotd")
        if server is None or find_program("knotc") is None:
            raise KnotFailed("knotd and knotc are missing: Debian has them in `knot`")
        for folder in ("run", "db", "zones"):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        # After a kill -9 it would take another process of that number for itself.
        (self._folder / "run" / "knot.pid").unlink(missing_ok=True)
        self._write_configuration()
        program = Program(
            argv=(*self.place.prefix, server, "-c", str(self._configuration)),
            env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd=self._folder,
            log=self._folder / "knot.log",
            death_signal=signal.SIGKILL,
        )
        self._child = Child(self._reactor, program, self._ended)
        self._child.start()
        give_up = self._reactor.seconds() + PATIENCE
        while not await self._answers():
            if self._exit is not None or self._reactor.seconds() > give_up:
                await self._child.stop(0)
                raise KnotFailed(f"{self._exit or 'no answer'}: see {program.log}")
            await deferLater(self._reactor, BETWEEN_LOOKS)

    async def stop(self) -> None:
        """Kill it: what it keeps is forgotten anyway."""
        self._stopping = True
        if self._child is not None:
            await self._child.stop(0)

    def freeze(self) -> None:
        """Let it answer late: what is asked waits until :meth:`thaw`."""
        if self._child is not None:
            self._child.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again, first what was asked meanwhile."""
        if self._child is not None:
            self._child.signal(signal.SIGCONT)

    def serve(self, zone: Zone) -> Deferred[None]:
        """Serve the zone as it is here, whole, in place of what it was.

        Fails with :class:`~lae_localcloud.names.zone.NotServed` and
        :class:`KnotFailed`; then it is served as before.
        """
        return self._turn.run(Deferred.fromCoroutine, self._serve(zone))

    async def _serve(self, zone: Zone) -> None:
        self._serial += 1
        text = write_zone(zone, self._serial)
        file = self._zone_file(zone.name)
        fresh = file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(file)
        if zone.name in self._known:
            await self._control("-b", "zone-reload", zone.name)
            return
        self._known.add(zone.name)
        self._write_configuration()
        await self._control("reload")
        await self._control("-b", "zone-reload", zone.name)

    async def _control(self, *words: str) -> None:
        said, code = await self._ask(*words)
        if code:
            raise KnotFailed(f"knotc {' '.join(words)}: {said}")

    async def _answers(self) -> bool:
        if not (self._folder / "run" / "knot.sock").exists():
            return False
        _, code = await self._ask("status")
        return code == 0

    async def _ask(self, *words: str) -> tuple[str, int]:
        told = find_program("knotc")
        assert told is not None
        socket = str(self._folder / "run" / "knot.sock")
        out, err, code = await getProcessOutputAndValue(  # type: ignore[no-untyped-call]
            told, ["-s", socket, *words], env={}, reactor=self._reactor
        )
        return (out + err).decode("utf-8", "replace").strip(), code

    @property
    def _configuration(self) -> Path:
        return self._folder / "knot.conf"

    def _zone_file(self, name: str) -> Path:
        return self._folder / "zones" / f"{name}zone"

    def _write_configuration(self) -> None:
        folder, place = self._folder, self.place
        lines = [
            "server:",
            f'  rundir: "{folder}/run"',
            f"  listen: {place.address}@{place.port}",
            "control:",
            f'  listen: "{folder}/run/knot.sock"',
            "log:",
            "  - target: stderr",
            "    any: notice",
            "database:",
            f'  storage: "{folder}/db"',
            "template:",
            "  - id: default",
            f'    storage: "{folder}/zones"',
            # The file alone says what is served, whatever was before.
            "    zonefile-sync: -1",
            "    zonefile-load: whole",
            "    journal-content: none",
        ]
        if self._known:
            lines.append("zone:")
        for name in sorted(self._known):
            lines += [f"  - domain: {name}", f'    file: "{name}zone"']
        self._configuration.write_text("\n".join(lines) + "\n")

    def _ended(self, how: str) -> None:
        self._exit = how
        if not self._stopping:
            self._log.error("the name server {how}", how=how)
