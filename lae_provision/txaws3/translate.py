"""Python 2 source to Python 3 source; needed where the bytecode cache has nothing."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from typing import Any

from lae_provision.txaws3.overrides import EVERYWHERE, Table

#: The fixers that change something in the modules we use and in their tests.
FIXERS = ("dict", "except", "imports", "numliterals", "tuple_params", "unicode")


@cache
def _tool() -> Any:
    # fissix makes a folder for its grammars when it is imported, in the home of a
    # user who may have none: it gets a temporary one.
    kept = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory(prefix="fissix-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        try:
            from fissix.refactor import RefactoringTool  # noqa: PLC0415

            return RefactoringTool([f"fissix.fixes.fix_{name}" for name in FIXERS])
        finally:
            if kept is None:
                del os.environ["XDG_CACHE_HOME"]
            else:
                os.environ["XDG_CACHE_HOME"] = kept


def translate(name: str, source: str, table: Table) -> str:
    """The module *name* in Python 3; raises ImportError where an override misses."""
    for override in table.get(name, ()):
        source, count = override.apply(source)
        if override.times and count != override.times:
            raise ImportError(
                f"{name}: {override.old!r} occurs {count} times, not {override.times}"
            )
    for override in EVERYWHERE:
        source, _ = override.apply(source)
    return str(_tool().refactor_string(source.rstrip("\n") + "\n", name))
