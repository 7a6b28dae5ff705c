"""The systemd unit that runs the node and starts it again when it dies."""

from __future__ import annotations

from typing import assert_never

from lae_provision.hosts.entries import NODE_USER
from lae_provision.hosts.program_unit import STARTED
from lae_provision.hosts.programs import CommandLaunch, ImageLaunch, Launch
from lae_provision.hosts.pulling import PULL
from lae_provision.hosts.upkeep import METADATA_RULES

UNIT = "s4-node.service"
NAME = "s4-node"
SETTINGS_FILE = "/etc/s4/node.yaml"
STATE_FOLDER = "/var/lib/s4"

#: What the unit starts, for systemd to fill in.
_STARTED = "${S4_PROGRAM}"
#: Time for the node to tell its clients good-bye, and for the supervisor to wait.
STOP_SECONDS = 20
#: ... and for podman to remove the container.
STOP_AND_REMOVE_SECONDS = 40


def unit(launch: Launch) -> str:
    """The systemd unit that runs the node and starts it again when it dies."""
    match launch:
        case CommandLaunch():
            service = _command_service(launch)
        case ImageLaunch():
            service = _image_service()
        case _:
            assert_never(launch)
    return "\n".join(
        [
            "[Unit]",
            "Description=S4: the introducer and storage node of one customer",
            "Wants=network-online.target",
            "After=network-online.target",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            "Type=notify",
            *service,
            "Restart=always",
            "RestartSec=1",
            # Pulling an image, or waiting for the daemon, may outlast systemd's 90 s.
            "TimeoutStartSec=900",
            "",
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        ]
    )


def _command_service(launch: CommandLaunch) -> list[str]:
    words = [*launch.command, "--config", SETTINGS_FILE.removeprefix("/")]
    return [
        "WorkingDirectory=/",
        "ExecStart=" + " ".join(_quoted(word) for word in words),
        f"TimeoutStopSec={STOP_SECONDS}",
    ]


def _image_service() -> list[str]:
    run = " ".join(word if word == _STARTED else _quoted(word) for word in podman_run())
    return [
        "NotifyAccess=all",
        # The container lives in a cgroup below the unit's own (--cgroups=split), so
        # that the unit's limit is the container's.
        "Delegate=yes",
        "MemoryMax=80%",
        f"ExecStartPre=/usr/sbin/nft -f {METADATA_RULES}",
        f"ExecStartPre={PULL}",
        # Read anew before each command: the pull before has written it.
        f"EnvironmentFile=-{STARTED}",
        f"ExecStart={run}",
        # systemd's pauses never shrink by themselves: a node that came up and dies
        # weeks later would wait for the longest one.
        f"ExecStartPost=/usr/bin/systemctl reset-failed {UNIT}",
        f"ExecStop=/usr/bin/podman stop --ignore --time={STOP_SECONDS} {NAME}",
        f"ExecStopPost=-/usr/bin/podman rm --force --ignore --time=0 {NAME}",
        # 1, 2.3, 5.2, 11.8, 26.5, then 60 seconds, while the image cannot be pulled or
        # the node does not come up.
        "RestartSteps=5",
        "RestartMaxDelaySec=60",
        f"TimeoutStopSec={STOP_AND_REMOVE_SECONDS}",
        # EC2 shows operators the console alone.
        "StandardOutput=journal+console",
        "StandardError=journal+console",
        f"SyslogIdentifier={NAME}",
    ]


def podman_run() -> list[str]:
    """The words of ``podman run``."""
    return [
        "/usr/bin/podman",
        "run",
        "--detach",
        f"--name={NAME}",
        "--replace",
        "--rm",
        # The unit pulls before, where the signature is checked.
        "--pull=never",
        # Of an address and ports that clients know.
        "--network=host",
        # The node says READY=1 itself, when it serves.
        "--sdnotify=container",
        "--cgroups=split",
        # The unit writes the journal: podman writes no second log.
        "--log-driver=passthrough",
        # The image's own check; systemd starts what it kills.
        "--health-on-failure=kill",
        f"--user={NODE_USER}:{NODE_USER}",
        "--read-only",
        "--read-only-tmpfs=false",
        "--tmpfs=/tmp:rw,nosuid,nodev,noexec,mode=1777,size=64m",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        # Z: SELinux lets this container in, and no other.
        "--volume=/etc/s4:/etc/s4:ro,Z",
        f"--volume={STATE_FOLDER}:{STATE_FOLDER}:Z",
        _STARTED,
        "--config",
        SETTINGS_FILE,
    ]


def _quoted(word: str) -> str:
    """One word of ``ExecStart``, by systemd's rules for quotes and specifiers."""
    doubled = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    if doubled and not set(doubled) & set(" \t'\";"):
        return doubled
    return '"' + doubled.replace('"', '\\"') + '"'
