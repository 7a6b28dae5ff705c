"""What is known of the mutants: what came of each so far, and which are explained."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@define(frozen=True)
class Mutant:
    """One mistake: the line, what was there, what is there now, and the whole source."""

    module: str
    line: int
    was: str
    becomes: str
    source: str

    @property
    def name(self) -> str:
        """Say the mistake on one line, which stays the same wherever that line is."""
        return f"{self.module}: {self.was} ==> {self.becomes}"


def modules() -> dict[str, list[str]]:
    """Tell the modules that decide, each with the tests that must notice."""
    with (HERE / "modules.toml").open("rb") as opened:
        return tomllib.load(opened)["modules"]


def explained() -> dict[str, str]:
    """Tell why a mutant is no mistake, by its name."""
    told = {}
    for line in (HERE / "explained.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, why = line.partition(" because ")
            told[name] = why
    return told


def digest_of(tests: Sequence[str]) -> str:
    """Tell one state of these tests from another; files beside them count, too."""
    files = {f for t in tests for f in _files(ROOT / t.partition("::")[0])}
    text = b"".join(file.read_bytes() for file in sorted(files))
    return hashlib.sha256(text).hexdigest()


def _files(place: Path) -> Iterator[Path]:
    yield from place.rglob("*.py") if place.is_dir() else [place]


@define
class Kept:
    """A file of outcomes, one line each, that later runs go on from."""

    path: Path
    _known: dict[str, tuple[str, str]] = field(factory=dict)

    @classmethod
    def open(cls, path: Path) -> Kept:
        """Read what there is."""
        kept = cls(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                mutant, tests, outcome, _ = json.loads(line)
                kept._known[mutant] = (tests, outcome)
        return kept

    def find(self, mutant: Mutant, tests: str) -> str | None:
        """Tell what came of it; what survived other tests is tried again."""
        before, outcome = self._known.get(_key(mutant), ("", ""))
        return (
            outcome if outcome and (outcome != "survived" or before == tests) else None
        )

    def add(self, mutant: Mutant, tests: str, outcome: str) -> None:
        """Keep an outcome."""
        self._known[_key(mutant)] = (tests, outcome)
        with self.path.open("a", encoding="utf-8") as opened:
            row = [_key(mutant), tests, outcome, mutant.name]
            opened.write(json.dumps(row) + "\n")


def _key(mutant: Mutant) -> str:
    return hashlib.sha256(f"{mutant.module}\n{mutant.source}".encode()).hexdigest()


@define
class Tally:
    """How a module's tests did."""

    module: str
    killed: int = 0
    explained: int = 0
    untried: int = 0
    survivors: list[Mutant] = field(factory=list)

    def count(self, mutant: Mutant, outcome: str | None, *, known: bool) -> None:
        """Count one mutant; *known*: it was explained."""
        if outcome is None:
            self.untried += 1
        elif outcome != "survived":
            self.killed += 1
        elif known:
            self.explained += 1
        else:
            self.survivors.append(mutant)


def percent(tallies: Sequence[Tally]) -> float:
    """How many of the mutants that were tried, but for those explained, were noticed."""
    killed = sum(t.killed for t in tallies)
    tried = killed + sum(len(t.survivors) for t in tallies)
    return 100.0 * killed / tried if tried else 100.0
