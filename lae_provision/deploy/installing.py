"""Installs a release beside the others, in its own environment: all of it or none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files

from lae_protocol.process.crash import crash_point, declare
from lae_provision.deploy import layout
from lae_provision.deploy.engine import StepFailed
from lae_provision.deploy.intent import ReleaseId
from lae_provision.deploy.remote import CommandFailed, Remote
from lae_provision.deploy.source import WHAT_PYTHON, Built, digest_of

_TIMEOUT = 900.0  # s

_WARM = """
import lae_flapp.service, lae_flapp.machine.schema
import lae_site.service, lae_protocol.process.config_command
import twisted.scripts.twistd, twisted.plugin, twisted.application.service
list(twisted.plugin.getPlugins(twisted.application.service.IServiceMaker))
"""
# With the same files the current release has every dependency already: hard links to
# its files cost neither time nor space.  No program writes into them: pip, Python and
# Twisted replace whole files.  With other files the environment begins empty; Debian's
# python3 has no ensurepip, and pip's wheel can be run directly.
_ENVIRONMENT = f"""set -eu
base=$(readlink {layout.CURRENT} || true)
version=$({layout.PYTHON} -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ -n "$base" ] && [ -e "$base/release.json" ] \\
    && [ -d "$base/venv/lib/python$version" ] \\
    && cmp -s "$base/requirements.txt" "$1/requirements.txt"; then
  cp -al "$base/venv" "$1/venv"
  grep -lIF "$base/" "$1/venv/pyvenv.cfg" "$1"/venv/bin/* | while read -r file; do
    sed "s#$base/#$1/#g" "$file" > "$file.new"
    chmod --reference="$file" "$file.new"
    mv -fT "$file.new" "$file"
  done
else
  {layout.PYTHON} -m venv --without-pip "$1/venv"
fi
"""

_SUMS = 'cd "$1" && find . -name "*.whl" -printf "%P\\0" | xargs -0r sha256sum'

SENT = declare("deploy.install.sent", "all wheels are on the host")
MADE = declare("deploy.install.made", "the environment is made, not marked as whole")


def install(remote: Remote, built: Built, facts: Mapping[str, object]) -> None:
    """Send missing wheels, make the environment, and mark it as whole.

    After a failure the release's folder is removed, which also frees a full disk.
    """
    release = built.release
    try:
        _send(remote, built)
        crash_point(SENT)
        _make(remote, built)
        crash_point(MADE)
        mark = json.dumps(facts, indent=1).encode() + b"\n"
        remote.run(("sync", "-f", layout.folder(release)), seconds=_TIMEOUT)
        remote.write(layout.mark(release), mark, 0o644)
    except CommandFailed as e:
        with suppress(CommandFailed):
            remote.run(("rm", "-rf", "--", layout.folder(release)))
        raise StepFailed(e.words or str(e)) from None


def _send(remote: Remote, built: Built) -> None:
    if (theirs := _python(remote)) != built.made_for:
        raise StepFailed(
            f"the wheels are for Python {built.made_for}, but {remote.name} has Python"
            f" {theirs}: run lae deploy with that Python, on such a machine"
        )
    remote.run(("mkdir", "-p", layout.WHEELS))
    sums = remote.run(("sh", "-c", _SUMS, "sums", layout.WHEELS), seconds=_TIMEOUT)
    there = set(sums.splitlines())
    for wheel in (built.pip, *built.wheels, built.wheel):
        # One that was built on another machine has the same name and other content.
        if f"{digest_of(wheel)}  {wheel.name}" not in there:
            remote.put(wheel, f"{layout.WHEELS}/{wheel.name}", 0o644)


def _python(remote: Remote) -> str:
    return remote.run((layout.PYTHON, "-c", WHAT_PYTHON)).strip()


def _make(remote: Remote, built: Built) -> None:
    release = built.release
    folder, python = layout.folder(release), layout.program(release, "python")
    remote.run(("rm", "-rf", "--", folder))
    remote.run(("mkdir", "-p", "-m", "755", folder))
    requirements = f"{folder}/requirements.txt"
    remote.write(requirements, built.requirements.encode(), 0o644)
    ours = (
        f"{layout.WHEELS}/{built.wheel.name} --hash=sha256:{digest_of(built.wheel)}\n"
    )
    remote.write(f"{folder}/s4.txt", f"s4 @ file://{ours}".encode(), 0o644)
    remote.run(_readable("sh", "-c", _ENVIRONMENT, "make", folder), seconds=_TIMEOUT)
    _pip(remote, built, "-r", requirements, "-r", f"{folder}/s4.txt")
    # The processes may not write here, so the caches of Python and Twisted are made
    # now, by importing the modules once.
    remote.run(_readable(*("env", "-C", "/"), python, "-c", _WARM), seconds=_TIMEOUT)
    _write_units(remote, built)
    _list_components(remote, built)


def _pip(remote: Remote, built: Built, *words: str) -> None:
    """Install into the release what the files name, by hash, and nothing else."""
    remote.run(
        _readable(
            *("env", "-C", "/", "PYTHONDONTWRITEBYTECODE=1"),
            *(layout.program(built.release, "python"),),
            *(f"{layout.WHEELS}/{built.pip.name}/pip", "install", "-q"),
            *("--disable-pip-version-check", "--no-compile", "--no-cache-dir"),
            *("--no-index", "--find-links", layout.WHEELS),
            *("--require-hashes", "--no-deps", *words),
        ),
        seconds=_TIMEOUT,
    )


def _list_components(remote: Remote, built: Built) -> None:
    """Write beside the release what it consists of, as its own Python sees it."""
    release = built.release
    script = files("lae_provision.deploy.on_host").joinpath("sbom.py").read_bytes()
    argv = ("-", f"{layout.folder(release)}/requirements.txt")
    python = layout.program(release, "python")
    said = remote.run(("env", "-C", "/", python, *argv), data=script)
    remote.write(layout.bill(release), said.encode(), 0o644)


def _readable(*argv: str) -> tuple[str, ...]:
    """Make files readable for the processes' users, whatever root's umask is."""
    return ("sh", "-c", 'umask 022; exec "$@"', "sh", *argv)


def _write_units(remote: Remote, built: Built) -> None:
    """Write units with the release's folder, which a process's command line shows."""
    folder = layout.folder(built.release)
    remote.run(("mkdir", "-p", f"{folder}/units"))
    for name, text in fill_units(built.units, built.release).items():
        remote.write(f"{folder}/units/{name}", text.encode(), 0o644)


def fill_units(units: Mapping[str, str], release: ReleaseId) -> dict[str, str]:
    """Fill the release's folder and name into the units."""
    folder = layout.folder(release)
    return {
        name: text.replace("@RELEASE@", folder).replace("@ID@", release)
        for name, text in units.items()
    }
