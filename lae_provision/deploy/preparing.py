"""Prepares an empty host: users, folders, and settings with the right owners."""

from __future__ import annotations

import stat
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from attrs import define

from lae_provision.deploy import layout
from lae_provision.deploy.remote import CommandFailed, Remote
from lae_provision.deploy.supervisor import Supervisor

_NEEDED = (layout.PYTHON, "systemctl", "systemd-sysusers", "flock", "runuser", "sync")


class NotReady(Exception):
    """The host, or the folder of settings, is not ready; the text says why."""


@define(frozen=True)
class SettingsFile:
    """A file of the settings: its source, its target, and its owner on the host."""

    source: Path
    target: str
    owner: str
    group: str
    mode: int


def read_settings(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the daemon's and the site's settings in a folder, by process."""
    found = {}
    for name in ("daemon", "site"):
        path = folder / f"{name}.yaml"
        try:
            told = yaml.safe_load(path.read_text("utf-8"))
        except OSError as e:
            raise NotReady(f"{path}: {e.strerror}") from None
        except (ValueError, yaml.YAMLError):
            raise NotReady(f"{path}: not YAML; see lae config check {path}") from None
        if not isinstance(told, dict):
            raise NotReady(f"{path}: keys with values are expected")
        found[name] = told
    return found


def list_files(folder: Path) -> list[SettingsFile]:
    """List every file of the folder, with its owner and mode on the host.

    A secret that the daemon's settings name, or a file in a folder of keys that they
    name, gets the daemon's user as its owner; the site's likewise.  A private file that
    no settings name is refused, since its owner is unknown.
    """
    settings = read_settings(folder)
    owners: dict[str, set[str]] = {}
    for name, user in (("daemon", layout.DAEMON_USER), ("site", layout.SITE_USER)):
        for secret in _secrets(settings[name]):
            owners.setdefault(_path_on_host(secret), set()).add(user)
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        target = f"{layout.SETTINGS}/{path.relative_to(folder).as_posix()}"
        parent = str(PurePosixPath(target).parent)
        named = owners.get(target, set()) | owners.get(parent, set())
        found.append(_owned_file(path, target, named))
    return found


def _owned_file(path: Path, target: str, owners: set[str]) -> SettingsFile:
    if len(owners) > 1:
        raise NotReady(
            f"{path}: both the daemon and the site name this file; give each its own"
        )
    for owner in owners:
        return SettingsFile(path, target, owner, owner, 0o600)
    for name, user in (
        (layout.DAEMON_SETTINGS, layout.DAEMON_USER),
        (layout.SITE_SETTINGS, layout.SITE_USER),
    ):
        if target == name:
            return SettingsFile(path, target, "root", user, 0o640)
    if not path.stat().st_mode & stat.S_IROTH:
        raise NotReady(
            f"{path}: it is private, but no settings name it as a secret: name it,"
            " remove it, or make it readable for all (chmod o+r)"
        )
    return SettingsFile(path, target, "root", "root", 0o644)


def _secrets(value: object) -> list[str]:
    """List the PATH of every ``{file: PATH}`` and ``{folder: PATH}``."""
    if isinstance(value, list):
        return [name for one in value for name in _secrets(one)]
    if not isinstance(value, dict):
        return []
    for key, named in value.items():
        if len(value) == 1 and key in {"file", "folder"} and isinstance(named, str):
            return [named]
    return [name for one in value.values() for name in _secrets(one)]


def _path_on_host(named: str) -> str:
    """Turn a path in the settings into the path on the host."""
    return str(PurePosixPath(layout.SETTINGS) / named)


def prepare(
    remote: Remote,
    supervisor: Supervisor,
    units: dict[str, str],
    *,
    sites: int,
    listen: str | None,
    settings: list[SettingsFile],
) -> None:
    """Prepare the host; safe to repeat.

    Raises :class:`NotReady` when the host lacks a program.
    """
    raise_if_programs_missing(remote)
    remote.run(
        ("systemd-sysusers", "-"),
        data=units["s4.sysusers"].encode(),
    )
    folders = (layout.BASE, layout.RELEASES, layout.WHEELS, layout.NOTES)
    remote.run(("install", "-d", "-m", "755", *folders, layout.SETTINGS))
    for file in settings:
        remote.run(
            ("install", "-d", "-m", "755", str(PurePosixPath(file.target).parent))
        )
        remote.run(
            (
                *("sh", "-c", _OWNED, "put", file.target),
                *(f"{file.owner}:{file.group}", f"{file.mode:o}"),
            ),
            data=file.source.read_bytes(),
        )
    if listen is not None:
        text = f"[Socket]\nListenStream=\nListenStream={listen}\n"
        remote.run(("install", "-d", "-m", "755", layout.SOCKET_DROP_IN))
        remote.write(f"{layout.SOCKET_DROP_IN}/listen.conf", text.encode(), 0o644)
    supervisor.enable(sites)


def raise_if_programs_missing(remote: Remote) -> None:
    """Raise :class:`NotReady` unless the host has all that a release needs of it."""
    try:
        said = remote.run(("sh", "-c", _PROGRAMS, "look", *_NEEDED)).split()
    except CommandFailed as e:
        raise NotReady(f"{remote.name}: {e}") from None
    if said:
        raise NotReady(
            f"{remote.name} lacks {', '.join(said)}: a Linux with systemd and python3"
            " (3.11 or later) is needed"
        )


_PROGRAMS = f"""for name; do command -v "$name" > /dev/null || echo "$name"; done
{layout.PYTHON} -c 'import sys; sys.exit(sys.version_info < (3, 11))' \\
    || echo python3-of-3.11
"""
# The file is private from its first byte, and complete before it gets its name.
_OWNED = """set -eu
umask 077
trap 'rm -f "$1.new"' EXIT
cat > "$1.new"
chown "$2" "$1.new"
chmod "$3" "$1.new"
sync "$1.new"
mv -fT "$1.new" "$1"
"""
