"""The settings of site and daemon, written for a local cloud that is running."""

from __future__ import annotations

import base64
import json
import secrets
import sys
from pathlib import Path
from typing import Any

import pyrage
import yaml
from attrs import define

from lae_protocol.process.resources import config_folder
from lae_provision.localcloud.state_folder import write_private


@define(frozen=True)
class Ground:
    """What is running already, and where site and daemon shall be.

    *aws* is the content of the cloud's ``aws.json``; *smtp* and *stripe* are folders.
    *node_ports* (first, last) are free ports for customers' nodes.
    """

    folder: Path
    aws: dict[str, str]
    stripe_endpoint: str
    stripe_folder: Path
    smtp: dict[str, Any]
    site_port: int
    private_port: int
    hosts_port: int
    node_ports: tuple[int, int]

    @property
    def site_url(self) -> str:
        """Where a person begins."""
        return f"http://localhost:{self.site_port}"


def prepare_secrets(folder: Path) -> None:
    """Make the keys that nobody else makes; the recovery key is *offline* elsewhere."""
    kept = folder / "secrets"
    kept.mkdir(mode=0o700, exist_ok=True)
    key = base64.b64encode(secrets.token_bytes(32)).decode("ascii")
    write_private(kept / "journal.key", key + "\n")
    write_private(kept / "cookie.key", secrets.token_hex(32) + "\n")
    recovery = pyrage.x25519.Identity.generate()
    write_private(kept / "recovery.key", str(recovery) + "\n")
    (kept / "recovery.pub").write_text(str(recovery.to_public()) + "\n", "ascii")


def daemon_settings(ground: Ground) -> dict[str, Any]:
    """What ``config/daemon.localcloud.yaml`` shows, with what this cloud has made."""
    aws, smtp = ground.aws, ground.smtp
    kept = ground.folder / "secrets"
    twistd = str(Path(sys.executable).with_name("twistd"))
    return {
        "process": "daemon",
        "environment": "local",
        "deployment": aws["deployment"],
        "state": str(ground.folder / "daemon"),
        "site_url": ground.site_url,
        "plans_file": str(config_folder() / "plans.yaml"),
        "private_tub": _tub(ground.private_port),
        "hosts_tub": _tub(ground.hosts_port),
        "stripe": {
            "api_keys": [{"file": str(ground.stripe_folder / "restricted-key")}],
            "mode": "test",
            "endpoint": ground.stripe_endpoint,
        },
        "aws": {
            "account": aws["account_id"],
            "region": aws["region"],
            "state_bucket": aws["state_bucket"],
            "endpoint": aws["aws_endpoint"],
            "s3_endpoint": aws["s3_endpoint"],
            "access_key": {"file": str(kept / "aws-access.key")},
            "secret_key": {"file": str(kept / "aws-secret.key")},
        },
        "sealing": {
            "kms_key": aws["kms_key_arn"],
            "recovery_recipients": [(kept / "recovery.pub").read_text("ascii").strip()],
            "journal_keys": [{"file": str(kept / "journal.key")}],
        },
        "mail": {
            "host": "localhost",
            "port": smtp["port"],
            "user": smtp["user"],
            "password": {"file": smtp["password_file"]},
            "trust_root": smtp["ca_file"],
            "from_name": "S4 on this machine",
            "from_address": "storage@localhost.localdomain",
            "support_address": "support@localhost.localdomain",
            "bounces": "bounces@localhost.localdomain",
            "operators": ["operator@localhost.localdomain"],
        },
        "cells": [
            {
                "name": "local",
                "zone": aws["availability_zone"],
                "dns_zone": aws["dns_zone"],
                "dns_zone_id": aws["hosted_zone_id"],
                "image_id": aws["image_id"],
                "instance_type": aws["instance_type"],
                "subnet_id": aws["subnet_id"],
                "security_groups": [aws["security_group_id"]],
                "boundary_arn": aws["boundary_arn"],
                "role_path": aws["role_path"],
                "program": {
                    "command": [twistd, "--nodaemon", "--pidfile=", "lae-node"]
                },
                "ports": {
                    "first": ground.node_ports[0],
                    "last": ground.node_ports[1],
                },
                "host_name": "localhost",
                "listen": "127.0.0.1",
                "s3_endpoint": aws["s3_endpoint"],
            }
        ],
        "log_format": "json",
    }


def site_settings(ground: Ground) -> dict[str, Any]:
    """What ``config/site.localcloud.yaml`` shows, for this run."""
    kept = ground.folder / "secrets"
    return {
        "process": "site",
        "environment": "local",
        "site_url": ground.site_url,
        "listen": f"tcp:{ground.site_port}:interface=127.0.0.1",
        "front_desk_furl": {"file": str(ground.folder / "daemon/front-desk.furl")},
        "webhook_secrets": [{"file": str(ground.stripe_folder / "webhook-secret-0")}],
        "cookie_keys": [{"file": str(kept / "cookie.key")}],
        "plans_file": str(config_folder() / "plans.yaml"),
        "checkout_origins": [ground.stripe_endpoint],
        "cookies_over_http": True,
        "registrations_per_hour": 100_000,
        "usual_build_minutes": 1,
        "support_email": "support@localhost.localdomain",
        "operator_name": "S4 on this machine",
        "operator_address": "localhost",
        "log_format": "json",
    }


def write_settings(ground: Ground) -> tuple[Path, Path]:
    """Write both files; the daemon's and the site's path."""
    kept = ground.folder / "secrets"
    write_private(kept / "aws-access.key", ground.aws["daemon_access_key"] + "\n")
    write_private(kept / "aws-secret.key", ground.aws["daemon_secret_key"] + "\n")
    paths = ground.folder / "daemon.yaml", ground.folder / "site.yaml"
    for path, settings in zip(
        paths, (daemon_settings(ground), site_settings(ground)), strict=True
    ):
        path.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
    return paths


def _tub(port: int) -> dict[str, str]:
    return {
        "listen": f"tcp:{port}:interface=127.0.0.1",
        "location": f"localhost:{port}",
    }


def read_facts(path: Path) -> dict[str, str]:
    """Read the cloud's ``aws.json``."""
    facts: dict[str, str] = json.loads(path.read_text("utf-8"))
    return facts
