"""Compiles an image's Python code, once: ``compile_all.py FOLDERS [MODULE…]``.

Standard library only, run by the image's own Python in the image's own files.  The
image is read-only, so that what is not compiled here would be compiled at each start.
No bytecode holds a time: Python takes all of it without looking at its source.

1. compile what is not yet below FOLDERS (``:`` between them); txAWS is Python 2
2. import the modules: an import that fails ends the build; the import hook of txAWS
   translates and compiles
3. where our services are: list Twisted's plugins, which writes their cache, and write
   that in one order
"""

from __future__ import annotations

import importlib
import pickle
import py_compile
import sys
import sysconfig
from importlib.util import cache_from_source
from pathlib import Path
from py_compile import PycInvalidationMode as _Mode

_UNCHECKED = (1).to_bytes(4, "little")
_HEADER = 16  # bytes: magic, flags, and either time and size or a hash


def main(folders: list[Path], modules: list[str]) -> None:
    """Do the three."""
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            if "/txaws/" not in str(file) and not _is_compiled(file):
                py_compile.compile(
                    str(file), doraise=True, invalidation_mode=_Mode.UNCHECKED_HASH
                )
    for module in modules:
        importlib.import_module(module)
    if any(module.startswith("lae_") for module in modules):
        _list_plugins()
    for folder in folders:
        for file in sorted(folder.rglob("*.pyc")):
            _leave_time_out(file)


def _is_compiled(file: Path) -> bool:
    return Path(cache_from_source(str(file))).exists()


def _leave_time_out(file: Path) -> None:
    """What an import wrote has the time of its source."""
    data = file.read_bytes()
    if data[4:8] != _UNCHECKED:
        file.write_bytes(data[:4] + _UNCHECKED + bytes(8) + data[_HEADER:])


def _list_plugins() -> None:
    plugin = importlib.import_module("twisted.plugin")
    service = importlib.import_module("twisted.application.service")
    found = list(plugin.getPlugins(service.IServiceMaker))
    if not [p for p in found if p.module.startswith("lae_")]:
        raise SystemExit("twistd does not find our services")
    site = Path(sysconfig.get_path("purelib"))
    for file in sorted(site.rglob("dropin.cache")):
        cached = pickle.loads(file.read_bytes())  # noqa: S301  (just written)
        file.write_bytes(pickle.dumps(dict(sorted(cached.items())), 4))


if __name__ == "__main__":
    main([Path(one) for one in sys.argv[1].split(":")], sys.argv[2:])
