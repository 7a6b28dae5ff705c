"""A machine with a real systemd: this one's own system, booted once more beside it.

Its root is an overlay on ours, in memory; PID 1 runs in namespaces of its own, but for
the network.  Nothing that happens in it is seen outside, and it ends with us.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from attrs import define, field

from lae_provision.deploy.remote import Shell
from tests.end_to_end.process import until

ROOT = Path(__file__).resolve().parents[2]
_CGROUPS = Path("/sys/fs/cgroup")
#: Services of a machine with hardware and a network of its own.
_MASKED = """
    systemd-udevd.service systemd-udev-trigger.service systemd-networkd.service
    systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup.service
    systemd-tmpfiles-clean.timer systemd-resolved.service systemd-timesyncd.service
    systemd-sysctl.service systemd-modules-load.service systemd-random-seed.service
    systemd-remount-fs.service systemd-pstore.service ldconfig.service
    systemd-binfmt.service systemd-sysusers.service systemd-logind.service
    dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount
    sys-kernel-tracing.mount sys-fs-fuse-connections.mount
    sys-kernel-config.mount proc-sys-fs-binfmt_misc.automount
    systemd-udevd-kernel.socket systemd-udevd-control.socket
    modprobe@configfs.service modprobe@fuse.service modprobe@drm.service
"""
_BOOT = """
set -e
mount -t tmpfs -o mode=755,size=3g none "$1"
cd "$1"
mkdir up work root
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" root
cd root
rm -rf etc/systemd/system etc/systemd/system.conf.d opt/s4 etc/s4 var/lib/s4
mkdir -p etc/systemd/system opt
printf '[Unit]\\nRequires=basic.target\\nAfter=basic.target\\nWants=multi-user.target\\n' \\
    > etc/systemd/system/lab.target
printf '[Unit]\\nRequires=basic.target\\n' > etc/systemd/system/multi-user.target
ln -s lab.target etc/systemd/system/default.target
for unit in $2; do ln -s /dev/null "etc/systemd/system/$unit"; done
: > etc/machine-id
mount -t tmpfs -o mode=755 none run
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 none dev
mkdir dev/pts dev/shm
for name in null zero full random urandom tty; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
shift 2
for place; do
    mkdir -p ".$place"
    mount --rbind "$place" ".$place"
done
mkdir .old
pivot_root . .old
umount -l /.old
rmdir /.old
exec env -i container=lab TERM=linux PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    /lib/systemd/systemd --log-target=journal --show-status=0
"""


def why_not() -> str | None:
    """Why no such machine can be had here; None where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a machine of one's own needs root on Linux"
    for name in ("systemctl", "unshare", "nsenter"):
        if shutil.which(name) is None:
            return f"{name} is not installed"
    if not Path("/lib/systemd/systemd").exists():
        return "systemd is not installed"
    return None


@define
class Machine:
    """One booted system; *shared* folders are the same inside and outside."""

    folder: Path
    shared: tuple[Path, ...]
    _unshare: Any = None
    _pid: int = 0
    _cgroup: Path = field(default=Path())

    def boot(self) -> None:
        """Until systemd says that it runs."""
        self.folder.mkdir()
        parent = _CGROUPS / "unified"
        if not parent.exists():
            parent = _CGROUPS
        self._cgroup = parent / f"s4-machine-{os.getpid()}-{id(self)}"
        self._cgroup.mkdir()
        apart = "--mount --uts --ipc --pid --fork --cgroup --kill-child"
        script = f'echo $$ > "$0/cgroup.procs"; exec unshare {apart} --propagation private "$@"'
        places = [str(p) for p in self.shared]
        with (self.folder.parent / "boot.log").open("wb") as log:
            self._unshare = subprocess.Popen(
                [
                    *("bash", "-c", script, str(self._cgroup)),
                    *("bash", "-c", textwrap.dedent(_BOOT), "boot"),
                    *(str(self.folder), " ".join(_MASKED.split()), *places),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._is_up, "systemd is up", 60)

    def _is_up(self) -> bool:
        assert self._unshare.poll() is None, (
            self.folder.parent / "boot.log"
        ).read_text()
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        pids = children.read_text().split()
        if not pids:
            return False
        self._pid = int(pids[0])
        if Path(f"/proc/{self._pid}/comm").read_text().strip() != "systemd":
            return False
        said = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return said in {"running", "degraded"}

    @property
    def within(self) -> tuple[str, ...]:
        """What goes before a command that shall run there."""
        return ("nsenter", "-t", str(self._pid), "-m", "-p", "-i", "-u", "-C")

    @property
    def shell(self) -> Shell:
        """The machine as a :class:`lae_provision.deploy.remote.Remote`."""
        return Shell("the machine", (*self.within, "sh", "-c"))

    def run(
        self, *argv: str, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run it there."""
        done = subprocess.run(
            [*self.within, *argv],
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        assert not check or done.returncode == 0, (
            f"{shlex.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def log(self, unit: str, lines: int = 60) -> str:
        """The last words of a unit."""
        argv = ("journalctl", "-u", unit, "-n", str(lines), "--no-pager", "-o", "cat")
        return self.run(*argv, check=False).stdout

    def stop(self) -> None:
        """End it, and all that runs in it."""
        if self._unshare is not None:
            if self._pid:
                os.kill(self._pid, 9)
            self._unshare.wait(20)
        until(self._swept, "the cgroups are gone", 20)

    def _swept(self) -> bool:
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                return False
        return not self._cgroup.exists()
