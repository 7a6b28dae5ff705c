"""The volume on the daemon's machine: its file system, its units, its size.

A disk's name says nothing on a machine of Nitro: what was attached as ``/dev/sdf`` is
``/dev/nvme1n1`` or another.  Its serial number is the volume's id, and so it is found;
once it has a file system, by the label.  :func:`mount_steps` decides, purely.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import define

LABEL = "s4-journal"
UNITS = PurePosixPath("/etc/systemd/system")
#: What uses the daemon's folder, and must not start where the volume is missing.
WRITERS = ("s4-daemon.service", "s4-backup.service")
TIMER = "s4-volume-snapshot.timer"
LAE = "/opt/s4/current/venv/bin/lae"
_SLACK = 1 << 20  # bytes that a file system may leave of its disk


@define(frozen=True)
class SeenDisk:
    """A disk; *kind* is the file system's, None for none.

    *blank*: no partition, and nothing but zeros at its beginning.  *filled*: bytes of
    the disk that the file system uses.
    """

    path: str
    serial: str
    kind: str | None
    label: str | None
    mounted_at: str | None
    size: int
    blank: bool = False
    filled: int | None = None


@define(frozen=True)
class SeenMachine:
    """*files* are the units that stand there, with their texts.

    *occupied*: the daemon's folder has files, and no volume is mounted there.
    """

    disks: tuple[SeenDisk, ...]
    files: Mapping[str, str]
    occupied: bool
    daemon_runs: bool
    timer_runs: bool = False


@define(frozen=True)
class Do:
    """A command."""

    words: tuple[str, ...]


@define(frozen=True)
class Write:
    """A file of root's."""

    path: str
    text: str


class NotMountable(Exception):
    """A person must do something first; the text says what."""


def unit_name(folder: str) -> str:
    """Name the mount unit of a folder, as systemd wants it."""
    parts = [part for part in PurePosixPath(folder).parts if part != "/"]
    escaped = [part.replace("-", "\\x2d") for part in parts]
    return "-".join(escaped) + ".mount"


def unit_files(folder: str) -> dict[str, str]:
    """Return the units: the mount, that nobody writes where it is missing, and the
    snapshots on schedule.

    Without the assertion the daemon would begin a new journal in an empty folder.
    """
    mount = (
        "[Unit]\n"
        "Description=S4's journal, certificates and furls\n"
        "\n"
        "[Mount]\n"
        f"What=/dev/disk/by-label/{LABEL}\n"
        f"Where={folder}\n"
        "Type=ext4\n"
        "Options=noatime,nodev,nosuid,noexec\n"
        "TimeoutSec=60\n"
        "\n"
        "[Install]\n"
        "WantedBy=multi-user.target\n"
    )
    needs = f"[Unit]\nRequiresMountsFor={folder}\nAssertPathIsMountPoint={folder}\n"
    snapshot = (
        "[Unit]\n"
        "Description=S4 snapshot of the daemon's volume\n"
        "Wants=network-online.target\n"
        "After=network-online.target\n"
        "\n"
        "[Service]\n"
        "Type=oneshot\n"
        "User=s4-daemon\n"
        "Group=s4-daemon\n"
        f"ExecStart={LAE} volume snapshot --own --within 1h"
        " --config /etc/s4/daemon.yaml\n"
        "Restart=on-failure\n"
        "RestartSec=5min\n"
        "NoNewPrivileges=yes\n"
        "ProtectSystem=strict\n"
        "ProtectHome=yes\n"
        "PrivateTmp=yes\n"
    )
    timer = (
        "[Unit]\n"
        "Description=S4 snapshot of the daemon's volume, each day\n"
        "\n"
        "[Timer]\n"
        "OnCalendar=daily\n"
        "RandomizedDelaySec=1h\n"
        "Persistent=yes\n"
        "\n"
        "[Install]\n"
        "WantedBy=timers.target\n"
    )
    return {
        str(UNITS / unit_name(folder)): mount,
        **{str(UNITS / f"{unit}.d" / "volume.conf"): needs for unit in WRITERS},
        str(UNITS / TIMER.replace(".timer", ".service")): snapshot,
        str(UNITS / TIMER): timer,
    }


def mount_steps(
    folder: str, volume: str | None, seen: SeenMachine
) -> tuple[Do | Write, ...]:
    """1. the file system, 2. the units, 3. the mount, 4. the timer, 5. the size.

    *volume* is needed the first time; raises NotMountable.
    """
    disk = _disk(volume, seen)
    if disk.mounted_at not in (None, folder):
        raise NotMountable(f"{disk.path} is mounted at {disk.mounted_at}")
    steps: list[Do | Write] = []
    if disk.kind is None:
        steps.append(_make_file_system(disk))
    files = unit_files(folder)
    written = [Write(p, t) for p, t in files.items() if seen.files.get(p) != t]
    steps += written
    if written:
        steps.append(Do(("systemctl", "daemon-reload")))
    if disk.mounted_at is None:
        if seen.daemon_runs:
            raise NotMountable("the daemon runs: systemctl stop s4-daemon")
        if seen.occupied:
            raise NotMountable(
                f"{folder} has files, which the volume would hide: move the folder"
                " away, make it anew, mount, and copy the files into it"
            )
        steps.append(Do(("systemctl", "enable", "--now", unit_name(folder))))
    if not seen.timer_runs:
        steps.append(Do(("systemctl", "enable", "--now", TIMER)))
    if disk.filled is not None and disk.filled < disk.size - _SLACK:
        steps.append(Do(("resize2fs", disk.path)))
    return tuple(steps)


def _disk(volume: str | None, seen: SeenMachine) -> SeenDisk:
    labelled = [d for d in seen.disks if d.label == LABEL]
    if len(labelled) > 1:
        names = ", ".join(d.path for d in labelled)
        raise NotMountable(f"several disks have the label {LABEL}: {names}; detach one")
    if volume is None:
        if not labelled:
            raise NotMountable(
                f"no disk has the label {LABEL}: name the volume (vol-...), which"
                " lae volume status shows"
            )
        return labelled[0]
    serial = volume.replace("-", "")
    found = next((d for d in seen.disks if d.serial.replace("-", "") == serial), None)
    if found is None:
        raise NotMountable(f"{volume} is not attached to this machine")
    if labelled and labelled[0] != found:
        raise NotMountable(f"{labelled[0].path} has the label {LABEL}, not {volume}")
    if found.kind is not None and found.label != LABEL:
        raise NotMountable(
            f"{found.path} has a file system already ({found.kind}, label"
            f" {found.label or 'none'}): it is left alone"
        )
    return found


def _make_file_system(disk: SeenDisk) -> Do:
    if not disk.blank:
        raise NotMountable(f"{disk.path} is not empty: it is left alone")
    return Do(("mkfs.ext4", "-q", "-L", LABEL, "-m", "1", disk.path))


def disks_of(listed: str) -> tuple[SeenDisk, ...]:
    """Read ``lsblk --json --bytes``; disks with partitions are never ours."""
    return tuple(
        SeenDisk(
            path=one["path"],
            serial=one.get("serial") or "",
            kind=one.get("fstype"),
            label=one.get("label"),
            mounted_at=_mounted(one),
            size=int(one["size"]),
        )
        for one in json.loads(listed)["blockdevices"]
        if one.get("type") == "disk" and not one.get("children")
    )


def _mounted(given: dict[str, Any]) -> str | None:
    found = [m for m in given.get("mountpoints") or [] if m]
    return found[0] if found else None


def filled_of(told: str) -> int | None:
    """Read how many bytes a file system uses of its disk (``dumpe2fs -h``)."""
    held = dict(
        line.split(":", 1) for line in told.splitlines() if line.startswith("Block ")
    )
    try:
        return int(held["Block count"]) * int(held["Block size"])
    except (KeyError, ValueError):
        return None


def is_zero(path: Path, size: int = 1 << 20) -> bool:
    """Whether the beginning of a disk is nothing but zeros.  Blocks."""
    with path.open("rb") as disk:
        return not any(disk.read(size))
