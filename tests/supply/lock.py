"""``make lock``: write down every package's version, and the hashes of its files.

    make lock                               a new name gets a version, others keep theirs
    make lock LOCK_ARGS=--upgrade           the newest versions of all
    make lock LOCK_ARGS="-P jinja2"         the newest version of one

1. ``constraints.txt`` gets one version of each package that any environment has.
2. Each environment's ``requirements/NAME.txt`` gets its packages at these versions, with
the hashes of all files that the index has of them, whatever machine and Python they are
for.
3. That there is a file for every supported machine and Python is checked, so that a
version which lost one is noticed here.

uv does the work, at the index that pip uses.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = "constraints.txt"
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
_RELEASE = ("--extra=site", "--extra=daemon")
_DEMO = (*_RELEASE, "--extra=node", "--extra=localcloud")
#: What uv compiles for each environment.
ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "build": ("requirements/build.in",),
    "client": ("requirements/client.in",),
    "release": (*_RELEASE, "setup.py"),
    "node": ("--extra=node", "setup.py"),
    "demo": (*_DEMO, "setup.py"),
    "tests": (*_DEMO, "--extra=test", "setup.py"),
    "mutants": ("requirements/mutants.in",),
    "tools": ("requirements/tools.in",),
}
#: What each machine builds from source, there being no wheel.
NO_WHEEL = {
    "x86_64": ("netifaces", "txaws"),
    "aarch64": ("netifaces", "pycddl", "txaws", "zfec"),
}
_HEAD = "# `make lock` writes this, from setup.py and requirements/*.in.\n"


def compiled_file(environment: str) -> str:
    """The file with an environment's packages and their hashes."""
    return f"requirements/{environment}.txt"


def main(arguments: list[str]) -> None:
    """Write all of them; where uv refuses, its words are above and nothing follows."""
    everything = dict.fromkeys(w for words in ENVIRONMENTS.values() for w in words)
    _compile(CONSTRAINTS, "--annotation-style=line", *everything, *arguments)
    for name, words in ENVIRONMENTS.items():
        target = compiled_file(name)
        # What stood there must not be preferred to the constraints.
        (ROOT / target).unlink(missing_ok=True)
        chosen = ("--generate-hashes", "--no-annotate", f"--constraints={CONSTRAINTS}")
        _compile(target, *chosen, *words)
    for machine in MACHINES:
        for python in PYTHONS:
            _check_files(machine, python)


def _compile(target: str, *words: str) -> None:
    options = ("--universal", "--python-version=3.11", "--no-header", "--quiet")
    _uv("pip", "compile", *options, f"--output-file={target}", *words)
    path = ROOT / target
    path.write_text(_HEAD + _without_place(path.read_text("utf-8")), "utf-8")


def _without_place(text: str) -> str:
    """Leave out that it is for CPython on Linux, which uv writes behind each name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (place,) = project["tool"]["uv"]["environments"]
    return text.replace(f" ; {place}", "").replace(f" and {place}", "")


def _check_files(machine: str, python: str) -> None:
    """Choose files as pip would on that machine, and install none."""
    lines = (ROOT / CONSTRAINTS).read_text("utf-8").splitlines()
    wanted = [s for s in lines if s.split("=")[0] not in NO_WHEEL[machine]]
    _uv(
        *("pip", "install", "--dry-run", "--quiet", "--no-deps", "--only-binary=:all:"),
        *("--target=build/none", f"--python-version={python}", "--requirements=-"),
        f"--python-platform={machine}-unknown-linux-gnu",
        said="\n".join(wanted),
    )


def _uv(*words: str, said: str = "") -> None:
    program = Path(sys.executable).with_name("uv")
    index = _index_of_pip()
    env = {**os.environ, **({"UV_DEFAULT_INDEX": index} if index else {})}
    done = subprocess.run(
        [program, *words], cwd=ROOT, env=env, input=said, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"S4: uv refused: {' '.join(words)}")


def _index_of_pip() -> str | None:
    """The index that pip is told to use, if it is told."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = [s.split("=", 1)[1] for s in told.splitlines() if ".index-url=" in s]
    return found[-1].strip("'\"") if found else None


if __name__ == "__main__":
    main(sys.argv[1:])
