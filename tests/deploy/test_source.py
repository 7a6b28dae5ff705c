"""What may be released, and how it is known that the tests passed on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from lae_provision.deploy import source, tested
from tests.deploy.conftest import git
from tests.deploy.machine import ROOT
from tests.supply.wheels import make_wheel


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository with one commit."""
    folder = tmp_path / "tree"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "setup.py").write_text('version="0.1.0" + x,\n')
    (folder / ".gitignore").write_text("build/\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def commit(tree: Path) -> str:
    """Change something and commit it."""
    (tree / "file").write_text(f"{len(list(tree.iterdir()))}")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "more")
    return git(tree, "rev-parse", "HEAD")


def test_a_tested_commit_may_be_released(tree: Path) -> None:
    """A clean tree on whose commit the tests passed is releasable, and its release is
    named after version and commit.
    """
    head = git(tree, "rev-parse", "HEAD")
    tested.begin(tree)
    assert tested.passed(tree) == head
    taken = source.check(tree, None)
    assert taken.commit == head
    assert taken.untested is None
    assert source.name_release(taken) == f"0.1.0+g{head[:12]}"


def test_releases_are_counted(tree: Path, tmp_path: Path) -> None:
    """A later commit has a larger number; a clone without the whole history has none,
    rather than one that is too small.
    """
    numbers = [source.count_commits(source.check(tree, "why not"))]
    for _ in range(2):
        commit(tree)
        numbers.append(source.count_commits(source.check(tree, "why not")))
    assert numbers == [1, 2, 3]
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", tree.as_uri(), str(shallow))
    with pytest.raises(source.NotReleasable, match="--release"):
        source.count_commits(source.check(shallow, "why not"))


def test_an_untested_commit_needs_a_reason(tree: Path) -> None:
    """Without a stamp it is refused; a reason lets it through, and is kept."""
    for reason in (None, "", "  "):
        with pytest.raises(source.NotReleasable, match="run make test"):
            source.check(tree, reason)
    assert source.check(tree, " it burns ").untested == "it burns"


def test_the_stamp_is_of_one_commit(tree: Path) -> None:
    """A commit after the tested one is untested again."""
    tested.begin(tree)
    tested.passed(tree)
    commit(tree)
    with pytest.raises(source.NotReleasable, match="have not passed"):
        source.check(tree, None)


@pytest.mark.parametrize("what", ["changed", "new", "deleted", "staged"])
def test_a_tree_that_is_not_as_committed_is_refused(tree: Path, what: str) -> None:
    """Nothing is released that is not in the commit, whatever reason is given."""
    tested.begin(tree)
    tested.passed(tree)
    match what:
        case "changed":
            (tree / "setup.py").write_text("other")
        case "new":
            (tree / "new").write_text("x")
        case "deleted":
            (tree / "setup.py").unlink()
        case "staged":
            (tree / "new").write_text("x")
            git(tree, "add", "new")
    with pytest.raises(source.NotReleasable, match="not as committed"):
        source.check(tree, "because")


def test_what_changed_during_the_tests_proves_nothing(tree: Path) -> None:
    """No stamp where the tree was changed, or another commit taken, between the first
    test and the last.
    """
    (tree / "setup.py").write_text("other")
    tested.begin(tree)
    git(tree, "checkout", "-q", "setup.py")
    assert tested.passed(tree) is None
    tested.begin(tree)
    commit(tree)
    assert tested.passed(tree) is None
    tested.begin(tree)
    (tree / "new").write_text("x")
    assert tested.passed(tree) is None
    assert tested.passed(tree) is None


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    """Without git there is no commit to speak of, and one line says so."""
    with pytest.raises(source.NotReleasable, match="a release is made of a commit"):
        source.check(tmp_path, None)
    done = subprocess.run(
        [sys.executable, "-m", "lae_provision.deploy.tested", "passed"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("no stamp:")


def test_make_test_stamps_a_whole_run_alone() -> None:
    """`make test` begins and ends with the stamp; with TEST_ARGS there is none."""
    # A make around this one would pass its own variables on, TEST_ARGS among them.
    ours = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "TEST_ARGS"}}

    def dry(*more: str) -> str:
        return subprocess.run(
            ["make", "--dry-run", "test", *more],
            cwd=ROOT,
            env=ours,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    whole = dry()
    assert (
        whole.index("tested begin")
        < whole.index("pytest")
        < whole.index("tested passed")
    )
    assert "tested passed" not in dry("TEST_ARGS=-k x")


def buildable(tree: Path, setup: str) -> source.Source:
    """A commit that has one package and this ``setup.py``."""
    (tree / "setup.py").write_text(setup)
    (tree / "one.py").write_text("")
    commit(tree)
    return source.check(tree, "a test")


def test_a_dry_run_builds_the_wheel(tree: Path) -> None:
    """Where the real run could not build the wheel, the dry run says the same; where it
    can, nothing is left in the tree.
    """
    bad = buildable(tree, 'version="0.1.0"\nraise SystemExit("no compiler")\n')
    with pytest.raises(source.NotReleasable, match="no compiler"):
        source.check_wheel(bad)
    good = buildable(
        tree,
        "from setuptools import setup\n"
        "import os\n"
        'suffix = os.environ["S4_LOCAL_VERSION"]\n'
        'setup(name="s4", py_modules=["one"], version="0.1.0" + suffix)\n',
    )
    source.check_wheel(good)
    assert git(tree, "status", "--porcelain", "--ignored") == ""


@pytest.mark.parametrize(
    ("here", "isolated"),
    [
        ({"setuptools", "setuptools.command.bdist_wheel"}, False),
        ({"setuptools", "wheel"}, False),
        ({"setuptools"}, True),
        (set(), True),
    ],
)
def test_what_makes_wheels_may_be_missing_here(monkeypatch, here, isolated) -> None:
    """An environment whose setuptools makes no wheel, as a fresh one's does, has pip
    fetch one that does.
    """
    monkeypatch.setattr(source, "find_spec", lambda name: name in here)
    assert source._isolation() == ([] if isolated else ["--no-build-isolation"])


def _house(tmp_path: Path, pins: str) -> Path:
    """A folder of wheels, filled from an index with one package."""
    house = tmp_path / "house"
    index = str(tmp_path / "index")
    with mock.patch.dict(os.environ, {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": index}):
        source._fill_wheelhouse(house, pins, "")
    return house


def test_a_release_is_made_of_files_with_the_commits_hashes(tmp_path: Path) -> None:
    """A package that is not the file whose hash stands in the commit makes no release,
    and pip's reason is told.
    """
    (tmp_path / "index").mkdir()
    digest = make_wheel(tmp_path / "index", "honest")
    house = _house(tmp_path, f"honest==1.0 --hash=sha256:{digest}\n")
    (wheel,) = source._check_wheelhouse(house)
    assert source.require_wheel(wheel) == f"honest==1.0 --hash=sha256:{digest}\n"
    with pytest.raises(source.NotReleasable, match="DO NOT MATCH THE HASHES"):
        _house(tmp_path, f"honest==1.0 --hash=sha256:{'0' * 64}\n")


@pytest.mark.parametrize("attack", ["changed", "added", "removed"])
def test_kept_wheels_are_checked_again(tmp_path: Path, attack: str) -> None:
    """Wheels that were kept from an earlier release and are not what they were are not
    sent to a host.
    """
    (tmp_path / "index").mkdir()
    digest = make_wheel(tmp_path / "index", "honest")
    house = _house(tmp_path, f"honest==1.0 --hash=sha256:{digest}\n")
    (wheel,) = house.glob("*.whl")
    match attack:
        case "changed":
            wheel.write_bytes(wheel.read_bytes() + b"more")
        case "added":
            make_wheel(house, "evil")
        case "removed":
            wheel.unlink()
    name = "evil" if attack == "added" else "honest"
    with pytest.raises(source.NotReleasable, match=f"{name}==1.0 is not as it was"):
        source._check_wheelhouse(house)
