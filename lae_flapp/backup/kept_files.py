"""Which files the journal cannot give back: read for :mod:`.keepsakes`.

What is issued anew after a loss is not among them: Stripe's keys, the mail server's
password, AWS' keys.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import evolve, fields, has

from lae_flapp.backup.keepsakes import KeptFile
from lae_flapp.journal.copies import KEPT_FOR_LIFE
from lae_flapp.settings import DaemonSettings
from lae_protocol.process.key_folder import KeyFolder
from lae_protocol.process.settings import SecretSource


def kept_files(settings: DaemonSettings, file: Path) -> tuple[KeptFile, ...]:
    """Read them: the settings' own *file*, what it names, the sealing keys, and the
    daemon's certificates and furls.

    One that is missing is left out: the daemon says elsewhere what it lacks.  Raises
    OSError for one that cannot be read.
    """
    named = {file, *_named(settings)}
    named |= {settings.state / name for name in KEPT_FOR_LIFE}
    return tuple(_read(path) for path in sorted(named) if path.is_file())


def _named(settings: DaemonSettings) -> Iterator[Path]:
    # The folder has what is listed by name; Stripe's keys are issued anew.
    at_hand = evolve(settings, state=Path())
    for name, value in _values(at_hand):
        if name != "stripe":
            yield from _paths(value)


def _values(settings: Any) -> Iterator[tuple[str, Any]]:
    for one in fields(type(settings)):
        yield one.name, getattr(settings, one.name)


def _paths(value: Any) -> Iterator[Path]:
    match value:
        case Path():
            yield value
        case SecretSource():
            return
        case KeyFolder(folder=folder):
            if folder.is_dir():
                yield from folder.iterdir()
        case tuple():
            for one in value:
                yield from _paths(one)
        case _ if has(type(value)):
            for _, one in _values(value):
                yield from _paths(one)
        case _:
            return


def _read(path: Path) -> KeptFile:
    mode = stat.S_IMODE(path.stat().st_mode)
    return KeptFile(path.absolute(), mode, path.read_bytes())
