"""The commit on which the tests passed: ``make test`` writes it, a release reads it.

The stamp is a file under ``build/``, which git ignores.  It is written only if the tree
was that commit, unchanged, from the first test to the last.

    python -m lae_provision.deploy.tested begin|passed
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_GIT_TIMEOUT = 60  # s
_BEGUN, _PASSED = "build/tests-began-on", "build/tests-passed-on"


class NotARepository(Exception):
    """There is no git repository, or no git."""


def git(root: Path, *arguments: str) -> str:
    """Run git; raises :class:`NotARepository`."""
    try:
        done = subprocess.run(  # noqa: S603  (our own words)
            ["git", "-C", str(root), *arguments],  # noqa: S607  (as on the path)
            check=True,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT,
        )
    except FileNotFoundError:
        raise NotARepository("git is not installed") from None
    except subprocess.CalledProcessError as e:
        raise NotARepository(f"git {arguments[0]}: {e.stderr.strip()}") from None
    return done.stdout


def commit_of(root: Path) -> str:
    """Find the commit that is checked out."""
    return git(root, "rev-parse", "HEAD").strip()


def changes(root: Path) -> list[str]:
    """List the files that differ from the commit, and those unknown to git."""
    return git(root, "status", "--porcelain").splitlines()


def begin(root: Path) -> None:
    """Note the commit on which the tests begin."""
    _remove(root / _BEGUN)
    if not changes(root):
        _write(root / _BEGUN, commit_of(root))


def passed(root: Path) -> str | None:
    """Stamp the commit on which all tests passed, and return it; None if changed."""
    begun, now = read(root / _BEGUN), commit_of(root)
    _remove(root / _BEGUN)
    if begun != now or changes(root):
        return None
    _write(root / _PASSED, now)
    return now


def is_tested(root: Path, commit: str) -> bool:
    """Whether ``make test`` passed on this commit in this tree."""
    return read(root / _PASSED) == commit


def read(path: Path) -> str | None:
    """Read a stamp."""
    return path.read_text("ascii").strip() if path.exists() else None


def _write(path: Path, commit: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(commit + "\n", "ascii")


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def main(what: str) -> None:
    """Run *what* for the Makefile; outside a repository there is nothing to do."""
    root = Path.cwd()
    try:
        if what == "begin":
            begin(root)
        elif (commit := passed(root)) is not None:
            sys.stdout.write(f"tests passed on {commit}\n")
        else:
            sys.stdout.write(
                "tests passed, with uncommitted changes: no release can be made\n"
            )
    except NotARepository as e:
        sys.stdout.write(f"no stamp: {e}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
