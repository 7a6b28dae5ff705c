"""The root file system of every instance: Debian with what Fedora CoreOS has of use.

Made once with mmdebstrap and kept, under the hash of how it is made; instances see it
through an overlay, and nothing is ever written to it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

SUITE = "trixie"
MIRROR = f"deb http://deb.debian.org/debian {SUITE} main"
#: What a Fedora CoreOS has too, and the routine's units may use.
PACKAGES = (
    "ca-certificates",
    "catatonit",
    "curl",
    "ignition",
    "iproute2",
    "jq",
    "nftables",
    "podman",
    "procps",
    "runc",
    "systemd-sysv",
)
#: Units of Debian that Fedora CoreOS has not, or that wait for hardware.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "netavark-dhcp-proxy.service",
    "netavark-dhcp-proxy.socket",
    "podman-auto-update.timer",
)
#: This machine may lack capabilities and controllers that a real host has.
_CONTAINERS = """\
# An instance in namespaces; a real host has none of this.
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=32768:32768"]
pids_limit = 0
cgroups = "no-conmon"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
#: What is done in the new root, before anything runs in it.
_FINISH = r"""
set -e
# Debian's Ignition is built to relabel for SELinux.
mkdir -p "$1/etc/selinux"
printf 'SELINUX=disabled\nSELINUXTYPE=targeted\n' > "$1/etc/selinux/config"
printf '#!/bin/sh\nexit 0\n' > "$1/usr/sbin/setfiles"
chmod 755 "$1/usr/sbin/setfiles"
# As in an image: no machine id, no resolver, nothing that "needs an update".
: > "$1/etc/machine-id"
rm -f "$1/etc/resolv.conf" "$1/etc/hostname"
chroot "$1" useradd --create-home --shell /bin/bash --groups adm core
for unit in $MASKED; do ln -sf /dev/null "$1/etc/systemd/system/$unit"; done
mkdir -p "$1/etc/containers/containers.conf.d"
printf '%s' "$CONTAINERS" > "$1/etc/containers/containers.conf.d/90-metal.conf"
touch "$1/usr" "$1/etc/.updated" "$1/var/.updated"
"""
_LEFT_OUT = ("doc", "info", "locale", "man")


def cache_folder() -> Path:
    """Where what takes long to make is kept, outside of any clone."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "s4"


def argv(target: Path) -> list[str]:
    """The command that makes it in *target*."""
    return [
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{n}/*" for n in _LEFT_OUT),
        f"--customize-hook={_FINISH}",
        SUITE,
        str(target),
        MIRROR,
    ]


def recipe_hash() -> str:
    """Changes with everything that it is made of, but for Debian's own updates."""
    made_of = [argv(Path("root")), MASKED, _CONTAINERS]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


def make_root(say: Callable[[str], None], folder: Path | None = None) -> Path:
    """The folder of the root; some minutes when it is made for the first time.

    Blocks.  Two that make it wait for one another; a root that is there is whole.
    """
    cache = folder or cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / f"root-{recipe_hash()}"
    with (cache / "root.lock").open("w") as lock:
        if not root.exists():
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Another one may have made it while we waited.
        if not root.exists():
            say("making the instances' root file system, once; some two minutes ...")
            _make(root)
    return root


def _make(root: Path) -> None:
    half = root.with_name(f"{root.name}.half")
    # Left by one that was killed: it holds no lock any more.
    shutil.rmtree(half, ignore_errors=True)
    done = subprocess.run(  # noqa: S603  (our own words)
        argv(half),
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "MASKED": " ".join(MASKED),
            "CONTAINERS": _CONTAINERS,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(half, ignore_errors=True)
        raise RuntimeError(f"mmdebstrap could not make a root: {done.stderr[-2000:]}")
    half.rename(root)
