"""Programs that instances of the process level may change to, by their digests.

A program is a file of JSON: its release and its command, as the unit's ``ExecStart``
has it.  It is named by its digest, as an image is, so what was changed is another's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define

#: Stands where a registry and a repository stand in an image's name.
REPOSITORY = "local.s4/node"
#: Of what an instance was launched with.
FIRST_RELEASE = 1


class NoProgram(Exception):
    """There is none of this digest: one that is missing, or that was changed."""


@define(frozen=True)
class BootProgram:
    """What runs in an instance."""

    release: int
    command: tuple[str, ...]

    def as_bytes(self) -> bytes:
        """What its digest is of."""
        told = {"release": self.release, "command": list(self.command)}
        return json.dumps(told, sort_keys=True).encode()

    @property
    def reference(self) -> str:
        """Its name."""
        digest = hashlib.sha256(self.as_bytes()).hexdigest()
        return f"{REPOSITORY}@sha256:{digest}"


@define(frozen=True)
class Programs:
    """All that were published."""

    folder: Path

    def publish(self, release: int, command: Sequence[str]) -> str:
        """Keep it; its reference."""
        program = BootProgram(release, tuple(command))
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file(program.reference).write_bytes(program.as_bytes())
        return program.reference

    def find(self, reference: str) -> BootProgram:
        """Read it; raises :class:`NoProgram`, and ValueError where it was changed."""
        try:
            data = self._file(reference).read_bytes()
        except OSError as e:
            raise NoProgram(reference) from e
        told: Any = json.loads(data)
        program = BootProgram(told["release"], tuple(told["command"]))
        if program.reference != reference:
            raise ValueError(f"not what {reference} is the digest of")
        return program

    def _file(self, reference: str) -> Path:
        return self.folder / f"{reference.rpartition(':')[2]}.json"
