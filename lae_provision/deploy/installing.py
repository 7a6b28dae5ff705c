"""A release, put beside the others: an environment of its own, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

from lae_protocol.process.crash import crash_point, declare
from lae_provision.deploy import layout
from lae_provision.deploy.engine import StepFailed
from lae_provision.deploy.intent import ReleaseId
from lae_provision.deploy.remote import CommandFailed, Remote
from lae_provision.deploy.source import EXTRAS, WHAT_PYTHON, Built

_LONG = 900.0

SENT = declare("deploy.install.sent", "all wheels are on the host")
MADE = declare("deploy.install.made", "the environment is there, not marked whole")


def install(remote: Remote, built: Built, facts: Mapping[str, object]) -> None:
    """Send what is missing, make the environment, mark it whole.

    What fails leaves no half of it behind: a full disk has room again afterwards.
    """
    release = built.release
    try:
        _send(remote, built)
        crash_point(SENT)
        _make(remote, built)
        crash_point(MADE)
        mark = json.dumps(facts, indent=1).encode() + b"\n"
        remote.run(("sync", "-f", layout.folder(release)), seconds=_LONG)
        remote.write(layout.mark(release), mark, 0o644)
    except CommandFailed as e:
        with suppress(CommandFailed):
            remote.run(("rm", "-rf", "--", layout.folder(release)))
        raise StepFailed(e.words or str(e)) from None


def _send(remote: Remote, built: Built) -> None:
    if built.wheels and (theirs := _python(remote)) != built.made_for:
        raise StepFailed(
            f"the wheels are for Python {built.made_for}, {remote.name} has Python"
            f" {theirs}: run lae deploy with that Python, or with --from-pypi"
        )
    remote.run(("mkdir", "-p", layout.WHEELS))
    there = set(remote.run(("ls", layout.WHEELS)).splitlines())
    for wheel in (built.pip, *built.wheels, built.wheel):
        if wheel.name not in there:
            remote.put(wheel, f"{layout.WHEELS}/{wheel.name}", 0o644)


def _python(remote: Remote) -> str:
    return remote.run((layout.PYTHON, "-c", WHAT_PYTHON)).strip()


def _make(remote: Remote, built: Built) -> None:
    release = built.release
    folder, python = layout.folder(release), layout.program(release, "python")
    remote.run(("rm", "-rf", "--", folder))
    remote.run(("mkdir", "-p", "-m", "755", folder))
    remote.put(built.constraints, f"{folder}/constraints.txt", 0o644)
    # Debian's python3 has no ensurepip; pip's wheel can be run as it is.
    remote.run(
        _readable(layout.PYTHON, "-m", "venv", "--without-pip", f"{folder}/venv")
    )
    offline = ("--no-index",) if built.wheels else ()
    remote.run(
        _readable(
            *("env", "-C", "/", "PYTHONDONTWRITEBYTECODE=1", python),
            *(f"{layout.WHEELS}/{built.pip.name}/pip", "install", "-q"),
            *("--disable-pip-version-check", "--no-compile", "--no-cache-dir"),
            *(*offline, "--find-links", layout.WHEELS),
            *("-c", f"{folder}/constraints.txt", f"s4[{EXTRAS}]=={release}"),
        ),
        seconds=_LONG,
    )
    # The processes may not write here: what they would cache is made now.
    lib = f"{folder}/venv/lib"
    # Some of others' files are no Python of today; who imports one will say so.
    quiet = ("-W", "ignore", "-m", "compileall", "-qq", "-j", "0", "-x", "/tests?/")
    with suppress(CommandFailed):
        remote.run(_readable(python, *quiet, lib), seconds=_LONG)
    remote.run(_readable(layout.program(release, "twistd"), "--help"))
    _units(remote, built)


def _readable(*argv: str) -> tuple[str, ...]:
    """What is made can be read by the processes' users, whatever root's umask is."""
    return ("sh", "-c", 'umask 022; exec "$@"', "sh", *argv)


def _units(remote: Remote, built: Built) -> None:
    """The release's own: they name its folder, so that a process tells its release."""
    folder = layout.folder(built.release)
    remote.run(("mkdir", "-p", f"{folder}/units"))
    for name, text in filled(built.units, built.release).items():
        remote.write(f"{folder}/units/{name}", text.encode(), 0o644)


def filled(units: Mapping[str, str], release: ReleaseId) -> dict[str, str]:
    """Units with the release's folder and name in them."""
    folder = layout.folder(release)
    return {
        name: text.replace("@RELEASE@", folder).replace("@ID@", release)
        for name, text in units.items()
    }
