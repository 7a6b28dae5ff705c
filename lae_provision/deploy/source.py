"""The wheel of one commit, and everything that a host needs to install it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from attrs import define

from lae_provision.deploy import tested
from lae_provision.deploy.intent import ReleaseId

EXTRAS = "site,daemon"
_SHORT = 12
_SECONDS = 900
_WORDS = 1500


class NotReleasable(Exception):
    """This tree cannot become a release; the text says why, and what to do."""


@define(frozen=True)
class Source:
    """A commit that may be released, and where it is."""

    root: Path
    commit: str
    #: Why it is released although no tests passed on it.
    untested: str | None

    @property
    def suffix(self) -> str:
        """What is added to the version (PEP 440: a local version)."""
        return f"+g{self.commit[:_SHORT]}"


@define(frozen=True)
class Built:
    """A wheel, and beside it the wheels of all that it needs."""

    release: ReleaseId
    wheel: Path
    constraints: Path
    units: dict[str, str]
    #: Empty where the host shall ask PyPI; else with pip's own wheel.
    wheels: tuple[Path, ...]
    pip: Path
    #: For which Python and machine the wheels are.
    made_for: str


def made_for() -> str:
    """This Python and machine, as :data:`WHAT_PYTHON` prints a host's."""
    return f"{sys.version_info[0]}.{sys.version_info[1]} {platform.machine()}"


#: What a host's python3 is asked, to compare.
WHAT_PYTHON = (
    "import platform, sys;print('%d.%d' % sys.version_info[:2], platform.machine())"
)


def look(root: Path, untested: str | None) -> Source:
    """Whether the tree may be released; raises :class:`NotReleasable`."""
    root = root.resolve()
    try:
        commit, changed = tested.commit_of(root), tested.changes(root)
    except tested.NotARepository as e:
        raise NotReleasable(f"{root}: {e}; a release is made of a commit") from None
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise NotReleasable(
            f"the tree is not as committed ({changed[0].strip()}{more}):"
            " commit or remove that"
        )
    if tested.is_tested(root, commit):
        return Source(root, commit, None)
    if untested is None or not untested.strip():
        raise NotReleasable(
            f"the tests have not passed on {commit[:_SHORT]}: run make test, or give"
            " a reason with --untested, which the history keeps"
        )
    return Source(root, commit, untested.strip())


def release_of(source: Source) -> ReleaseId:
    """The name of the release, before anything is built."""
    setup = tested.git(source.root, "show", f"{source.commit}:setup.py")
    match = re.search(r'version="([^"]+)"', setup)
    if match is None:
        raise NotReleasable("setup.py names no version")
    return ReleaseId(match[1] + source.suffix)


def build(source: Source, *, ship: bool) -> Built:
    """Build from what is committed, not from what lies about.

    With *ship* the wheels of all dependencies come along, at the pinned versions;
    they are kept under ``build/`` for the next release.
    """
    into = source.root / "build" / "releases" / source.commit[:_SHORT]
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    with _exported(source) as folder:
        when = tested.git(source.root, "log", "-1", "--format=%ct").strip()
        _run(
            [*_pip(), "wheel", "--no-deps", *_isolation(), "-w", str(into), "."],
            folder,
            {"S4_LOCAL_VERSION": source.suffix, "SOURCE_DATE_EPOCH": when},
        )
        (wheel,) = into.glob("s4-*.whl")
        constraints = into / "constraints.txt"
        shutil.copy(folder / "constraints.txt", constraints)
        units = {
            path.name: path.read_text("utf-8")
            for path in sorted((folder / "config" / "systemd").iterdir())
        }
    house = source.root / "build" / "wheelhouse" / _house(constraints)
    if not (house / "whole").exists():
        _fill(house, wheel, constraints)
    (pip,) = house.glob("pip-*.whl")
    return Built(
        ReleaseId(wheel.name.split("-")[1]),
        wheel,
        constraints,
        units,
        tuple(sorted(house.glob("*.whl"))) if ship else (),
        pip,
        made_for(),
    )


@contextmanager
def _exported(source: Source) -> Iterator[Path]:
    """The commit's files, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="s4-release-") as folder:
        packed = subprocess.run(  # noqa: S603  (our own words)
            ["git", "-C", str(source.root), "archive", source.commit],  # noqa: S607  (as on the path)
            check=True,
            capture_output=True,
            timeout=_SECONDS,
        )
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
            archive.extractall(folder)  # noqa: S202  (git's own archive of our files)
        yield Path(folder)


def _house(constraints: Path) -> str:
    """Wheels are the same for the same pins, Python, machine and extras."""
    same = json.dumps([constraints.read_text("utf-8"), made_for(), EXTRAS])
    return hashlib.sha256(same.encode()).hexdigest()[:_SHORT]


def _fill(house: Path, wheel: Path, constraints: Path) -> None:
    shutil.rmtree(house, ignore_errors=True)
    house.mkdir(parents=True)
    pinned = {"PIP_BUILD_CONSTRAINT": str(constraints)}
    _run(
        [
            *(*_pip(), "wheel", "-w", str(house), "-c", str(constraints)),
            *(f"pip=={version('pip')}", f"{wheel}[{EXTRAS}]"),
        ],
        house,
        pinned,
    )
    for ours in house.glob("s4-*.whl"):
        ours.unlink()
    (house / "whole").touch()


def _pip() -> list[str]:
    return [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]


def _isolation() -> list[str]:
    """The environment of the tests has setuptools, and so needs no PyPI for it."""
    return ["--no-build-isolation"] if find_spec("setuptools") else []


def _run(argv: list[str], folder: Path, more: dict[str, str]) -> str:
    done = subprocess.run(  # noqa: S603  (our own words)
        argv,
        check=False,
        cwd=folder,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip()[-_WORDS:]
        raise NotReleasable(f"the wheel could not be built:\n{last}")
    return done.stdout
