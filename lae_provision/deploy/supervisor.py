"""The supervisor, which keeps the daemon and the site's copies running on a host.

An interface, so that another supervisor can replace systemd.  A release's folder has
its units, which systemd finds through the link to the current release: the switch
changes code and units together.
"""

from __future__ import annotations

import re
from typing import Protocol

from attrs import define

from lae_provision.deploy import layout
from lae_provision.deploy.engine import StepFailed
from lae_provision.deploy.intent import ReleaseId
from lae_provision.deploy.remote import CommandFailed, Remote

#: How long a unit may take to be ready; longer than the units' own TimeoutStartSec.
_START_TIMEOUT = 100.0  # s
_RELEASE = re.compile(re.escape(layout.RELEASES) + r"/([^/\s]+)/")
_LISTEN = re.compile(r"^(?:ListenStream=|Listen=)(\S+)", re.MULTILINE)
_LAST_LINES = "15"


@define(frozen=True)
class Running:
    """The release that each process runs; None for a process that is not up."""

    daemon: ReleaseId | None
    sites: tuple[tuple[int, ReleaseId | None], ...]


class Supervisor(Protocol):
    """Starts processes, and restarts them when they die."""

    def running(self) -> Running:
        """Find what runs now, for the daemon and each enabled copy of the site."""
        ...

    def restart(self, unit: str) -> None:
        """Restart a unit from its current file, and wait until it is ready.

        Raises :class:`StepFailed` with the end of its log if it does not get ready.
        """
        ...

    def enable(self, sites: int) -> None:
        """Have the daemon and this many copies of the site started at boot."""
        ...

    def reload_units(self) -> None:
        """Read the units of the current release."""
        ...

    def site_address(self) -> str:
        """Find the HOST:PORT at which the copies accept connections."""
        ...


@define(frozen=True)
class Systemd:
    """systemd, through systemctl."""

    remote: Remote

    def running(self) -> Running:
        """See :class:`Supervisor`: the release is in the process's command line."""
        try:
            said = self.remote.run(("sh", "-c", _SHOW))
        except CommandFailed as e:
            raise StepFailed(e.words) from None
        found: dict[str, ReleaseId | None] = {}
        for line in said.splitlines():
            unit, _, command = line.partition(" ")
            match = _RELEASE.search(command)
            found[unit] = ReleaseId(match[1]) if match else None
        sites = {
            int(match[1]): release
            for unit, release in found.items()
            if (match := re.fullmatch(r"s4-site@(\d+)\.service", unit))
        }
        return Running(found.get(layout.DAEMON_UNIT), tuple(sorted(sites.items())))

    def restart(self, unit: str) -> None:
        """See :class:`Supervisor`."""
        self.remote.run(("systemctl", "daemon-reload"))
        try:
            # systemd does not start a unit that failed too often without reset-failed.
            self.remote.run(
                ("sh", "-c", _RESTART, "restart", unit), seconds=_START_TIMEOUT
            )
        except CommandFailed as e:
            raise StepFailed(
                f"{unit} did not start: {self._read_log(unit, e)}"
            ) from None

    def enable(self, sites: int) -> None:
        """See :class:`Supervisor`.

        The links are made without systemctl, which would resolve the link to the
        release.
        """
        self.remote.run(("sh", "-c", _ENABLE, "enable", str(sites)))

    def reload_units(self) -> None:
        """See :class:`Supervisor`; running processes are not affected."""
        self.remote.run(("systemctl", "daemon-reload"))
        self.remote.run(("systemctl", "start", layout.SOCKET_UNIT))

    def site_address(self) -> str:
        """See :class:`Supervisor`."""
        said = self.remote.run(
            ("systemctl", "show", "-p", "Listen", layout.SOCKET_UNIT)
        )
        match = _LISTEN.search(said)
        if match is None:
            raise StepFailed(
                f"{layout.SOCKET_UNIT} does not listen:"
                f" see systemctl status {layout.SOCKET_UNIT}"
            )
        return match[1].replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")

    def _read_log(self, unit: str, failed: CommandFailed) -> str:
        argv = ("journalctl", "-u", unit, "-n", _LAST_LINES, "-o", "cat", "--no-pager")
        try:
            said = self.remote.run(argv).strip().splitlines()
        except CommandFailed:
            said = []
        told = [line for line in said if not line.startswith("s4-")]
        return " | ".join(told[-4:]) or failed.words


# Prints a line for each enabled unit: its name and its command line.
_SHOW = f"""cd {layout.UNITS}/multi-user.target.wants 2>/dev/null || exit 0
set --
for unit in s4-daemon.service s4-site@*.service; do
  [ ! -L "$unit" ] || set -- "$@" "$unit"
done
[ $# -gt 0 ] || exit 0
systemctl show -p Id -p ActiveState -p MainPID "$@" | while IFS== read -r key value; do
  case "$key" in
    MainPID) pid=$value ;;
    ActiveState) state=$value ;;
    Id) unit=$value ;;
  esac
  # systemctl prints the three properties of a unit in any order.
  if [ -n "${{pid:-}}" ] && [ -n "${{state:-}}" ] && [ -n "${{unit:-}}" ]; then
    command=
    if [ "$state" = active ] && [ "$pid" != 0 ]; then
      command=$(tr '\\0' ' ' < "/proc/$pid/cmdline" || true)
    fi
    echo "$unit $command"
    pid= state= unit=
  fi
done
"""
_RESTART = """systemctl reset-failed "$1" 2>/dev/null || true
exec systemctl restart "$1"
"""
_ENABLE = f"""set -eu
cd {layout.UNITS}
mkdir -p multi-user.target.wants sockets.target.wants
for unit in s4-daemon.service s4-site@.service s4-site.socket s4-backup.service; do
  ln -sfnT "{layout.CURRENT}/units/$unit" "$unit"
done
ln -sfnT ../s4-daemon.service multi-user.target.wants/s4-daemon.service
ln -sfnT ../s4-site.socket sockets.target.wants/s4-site.socket
for link in multi-user.target.wants/s4-site@*.service; do
  number=${{link##*@}}
  number=${{number%.service}}
  case "$number" in *[!0-9]*) continue ;; esac
  if [ "$number" -gt "$1" ]; then
    systemctl stop "s4-site@$number.service" || true
    rm -f "$link"
  fi
done
number=1
while [ "$number" -le "$1" ]; do
  ln -sfnT ../s4-site@.service "multi-user.target.wants/s4-site@$number.service"
  number=$((number + 1))
done
"""
