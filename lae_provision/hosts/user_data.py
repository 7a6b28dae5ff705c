"""The user-data of a customer's host: Ignition, spec 3.3.0.

Fedora CoreOS reads it at its first boot; Butane is not needed, since the JSON is
written here and checked in tests by ``ignition-validate``.  It holds one secret: the
bootstrap furl, in a file of its own, so that the settings beside it hold none.
"""

from __future__ import annotations

import json
from typing import Any, Literal, assert_never

import yaml
from attrs import define

from lae_protocol.secret import Secret
from lae_provision.hosts.entries import SPEC, Entry, file, folder, owned
from lae_provision.hosts.entries import unit as unit_entry
from lae_provision.hosts.node_unit import SETTINGS_FILE, STATE_FOLDER, UNIT, unit
from lae_provision.hosts.program_unit import FOLDER as PROGRAM_FOLDER
from lae_provision.hosts.program_unit import UNIT as PROGRAM_UNIT
from lae_provision.hosts.program_unit import UNIT_TEXT, program_files
from lae_provision.hosts.programs import CommandLaunch, ImageLaunch, Launch
from lae_provision.hosts.pulling import pulling_files
from lae_provision.hosts.signatures import signature_files
from lae_provision.hosts.upkeep import closed_units, upkeep_files

#: EC2's limit for user-data, before its base64.
LIMIT = 16_384

BOOTSTRAP_FILE = "/etc/s4/bootstrap.furl"


class UserDataTooLarge(ValueError):
    """EC2 would refuse it.  Shorten the configuration; a repeat changes nothing."""

    def __init__(self, size: int) -> None:
        super().__init__(f"user-data is {size} bytes long, EC2 takes {LIMIT}")


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
    report_seconds: int | None = None


def user_data(
    settings: HostSettings, bootstrap: Secret, launch: Launch, label: str
) -> Secret:
    """The Ignition document; the same arguments give the same bytes.

    *label* is the grid's: the window for the system's updates is drawn from it.
    Raises :class:`UserDataTooLarge`.
    """
    private = [
        file(SETTINGS_FILE, node_yaml(settings), 0o600),
        file(BOOTSTRAP_FILE, bootstrap.reveal() + "\n", 0o600),
    ]
    state = folder(STATE_FOLDER, 0o700)
    units = [unit_entry(UNIT, unit(launch))]
    match launch:
        case CommandLaunch():
            document = _document(private, [state], units)
        case ImageLaunch():
            document = _whole_machine(private, state, units, launch, label)
        case _:
            assert_never(launch)
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    if len(text.encode()) > LIMIT:
        raise UserDataTooLarge(len(text.encode()))
    return Secret(text)


def _whole_machine(
    private: list[Entry],
    state: Entry,
    units: list[Entry],
    launch: ImageLaunch,
    label: str,
) -> dict[str, Any]:
    files = [
        *(owned(entry) for entry in private),
        *signature_files(launch),
        *pulling_files(launch),
        *program_files(launch),
        *upkeep_files(label),
    ]
    key = launch.break_glass_key
    units = [
        *units,
        unit_entry(PROGRAM_UNIT, UNIT_TEXT),
        *closed_units(break_glass=key is not None),
    ]
    folders = [owned(state), folder(PROGRAM_FOLDER, 0o700)]
    document = _document(files, folders, units)
    if key is not None:
        user = {"name": "core", "sshAuthorizedKeys": [key]}
        document["passwd"] = {"users": [user]}
    return document


def _document(
    files: list[Entry], directories: list[Entry], units: list[Entry]
) -> dict[str, Any]:
    return {
        "ignition": {"version": SPEC},
        "storage": {"files": files, "directories": directories},
        "systemd": {"units": units},
    }


def node_yaml(settings: HostSettings) -> str:
    """The settings of ``lae-node``; paths are relative to the file's folder.

    What is None is left out: the node has its own defaults, and an image of an earlier
    release would refuse what it does not know.
    """
    policy = {
        "expire_leases_after_days": settings.expire_leases_after_days,
        "connections": settings.connections,
        "connections_per_address": settings.connections_per_address,
        "report_seconds": settings.report_seconds,
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
