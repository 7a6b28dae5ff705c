"""The user-data of a customer's host: Ignition, spec 3.3.0.

Fedora CoreOS and Flatcar read it; Butane is not needed, since the JSON is written
here and checked in tests by ``ignition-validate``.  It holds one secret: the bootstrap
furl, in a file of its own, so that the settings beside it hold none.
"""

from __future__ import annotations

import base64
import json
from typing import Literal

import yaml
from attrs import define

from lae_protocol.secret import Secret

#: EC2's limit for user-data, before its base64.
LIMIT = 16_384

SPEC = "3.3.0"
UNIT = "s4-node.service"
SETTINGS_FILE = "/etc/s4/node.yaml"
BOOTSTRAP_FILE = "/etc/s4/bootstrap.furl"
STATE_FOLDER = "/var/lib/s4"

#: Time for the node to tell its clients good-bye, and for the supervisor to wait.
STOP_SECONDS = 20


class UserDataTooLarge(ValueError):
    """EC2 would refuse it.  Shorten the configuration; a repeat changes nothing."""

    def __init__(self, size: int) -> None:
        super().__init__(f"user-data is {size} bytes long, EC2 takes {LIMIT}")


@define(frozen=True)
class CommandLaunch:
    """Run a program that the host has already (the process-level local cloud).

    *command* is a list of words; the first is a path.  It runs with ``/`` as its
    working directory and gets ``--config etc/s4/node.yaml`` after it.
    """

    command: tuple[str, ...]


@define(frozen=True)
class ImageLaunch:
    """Run a signed image by digest with podman, as on Fedora CoreOS.

    *image* is ``REGISTRY/NAME@sha256:…``; *log_in* are commands that run first, so
    that the registry lets the host pull.
    """

    image: str
    log_in: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if "@sha256:" not in self.image:
            raise ValueError("an image must be named by its digest: NAME@sha256:…")


Launch = CommandLaunch | ImageLaunch


@define(frozen=True)
class HostSettings:
    """What ``/etc/s4/node.yaml`` says; nothing of it is secret."""

    metadata_url: str
    aws_region: str
    s3_endpoint: str | None
    log_format: Literal["json", "text"]
    expire_leases_after_days: int | None = None
    connections: int | None = None
    connections_per_address: int | None = None


def user_data(settings: HostSettings, bootstrap: Secret, launch: Launch) -> Secret:
    """The Ignition document; the same arguments give the same bytes.

    Raises :class:`UserDataTooLarge`.
    """
    document = {
        "ignition": {"version": SPEC},
        "storage": {
            "files": [
                _file(SETTINGS_FILE, node_yaml(settings), 0o600),
                _file(BOOTSTRAP_FILE, bootstrap.reveal() + "\n", 0o600),
            ],
            "directories": [{"path": STATE_FOLDER, "mode": 0o700}],
        },
        "systemd": {
            "units": [{"name": UNIT, "enabled": True, "contents": unit(launch)}]
        },
    }
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    if len(text.encode()) > LIMIT:
        raise UserDataTooLarge(len(text.encode()))
    return Secret(text)


def node_yaml(settings: HostSettings) -> str:
    """The settings of ``lae-node``; paths are relative to the file's folder.

    What is None is left out: the node has its own defaults, and an image of an earlier
    release would refuse what it does not know.
    """
    policy = {
        "expire_leases_after_days": settings.expire_leases_after_days,
        "connections": settings.connections,
        "connections_per_address": settings.connections_per_address,
    }
    return yaml.safe_dump(
        {
            "process": "node",
            "bootstrap_furl": {"file": "bootstrap.furl"},
            "state_folder": "../../var/lib/s4",
            "metadata_url": settings.metadata_url,
            "aws_region": settings.aws_region,
            "s3_endpoint": settings.s3_endpoint,
            "log_format": settings.log_format,
            **{name: value for name, value in policy.items() if value is not None},
        },
        sort_keys=False,
    )


def unit(launch: Launch) -> str:
    """The systemd unit that runs the node and starts it again when it dies."""
    match launch:
        case CommandLaunch(command):
            service = _command_service(command)
        case ImageLaunch(image, log_in):
            service = _image_service(image, log_in)
    return "\n".join(
        [
            "[Unit]",
            "Description=S4: the introducer and storage node of one customer",
            "Wants=network-online.target",
            "After=network-online.target",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            *service,
            "Restart=always",
            "RestartSec=1",
            # Pulling an image, or waiting for the daemon, may outlast systemd's 90 s.
            "TimeoutStartSec=900",
            f"TimeoutStopSec={STOP_SECONDS}",
            "",
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        ]
    )


def _command_service(command: tuple[str, ...]) -> list[str]:
    words = [*command, "--config", SETTINGS_FILE.removeprefix("/")]
    return [
        "Type=notify",
        "WorkingDirectory=/",
        "ExecStart=" + " ".join(_quoted(word) for word in words),
    ]


def _image_service(image: str, log_in: tuple[str, ...]) -> list[str]:
    podman = [
        "/usr/bin/podman",
        "run",
        "--name=s4-node",
        "--replace",
        "--rm",
        "--network=host",
        # The container says READY=1 itself, when the node has proved itself.
        "--sdnotify=container",
        "--cgroups=split",
        "--read-only",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--volume=/etc/s4:/etc/s4:ro,Z",
        f"--volume={STATE_FOLDER}:{STATE_FOLDER}:Z",
        "--tmpfs=/tmp",
        f"--stop-timeout={STOP_SECONDS}",
        image,
    ]
    return [
        "Type=notify",
        "NotifyAccess=all",
        *(f"ExecStartPre={line}" for line in log_in),
        "ExecStart=" + " ".join(_quoted(word) for word in podman),
    ]


def _quoted(word: str) -> str:
    """One word of ``ExecStart``, by systemd's rules for quotes and specifiers."""
    doubled = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    if doubled and not set(doubled) & set(" \t'\";"):
        return doubled
    return '"' + doubled.replace('"', '\\"') + '"'


def _file(path: str, text: str, mode: int) -> dict[str, object]:
    encoded = base64.b64encode(text.encode()).decode("ascii")
    return {
        "path": path,
        "mode": mode,
        "overwrite": True,
        "contents": {"source": "data:;base64," + encoded},
    }
