"""Where everything is on a host: the same on all of them."""

from __future__ import annotations

from lae_provision.deploy.intent import ReleaseId

BASE = "/opt/s4"
RELEASES = f"{BASE}/releases"
#: The one link that says what runs; its rename is the switch.
CURRENT = f"{BASE}/current"
#: Wheels of all releases; a wheel's name says what is in it, so none is sent twice.
WHEELS = f"{BASE}/wheels"
NOTES = f"{BASE}/deploy"
INTENT = f"{NOTES}/intent.json"
HISTORY = f"{NOTES}/history.jsonl"
LOCK = f"{NOTES}/lock"

SETTINGS = "/etc/s4"
DAEMON_SETTINGS = f"{SETTINGS}/daemon.yaml"
SITE_SETTINGS = f"{SETTINGS}/site.yaml"
UNITS = "/etc/systemd/system"

#: The system's own: whatever else is first on somebody's path, the processes' users
#: may not be able to read it.
PYTHON = "/usr/bin/python3"

DAEMON_USER, SITE_USER = "s4-daemon", "s4-site"


def folder(release: ReleaseId) -> str:
    """Everything of one release."""
    return f"{RELEASES}/{release}"


def program(release: ReleaseId, name: str) -> str:
    """A program of its environment."""
    return f"{folder(release)}/venv/bin/{name}"


def mark(release: ReleaseId) -> str:
    """Written last: a release without it is not whole."""
    return f"{folder(release)}/release.json"


def site_unit(copy: int) -> str:
    """One copy of the site."""
    return f"s4-site@{copy}.service"


DAEMON_UNIT = "s4-daemon.service"
SOCKET_UNIT = "s4-site.socket"
TIMER_UNIT = "s4-backup.timer"
#: The operator's own, which no release touches.
SOCKET_DROP_IN = f"{UNITS}/{SOCKET_UNIT}.d"
