"""The volume on the daemon's machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from attrs import define, evolve, field
from click.testing import CliRunner

from lae_flapp.account import volume_mount
from lae_protocol.process.resources import config_folder
from lae_provision.volumes.mounting import (
    LABEL,
    Do,
    NotMountable,
    SeenDisk,
    SeenMachine,
    Write,
    disks_of,
    filled_of,
    is_zero,
    mount_steps,
    unit_files,
    unit_name,
)

FOLDER = "/var/lib/s4"
GIB = 1 << 30
BLANK = SeenDisk("/dev/nvme1n1", "vol0abc", None, None, None, 20 * GIB, blank=True)
OURS = evolve(BLANK, kind="ext4", label=LABEL, blank=False, filled=20 * GIB)
MOUNTED = evolve(OURS, mounted_at=FOLDER)
EMPTY = SeenMachine((BLANK,), {}, occupied=False, daemon_runs=False)


def told(steps: Any) -> list[str]:
    return [
        " ".join(s.words) if isinstance(s, Do) else f"write {s.path}" for s in steps
    ]


def test_first_time() -> None:
    """An empty disk gets a file system with a label; units are written; it is mounted;
    then nothing is left to do.
    """
    steps = mount_steps(FOLDER, "vol-0abc", EMPTY)
    assert told(steps) == [
        "mkfs.ext4 -q -L s4-journal -m 1 /dev/nvme1n1",
        "write /etc/systemd/system/var-lib-s4.mount",
        "write /etc/systemd/system/s4-daemon.service.d/volume.conf",
        "write /etc/systemd/system/s4-backup.service.d/volume.conf",
        "write /etc/systemd/system/s4-volume-snapshot.service",
        "write /etc/systemd/system/s4-volume-snapshot.timer",
        "systemctl daemon-reload",
        "systemctl enable --now var-lib-s4.mount",
        "systemctl enable --now s4-volume-snapshot.timer",
    ]
    files = {s.path: s.text for s in steps if isinstance(s, Write)}
    after = SeenMachine(
        (MOUNTED,), files, occupied=False, daemon_runs=True, timer_runs=True
    )
    assert mount_steps(FOLDER, None, after) == ()
    assert mount_steps(FOLDER, "vol-0abc", after) == ()


@pytest.mark.parametrize("done", range(9))
def test_interrupted(done: int) -> None:
    """Killed after any step, the next call does the rest and no more; enabling a unit
    reads all units again.
    """
    steps = mount_steps(FOLDER, "vol-0abc", EMPTY)
    files = {s.path: s.text for s in steps[:done] if isinstance(s, Write)}
    disk = OURS if done else BLANK
    disk = MOUNTED if done > 7 else disk
    seen = SeenMachine((disk,), files, occupied=False, daemon_runs=False)
    rest = told(mount_steps(FOLDER, "vol-0abc", seen))
    reload = ["systemctl daemon-reload"]
    left = told(steps[done:])
    assert rest == (left[1:] if left[:1] == reload else left)


def test_units() -> None:
    """The daemon starts only where the volume is: in an empty folder it would begin a
    new journal.
    """
    files = unit_files(FOLDER)
    mount = files["/etc/systemd/system/var-lib-s4.mount"]
    assert f"What=/dev/disk/by-label/{LABEL}\nWhere=/var/lib/s4\n" in mount
    needs = files["/etc/systemd/system/s4-daemon.service.d/volume.conf"]
    assert "RequiresMountsFor=/var/lib/s4" in needs
    assert "AssertPathIsMountPoint=/var/lib/s4" in needs
    copies = files["/etc/systemd/system/s4-volume-snapshot.service"]
    assert "lae volume snapshot --own --within 1h" in copies
    assert unit_name("/srv/s4-prod") == "srv-s4\\x2dprod.mount"


def test_grown() -> None:
    """A file system that is smaller than its disk is made larger while it is in use."""
    files = unit_files(FOLDER)
    grown = SeenMachine(
        (evolve(MOUNTED, size=40 * GIB),),
        files,
        occupied=False,
        daemon_runs=True,
        timer_runs=True,
    )
    assert told(mount_steps(FOLDER, None, grown)) == ["resize2fs /dev/nvme1n1"]


@pytest.mark.parametrize(
    ("volume", "seen", "word"),
    [
        (None, EMPTY, "no disk has the label"),
        ("vol-0def", EMPTY, "vol-0def is not attached to this machine"),
        ("vol-0abc", evolve(EMPTY, disks=(evolve(BLANK, blank=False),)), "not empty"),
        (
            "vol-0abc",
            evolve(EMPTY, disks=(evolve(BLANK, kind="xfs", blank=False),)),
            "has a file system already",
        ),
        (
            "vol-0abc",
            evolve(EMPTY, disks=(BLANK, evolve(OURS, serial="vol0def", path="/dev/x"))),
            "/dev/x has the label s4-journal, not vol-0abc",
        ),
        (
            None,
            evolve(EMPTY, disks=(OURS, evolve(OURS, path="/dev/x"))),
            "several disks have the label",
        ),
        (
            None,
            evolve(EMPTY, disks=(evolve(OURS, mounted_at="/mnt"),)),
            "is mounted at /mnt",
        ),
        (None, evolve(EMPTY, disks=(OURS,), daemon_runs=True), "the daemon runs"),
        (None, evolve(EMPTY, disks=(OURS,), occupied=True), "/var/lib/s4 has files"),
    ],
)
def test_what_is_left_alone(volume: str | None, seen: SeenMachine, word: str) -> None:
    """Nothing is formatted that may hold anything, and nothing hidden that is used."""
    with pytest.raises(NotMountable, match=word):
        mount_steps(FOLDER, volume, seen)


def listed(**changes: Any) -> str:
    """What lsblk prints on a machine of Nitro with a root disk and the volume."""
    root = {
        "path": "/dev/nvme0n1",
        "type": "disk",
        "serial": "vol0root",
        "fstype": None,
        "label": None,
        "size": 12 * GIB,
        "mountpoints": [None],
        "children": [{"path": "/dev/nvme0n1p1", "type": "part"}],
    }
    ours = {
        "path": "/dev/nvme1n1",
        "type": "disk",
        "serial": "vol0abc",
        "fstype": None,
        "label": None,
        "size": 20 * GIB,
        "mountpoints": [None],
        **changes,
    }
    return json.dumps({"blockdevices": [root, ours]})


def test_what_lsblk_shows() -> None:
    """Disks with partitions are never ours; the rest is found by its serial number."""
    (disk,) = disks_of(listed())
    assert disk == evolve(BLANK, blank=False)
    (disk,) = disks_of(listed(fstype="ext4", label=LABEL, mountpoints=[None, FOLDER]))
    assert disk == evolve(MOUNTED, filled=None)


def test_how_much_is_filled(tmp_path: Path) -> None:
    """What dumpe2fs tells is read; zeros are told from anything else."""
    told = "Inode count: 10\nBlock count:              1000\nBlock size:    4096\n"
    assert filled_of(told) == 4_096_000
    assert filled_of("nothing") is None
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    assert is_zero(disk)
    disk.write_bytes(bytes(4095) + b"x")
    assert not is_zero(disk)


@define
class Machine:
    """Commands that are noted, on a machine with an empty volume."""

    ran: list[tuple[str, ...]] = field(factory=list)

    def run(self, *words: str) -> str:
        self.ran.append(words)
        return listed(path="/dev/null") if words[0] == "lsblk" else ""


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run shows each command and each file whole, and does nothing; without it
    they are run in this order.
    """
    settings = yaml.safe_load((config_folder() / "daemon.localcloud.yaml").read_text())
    settings["state"] = str(tmp_path / "s4")
    file = tmp_path / "daemon.yaml"
    file.write_text(yaml.safe_dump(settings))
    machine, files = Machine(), []
    monkeypatch.setattr(volume_mount, "_run", machine.run)
    monkeypatch.setattr(volume_mount, "_is_active", lambda _: False)
    monkeypatch.setattr(volume_mount, "_write", lambda p, t: files.append((p, t)))
    words = ["vol-0abc", "--config", str(file)]
    dry = CliRunner().invoke(volume_mount.mount, [*words, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert dry.output.startswith("Would do:\n+ mkfs.ext4 -q -L s4-journal")
    assert f"AssertPathIsMountPoint={tmp_path / 's4'}" in dry.output
    assert [words[0] for words in machine.ran] == ["lsblk"]
    done = CliRunner().invoke(volume_mount.mount, words)
    assert done.output.endswith(f"{tmp_path / 's4'} is mounted.\n")
    assert [words[0] for words in machine.ran[2:]] == [
        "mkfs.ext4",
        *["systemctl"] * 3,
    ]
    assert len(files) == 5
    wrong = CliRunner().invoke(volume_mount.mount, ["vol-0def", *words[1:]])
    assert wrong.output == "Error: vol-0def is not attached to this machine\n"
