"""The wheel of what is committed, installed where nothing of the checkout is seen."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from attrs import define

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


def _run(*command: object, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@define(frozen=True)
class Installed:
    """The wheel, what it was built from, and an environment that has it."""

    source: Path
    wheel: Path
    folder: Path

    def members(self) -> set[str]:
        """The files in the wheel."""
        with zipfile.ZipFile(self.wheel) as opened:
            return set(opened.namelist())

    def sources(self, *folders: str) -> set[str]:
        """The files of the commit in these folders."""
        found = (p for f in folders for p in (self.source / f).rglob("*"))
        return {str(p.relative_to(self.source)) for p in found if p.is_file()}

    def run(self, *command: object, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment from ``/``, with a bare environment."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            [str(c) for c in command],
            cwd="/",
            env={"PATH": path, "HOME": str(self.folder), "LANG": "C.UTF-8", **env},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def said(self, *command: object) -> str:
        """What a program that must succeed prints."""
        done = self.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Built from what is committed, without network, and installed alone."""
    folder = tmp_path_factory.mktemp("wheel")
    packed = folder / "source.zip"
    _run("git", "archive", "--output", packed, "HEAD")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder / "source")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    build = ["wheel", *offline, "--no-build-isolation", "-w", folder / "out"]
    _run(*pip, *build, folder / "source", cwd=folder)
    (wheel,) = (folder / "out").glob("s4-*.whl")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    _run(*pip, "--python", python, "install", *offline, wheel, cwd=folder)
    # A path in a .pth file: the .pth files in that folder, the checkout's among
    # them, are not read.
    theirs = sysconfig.get_paths()["purelib"]
    ours = _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    (Path(ours.strip()) / "dependencies.pth").write_text(theirs + "\n")
    twistd = folder / "venv" / "bin" / "twistd"
    twistd.write_text(
        f"#!{python}\nimport sys\nfrom twisted.scripts.twistd import run\nsys.exit(run())\n"
    )
    twistd.chmod(0o755)
    return Installed(folder / "source", wheel, folder / "venv")
