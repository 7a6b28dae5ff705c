"""``lae volume mount``: what is done as root on the daemon's machine."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import click
from attrs import evolve

from lae_flapp.laptop.options import changes
from lae_flapp.settings import DaemonSettings
from lae_protocol.process.settings import SettingsError, load
from lae_provision.volumes.mounting import (
    TIMER,
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
)

_LSBLK = (
    "lsblk",
    "--json",
    "--bytes",
    "--output",
    "PATH,TYPE,SERIAL,FSTYPE,LABEL,SIZE,MOUNTPOINTS",
)
_MODE = 0o644
LONGEST = 120  # s, of one command


@click.command()
@click.argument("volume", required=False)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("/etc/s4/daemon.yaml"),
    show_default=True,
    help="The daemon's settings.",
)
@changes
def mount(volume: str | None, *, config: Path, dry_run: bool) -> None:
    """Mount the volume at the daemon's folder, now and at each start; as root.

    The first time VOLUME (vol-...) is named, and gets a file system if it is empty.
    From then on the disk is found by its label.  A file system that is smaller than its
    disk is made larger while it is in use.  The daemon does not start without the
    volume from now on.
    """
    try:
        folder = str(load(config.resolve(), DaemonSettings).state)
        steps = mount_steps(folder, volume, _seen(folder))
    except (SettingsError, NotMountable) as e:
        raise click.ClickException(str(e)) from None
    if not steps:
        click.echo("Would do nothing." if dry_run else f"{folder} is mounted.")
        return
    if dry_run:
        click.echo("Would do:")
    for step in steps:
        click.echo(_told(step))
        if not dry_run:
            _carry_out(step)
    if not dry_run:
        click.echo(f"{folder} is mounted.")


def _told(step: Do | Write) -> str:
    if isinstance(step, Do):
        return f"+ {shlex.join(step.words)}"
    return f"+ write {step.path}:\n" + "".join(
        f"    {line}\n" if line else "\n" for line in step.text.splitlines()
    )


def _carry_out(step: Do | Write) -> None:
    match step:
        case Do():
            _run(*step.words)
        case Write():
            _write(Path(step.path), step.text)


def _write(path: Path, text: str) -> None:
    """Write a file whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.new")
        partial.write_text(text, "utf-8")
        partial.chmod(_MODE)
        partial.rename(path)
    except OSError as e:
        raise click.ClickException(f"{path}: {e.strerror}; are you root?") from None


def _seen(folder: str) -> SeenMachine:
    disks = tuple(_looked_into(disk) for disk in disks_of(_run(*_LSBLK)))
    here = Path(folder)
    mounted = any(disk.mounted_at == folder for disk in disks)
    return SeenMachine(
        disks,
        {p: _text(Path(p)) for p in unit_files(folder)},
        occupied=not mounted and here.is_dir() and any(here.iterdir()),
        daemon_runs=_is_active("s4-daemon.service"),
        timer_runs=_is_active(TIMER),
    )


def _looked_into(disk: SeenDisk) -> SeenDisk:
    """A disk with what only root may see: whether it is blank, how much is used."""
    try:
        if disk.kind is None:
            return evolve(disk, blank=is_zero(Path(disk.path)))
    except OSError:
        return disk
    if disk.kind == "ext4":
        return evolve(disk, filled=filled_of(_run("dumpe2fs", "-h", disk.path)))
    return disk


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""


def _is_active(unit: str) -> bool:
    words = ("systemctl", "is-active", "--quiet", unit)
    done = subprocess.run(words, check=False, timeout=LONGEST)  # noqa: S603  (ours)
    return done.returncode == 0


def _run(*words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  (words of the plan)
            words,
            check=True,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise click.ClickException(f"{words[0]} is not on this machine") from None
    except subprocess.CalledProcessError as e:
        told = (e.stderr or "").strip().splitlines()[-1:] or ["no word"]
        raise click.ClickException(f"{shlex.join(words)}: {told[0]}") from None
    except subprocess.TimeoutExpired:
        raise click.ClickException(
            f"{shlex.join(words)}: no end after {LONGEST} s"
        ) from None
    return done.stdout
