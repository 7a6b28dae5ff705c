"""A finder on ``sys.meta_path`` that translates txAWS while it is imported.

The one idea: a translated module has a *virtual* file name that does not exist on
disk, ``client/base.py3-<key>.py``.  From it follow, with no further code, bytecode of
its own (neither what pip compiled from the untranslated source nor what a former
version of this package made is ever loaded), and tracebacks, pdb and ``inspect`` that
show the translated text, since they ask the loader where the file is missing.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import linecache
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from lae_provision.txaws3.overrides import OVERRIDES, Table

PACKAGE = "txaws"
VERSION = "0.5.0"


def cache_key(table: Table) -> str:
    """Another one for each version of this package, of fissix and of the overrides."""
    hashed = hashlib.sha256(importlib.metadata.version("fissix").encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        hashed.update(path.read_bytes())
    hashed.update(repr(sorted(table.items())).encode())
    return hashed.hexdigest()[:12]


class TranslatingLoader(SourceFileLoader):
    """Loads one module from its real file, under the virtual name."""

    def __init__(self, name: str, real: str, key: str, table: Table) -> None:
        super().__init__(name, f"{real.removesuffix('.py')}.py3-{key}.py")
        self._real, self._table = real, table

    def path_stats(self, path: str) -> dict[str, Any]:  # noqa: ARG002  (one file)
        """The real file's time, and no size: the bytecode records the translation's."""
        return {"mtime": super().path_stats(self._real)["mtime"], "size": None}

    def get_data(self, path: str) -> bytes:
        """The translated source, or the bytecode file as it is."""
        if path != self.path:
            return super().get_data(path)
        # Imported here, because fissix is slow and needed on a cache miss only.
        from lae_provision.txaws3.translate import translate  # noqa: PLC0415

        source = super().get_data(self._real).decode("utf-8")
        return translate(self.name, source, self._table).encode("utf-8")

    def exec_module(self, module: ModuleType) -> None:
        """Run it, and tell linecache for those who print tracebacks without globals
        (Twisted's Failure).
        """
        linecache.lazycache(self.path, vars(module))
        super().exec_module(module)


class TranslatingFinder(MetaPathFinder):
    """Finds txAWS' modules; packages themselves need no translation."""

    def __init__(self, table: Table) -> None:
        self._table, self._key = table, cache_key(table)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """The spec with our loader; None for what is not txAWS'."""
        if not fullname.startswith(PACKAGE + "."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.submodule_search_locations is not None:
            return spec
        if type(spec.loader) is not SourceFileLoader or spec.origin is None:
            raise ImportError(f"{fullname}: no source to translate ({spec.loader!r})")
        loader = TranslatingLoader(fullname, spec.origin, self._key, self._table)
        return spec_from_file_location(fullname, loader.path, loader=loader)


def install(more: Table | None = None) -> None:
    """Make ``import txaws…`` work from here on; a second call changes nothing.

    *more* are overrides of further modules (txAWS' own tests).  Raises ImportError
    where another release of txAWS is installed, or none.
    """
    found = importlib.metadata.version(PACKAGE)
    if found != VERSION:
        raise ImportError(f"{PACKAGE} {VERSION} is needed, {found} is installed")
    if not any(isinstance(finder, TranslatingFinder) for finder in sys.meta_path):
        # First, because pytest's own finder asks for paths alone.
        sys.meta_path.insert(0, TranslatingFinder({**OVERRIDES, **(more or {})}))
