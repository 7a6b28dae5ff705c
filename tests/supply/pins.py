"""What stands in ``constraints.txt`` and ``requirements/``, read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import define
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@define(frozen=True)
class Pinned:
    """One package of a file, and the hashes that pip takes it with."""

    requirement: Requirement
    hashes: frozenset[str]

    @property
    def name(self) -> str:
        """The package's name, in the one spelling that can be compared."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The one version; raises ValueError if there could be another."""
        (one,) = self.requirement.specifier
        if one.operator != "==":
            raise ValueError(f"{self.requirement} is no pin")
        return one.version

    def is_for(self, environment: Mapping[str, str]) -> bool:
        """Whether such a Python on such a machine gets the package."""
        marker = self.requirement.marker
        return marker is None or marker.evaluate(dict(environment))


def read_pins(path: Path) -> list[Pinned]:
    """Read a file that ``make lock`` wrote."""
    joined = path.read_text("utf-8").replace("\\\n", " ")
    pins = []
    for line in joined.splitlines():
        words, _, _why = line.partition("#")
        what, *hashes = words.split(" --hash=")
        if what.strip():
            found = frozenset(one.strip() for one in hashes)
            pins.append(Pinned(Requirement(what), found))
    return pins
