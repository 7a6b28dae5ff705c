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
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from attrs import define

from lae_provision.deploy import tested
from lae_provision.deploy.intent import ReleaseId

_SHORT = 12  # characters of a commit
_TIMEOUT = 900  # s
_LONGEST_OUTPUT = 1500  # characters
#: What is built from the same source is the same: no times, and no names of folders,
#: which debuggers would want.
_REPRODUCIBLE = {"SOURCE_DATE_EPOCH": "1577836800", "CFLAGS": "-g0"}


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
    #: Each dependency with the hash of its wheel.
    requirements: str
    units: dict[str, str]
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


def count_commits(source: Source) -> int:
    """How many commits lead to this one: the next one has a larger number.

    Raises :class:`NotReleasable` where git has only the last commits.
    """
    if (
        tested.git(source.root, "rev-parse", "--is-shallow-repository").strip()
        == "true"
    ):
        raise NotReleasable(
            "this clone has only the last commits, and a release's number counts all:"
            " run git fetch --unshallow, or give the number (--release)"
        )
    return int(tested.git(source.root, "rev-list", "--count", source.commit))


def build(source: Source) -> Built:
    """Build from the committed files alone.

    The result has the wheels of all dependencies, made of files whose hashes the
    commit names; a wheel that was built here has a hash of its own, so the result
    names the hashes of the wheels themselves.  The wheels are kept under ``build/``
    for the next release, or image, and checked again for it.
    """
    into = source.root / "build" / "releases" / source.commit[:_SHORT]
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    with exported(source) as folder:
        wheel = build_wheel(folder, source.suffix, committed_at(source), into)
        pins, builds = read_pins(folder, "release")
        units = {
            path.name: path.read_text("utf-8")
            for path in sorted((folder / "config" / "systemd").iterdir())
        }
    wheels, pip = gather_wheels(source.root / "build" / "wheelhouse", pins, builds)
    return Built(
        ReleaseId(wheel.name.split("-")[1]),
        wheel,
        "".join(map(require_wheel, wheels)),
        units,
        wheels,
        pip,
        describe_python(),
    )


def check_wheel(source: Source) -> None:
    """Build the wheel and leave nothing of it: a dry run refuses where a real run does.

    Raises :class:`NotReleasable`.
    """
    with exported(source) as folder, tempfile.TemporaryDirectory() as into:
        build_wheel(folder, source.suffix, committed_at(source), Path(into))


def committed_at(source: Source) -> int:
    """When the commit was made, in seconds."""
    return int(tested.git(source.root, "log", "-1", "--format=%ct"))


def build_wheel(folder: Path, suffix: str, when: int, into: Path) -> Path:
    """Make our wheel of the files in *folder*, which is not ours to keep."""
    _run(
        [*_pip(), "wheel", "--no-deps", *_isolation(), "-w", str(into), "."],
        folder,
        {"S4_LOCAL_VERSION": suffix, "SOURCE_DATE_EPOCH": str(when)},
    )
    (wheel,) = into.glob("s4-*.whl")
    return wheel


def read_pins(folder: Path, name: str) -> tuple[str, str]:
    """What an environment has, and what builds it, each with its hashes."""
    told = (folder / "requirements" / f"{file}.txt" for file in (name, "build"))
    pins, builds = (path.read_text("utf-8") for path in told)
    return pins, builds


def gather_wheels(kept: Path, pins: str, builds: str) -> tuple[tuple[Path, ...], Path]:
    """The wheels of *pins*, and pip's; in a folder of *kept* for the next time."""
    house = kept / _wheelhouse_name(pins + builds)
    if not (house / "whole").exists():
        _fill_wheelhouse(house, pins, builds)
    wheels = _check_wheelhouse(house)
    (pip,) = (house / "build").glob("pip-*.whl")
    return wheels, pip


@contextmanager
def exported(source: Source) -> Iterator[Path]:
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


def require_wheel(wheel: Path) -> str:
    """A line that has pip install this wheel, and no file that differs from it."""
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{digest_of(wheel)}\n"


def digest_of(file: Path) -> str:
    """The SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _wheelhouse_name(pins: str) -> str:
    """Name the folder of wheels by pins, Python and machine."""
    same = json.dumps([pins, describe_python(), _REPRODUCIBLE])
    return hashlib.sha256(same.encode()).hexdigest()[:_SHORT]


def _fill_wheelhouse(house: Path, pins: str, builds: str) -> None:
    """Download what has the hashes of the commit, and build what has no wheel.

    pip's own build environments check no hashes, so the packages that build are
    installed into a folder first, with theirs.
    """
    shutil.rmtree(house, ignore_errors=True)
    (house / "build").mkdir(parents=True)
    required, building = house / "requirements.txt", house / "build.txt"
    required.write_text(pins, "utf-8")
    building.write_text(builds, "utf-8")
    hashed = ("--no-deps", "--require-hashes", "-r")
    with tempfile.TemporaryDirectory(prefix="s4-build-") as tools:
        wheels_only = ("--only-binary=:all:", *hashed, str(building))
        _run([*_pip(), "wheel", "-w", str(house / "build"), *wheels_only], house, {})
        offline = ("--no-index", "--find-links", str(house / "build"))
        _run(
            [*_pip(), "install", "--target", tools, *offline, *hashed, str(building)],
            house,
            {},
        )
        _run(
            [
                *(*_pip(), "wheel", "-w", str(house), "--no-build-isolation"),
                *(*hashed, str(required)),
            ],
            house,
            {"PYTHONPATH": tools, **_REPRODUCIBLE},
        )
    (house / "whole").write_text(_sum_up(house), "utf-8")


def _sum_up(house: Path) -> str:
    return "".join(map(require_wheel, sorted(house.rglob("*.whl"))))


def _check_wheelhouse(house: Path) -> tuple[Path, ...]:
    """The wheels, if they are as they were made."""
    made, now = (house / "whole").read_text("utf-8"), _sum_up(house)
    for line in {*made.splitlines()} ^ {*now.splitlines()}:
        raise NotReleasable(
            f"{line.split()[0]} is not as it was downloaded or built: remove {house}"
        )
    return tuple(sorted(house.glob("*.whl")))


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
