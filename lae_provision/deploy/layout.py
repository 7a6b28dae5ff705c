"""Paths, users and units on a host: the same on every host."""

from __future__ import annotations

from lae_provision.deploy.intent import ReleaseId

BASE = "/opt/s4"
RELEASES = f"{BASE}/releases"
#: The link to the current release; renaming it is the switch.
CURRENT = f"{BASE}/current"
#: Wheels of all releases.  A wheel's name identifies it, so none is sent twice.
WHEELS = f"{BASE}/wheels"
NOTES = f"{BASE}/deploy"
INTENT = f"{NOTES}/intent.json"
HISTORY = f"{NOTES}/history.jsonl"
LOCK = f"{NOTES}/lock"

SETTINGS = "/etc/s4"
DAEMON_SETTINGS = f"{SETTINGS}/daemon.yaml"
SITE_SETTINGS = f"{SETTINGS}/site.yaml"
UNITS = "/etc/systemd/system"

#: The system's Python, since the processes' users may not be able to read another one.
PYTHON = "/usr/bin/python3"

DAEMON_USER, SITE_USER = "s4-daemon", "s4-site"


def folder(release: ReleaseId) -> str:
    """The folder of a release."""
    return f"{RELEASES}/{release}"


def program(release: ReleaseId, name: str) -> str:
    """A program in the release's environment."""
    return f"{folder(release)}/venv/bin/{name}"


def mark(release: ReleaseId) -> str:
    """The file that is written last: a release without it is incomplete."""
    return f"{folder(release)}/release.json"


def bill(release: ReleaseId) -> str:
    """The list of what a release consists of (CycloneDX)."""
    return f"{folder(release)}/sbom.json"


def site_unit(copy: int) -> str:
    """The unit of one copy of the site."""
    return f"s4-site@{copy}.service"


DAEMON_UNIT = "s4-daemon.service"
SOCKET_UNIT = "s4-site.socket"
#: The operator's drop-in, which no release changes.
SOCKET_DROP_IN = f"{UNITS}/{SOCKET_UNIT}.d"
