"""Builds the wheel of one commit, and collects what a host needs to install it."""

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
_SHORT = 12  # characters of a commit
_TIMEOUT = 900  # s
_LONGEST_OUTPUT = 1500  # characters


class NotReleasable(Exception):
    """This tree cannot be released; the text says why, and what to do."""


@define(frozen=True)
class Source:
    """A commit that may be released, and its git tree."""

    root: Path
    commit: str
    #: Why the commit is released without passed tests, if so.
    untested: str | None

    @property
    def suffix(self) -> str:
        """The local version (PEP 440) that is added to the version."""
        return f"+g{self.commit[:_SHORT]}"


@define(frozen=True)
class Built:
    """A wheel, and the wheels of its dependencies."""

    release: ReleaseId
    wheel: Path
    constraints: Path
    units: dict[str, str]
    #: Empty if the host downloads from PyPI.
    wheels: tuple[Path, ...]
    pip: Path
    #: The Python version and machine that the wheels are for.
    made_for: str


def describe_python() -> str:
    """Describe this Python and machine, as :data:`WHAT_PYTHON` does on a host."""
    return f"{sys.version_info[0]}.{sys.version_info[1]} {platform.machine()}"


#: A program that describes a host's Python, for comparison.
WHAT_PYTHON = (
    "import platform, sys;print('%d.%d' % sys.version_info[:2], platform.machine())"
)


def check(root: Path, untested: str | None) -> Source:
    """Check that the tree may be released; raises :class:`NotReleasable`."""
    root = root.resolve()
    try:
        commit, changed = tested.commit_of(root), tested.changes(root)
    except tested.NotARepository as e:
        raise NotReleasable(f"{root}: {e}; a release is made of a commit") from None
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise NotReleasable(
            f"the tree is not as committed ({changed[0].strip()}{more}):"
            " commit or remove these changes"
        )
    if tested.is_tested(root, commit):
        return Source(root, commit, None)
    if untested is None or not untested.strip():
        raise NotReleasable(
            f"the tests have not passed on {commit[:_SHORT]}: run make test, or give"
            " a reason with --untested, which is written to the history"
        )
    return Source(root, commit, untested.strip())


def name_release(source: Source) -> ReleaseId:
    """Work out the release's name, before anything is built."""
    setup = tested.git(source.root, "show", f"{source.commit}:setup.py")
    match = re.search(r'version="([^"]+)"', setup)
    if match is None:
        raise NotReleasable("setup.py names no version")
    return ReleaseId(match[1] + source.suffix)


def build(source: Source, *, ship: bool) -> Built:
    """Build from the committed files alone.

    With *ship*, the result has the wheels of all dependencies at the pinned versions.
    The wheels are kept under ``build/`` for the next release.
    """
    into = source.root / "build" / "releases" / source.commit[:_SHORT]
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    with _exported(source) as folder:
        wheel = _build_wheel(source, folder, into)
        constraints = into / "constraints.txt"
        shutil.copy(folder / "constraints.txt", constraints)
        units = {
            path.name: path.read_text("utf-8")
            for path in sorted((folder / "config" / "systemd").iterdir())
        }
    house = source.root / "build" / "wheelhouse" / _wheelhouse_name(constraints)
    if not (house / "whole").exists():
        _fill_wheelhouse(house, wheel, constraints)
    (pip,) = house.glob("pip-*.whl")
    return Built(
        ReleaseId(wheel.name.split("-")[1]),
        wheel,
        constraints,
        units,
        tuple(sorted(house.glob("*.whl"))) if ship else (),
        pip,
        describe_python(),
    )


def check_wheel(source: Source) -> None:
    """Build the wheel and leave nothing of it: a dry run refuses where a real run does.

    Raises :class:`NotReleasable`.
    """
    with _exported(source) as folder, tempfile.TemporaryDirectory() as into:
        _build_wheel(source, folder, Path(into))


def _build_wheel(source: Source, folder: Path, into: Path) -> Path:
    when = tested.git(source.root, "log", "-1", "--format=%ct").strip()
    _run(
        [*_pip(), "wheel", "--no-deps", *_isolation(), "-w", str(into), "."],
        folder,
        {"S4_LOCAL_VERSION": source.suffix, "SOURCE_DATE_EPOCH": when},
    )
    (wheel,) = into.glob("s4-*.whl")
    return wheel


@contextmanager
def _exported(source: Source) -> Iterator[Path]:
    """Export the commit's files to a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="s4-release-") as folder:
        packed = subprocess.run(  # noqa: S603  (our own words)
            ["git", "-C", str(source.root), "archive", source.commit],  # noqa: S607  (as on the path)
            check=True,
            capture_output=True,
            timeout=_TIMEOUT,
        )
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
            archive.extractall(folder)  # noqa: S202  (git's own archive of our files)
        yield Path(folder)


def _wheelhouse_name(constraints: Path) -> str:
    """Name the folder of wheels by pins, Python, machine and extras."""
    same = json.dumps([constraints.read_text("utf-8"), describe_python(), EXTRAS])
    return hashlib.sha256(same.encode()).hexdigest()[:_SHORT]


def _fill_wheelhouse(house: Path, wheel: Path, constraints: Path) -> None:
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
    """Build without isolation, and so without PyPI, if what makes wheels is here.

    A virtual environment's own setuptools, before 70.1, makes none without ``wheel``.
    """
    makes_wheels = find_spec("setuptools") and (
        find_spec("setuptools.command.bdist_wheel") or find_spec("wheel")
    )
    return ["--no-build-isolation"] if makes_wheels else []


def _run(argv: list[str], folder: Path, more: dict[str, str]) -> str:
    done = subprocess.run(  # noqa: S603  (our own words)
        argv,
        check=False,
        cwd=folder,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip()[-_LONGEST_OUTPUT:]
        raise NotReleasable(f"the wheel could not be built:\n{last}")
    return done.stdout
