"""Which program the host runs is decided by root: the node passes the daemon's wish on,
and tells what came of it.

===========================  =========================================================
``program/wanted.json``      the wish, in the state folder
``program/proved``           the self-test of this start has passed; root removes it
                             before it starts another program
``/etc/s4/program.json``     root's: what runs, and why another does not
===========================  =========================================================
"""

from __future__ import annotations

from pathlib import Path

from attrs import define
from twisted.logger import Logger

from lae_protocol import wire
from lae_protocol.host_messages import Desired, ProgramTrouble
from lae_storage.agent.volume import make_private_folder, write_private

_log = Logger()


@define(frozen=True)
class Wish:
    """As :class:`~lae_protocol.host_messages.Desired` has it."""

    program: str = ""
    floor: int = 0


@define(frozen=True)
class RunningProgram:
    """As :class:`~lae_protocol.host_messages.Report` tells it.

    All is empty where no root judges wishes.
    """

    program: str = ""
    release: int = 0
    trouble: ProgramTrouble = ""
    refused: str = ""


@define(frozen=True)
class ProgramFiles:
    """The node's end of it: *told* is root's file, *folder* the node's own."""

    told: Path
    folder: Path

    def outcome(self) -> RunningProgram:
        """Read what root has told last."""
        try:
            data = self.told.read_bytes()
        except FileNotFoundError:
            return RunningProgram()
        try:
            found: RunningProgram = wire.decode(RunningProgram, data)
        except wire.MalformedMessage as e:
            _log.warn("program.json cannot be read: {why}", why=str(e))
            return RunningProgram()
        return found

    def wish(self, desired: Desired) -> None:
        """Write the wish, if it is another than before."""
        path = self.folder / "wanted.json"
        wished = wire.encode(Wish(desired.program, desired.floor))
        before = path.read_bytes() if path.exists() else wire.encode(Wish())
        if wished != before:
            make_private_folder(self.folder)
            write_private(path, wished.decode("utf-8"))

    def prove(self) -> None:
        """Say that the self-test has passed."""
        make_private_folder(self.folder)
        write_private(self.folder / "proved", "")
