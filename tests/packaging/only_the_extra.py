"""Import all of some packages with nothing visible but what an extra of S4 asks for.

Started by test_extras in an environment with S4's wheel and everybody's dependencies:

    only_the_extra.py EXTRA PACKAGE...
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def closure(name: str, extras: frozenset[str], seen: set[tuple[str, str]]) -> set[str]:
    """The distributions that one needs, itself among them."""
    found = {canonicalize_name(name)}
    for extra in extras or {""}:
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in requires(name) or ():
            wanted = Requirement(line)
            if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
                continue
            try:
                found |= closure(wanted.name, frozenset(wanted.extras | {""}), seen)
            except PackageNotFoundError:
                found.add(f"(not installed) {wanted.name}")
    return found


class Hidden:
    """Finds nothing of what is not in the closure, as if it were not installed."""

    def __init__(self, allowed: set[str]) -> None:
        self.hidden = {
            module
            for module, names in packages_distributions().items()
            if not any(canonicalize_name(n) in allowed for n in names)
        }

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Refuse a hidden module; leave the others to Python."""
        if name.split(".", maxsplit=1)[0] in self.hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def modules(package: str) -> Iterator[str]:
    """All modules of a package, but of the local cloud and the tests' own."""
    yield package
    found = importlib.import_module(package)
    for entry in pkgutil.iter_modules(found.__path__, f"{package}."):
        if entry.name.endswith("migrations.env"):
            continue
        if entry.ispkg:
            yield from modules(entry.name)
        else:
            yield entry.name


def main(extra: str, *packages: str) -> None:
    """Print the closure, and import all or fail."""
    needed = closure("s4", frozenset({"", extra}), set())
    sys.meta_path.insert(0, Hidden(needed))
    for package in packages:
        for module in modules(package):
            importlib.import_module(module)
    sys.stdout.write("\n".join(sorted(needed)))


if __name__ == "__main__":
    main(*sys.argv[1:])
