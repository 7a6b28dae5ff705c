"""The settings of daemon and site for one run: the shipped examples, filled in.

Only what differs from ``config/*.localcloud.yaml`` is said here, so that the examples
are what really runs.
"""

from __future__ import annotations

import base64
import secrets
import shutil
from pathlib import Path
from typing import Any

import yaml
from pyrage import x25519

from lae_localcloud.booter.programs import REPOSITORY
from lae_localcloud.demo.layout import HOST_PORTS, Layout
from lae_localcloud.demo.parts import twistd_argv
from lae_localcloud.state_folder import write_private
from lae_protocol.process.resources import config_folder

_KEY_BYTES = 32


def prepare(layout: Layout) -> None:
    """The folders, plans and prices, and the secrets that nobody else makes."""
    layout.secrets.mkdir(mode=0o700, parents=True)
    for name in ("plans.yaml", "prices.yaml"):
        shutil.copy(config_folder() / name, layout.config / name)
    for name in ("journal-keys", "cookie-keys"):
        key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
        _keep(layout, f"{name}/0001.key", key)


def write_daemon(layout: Layout, node_ports: tuple[int, int]) -> Path:
    """The daemon's settings, once cloud, mail and Stripe are there."""
    aws, mail = layout.aws_facts(), layout.smtp_facts()
    _keep(layout, "aws-access.key", aws["daemon_access_key"])
    _keep(layout, "aws-secret.key", aws["daemon_secret_key"])
    _keep(layout, "smtp.password", Path(mail["password_file"]).read_text().strip())
    stripe_key = (layout.stripe / "restricted-key").read_text().strip()
    _keep(layout, "stripe-keys/0001.key", stripe_key)
    settings = _example("daemon")
    settings["deployment"] = aws["deployment"]
    settings["state"] = str(layout.daemon)
    settings["site_url"] = layout.site_url
    settings["metrics_listen"] = _loopback(layout.metrics_ports[0])
    for tub, port in zip(
        ("private_tub", "hosts_tub"), layout.daemon_ports, strict=True
    ):
        settings[tub] = {"listen": _loopback(port), "location": f"localhost:{port}"}
    settings["stripe"]["endpoint"] = layout.stripe_endpoint()
    settings["aws"] |= {
        "account": aws["account_id"],
        "region": aws["region"],
        "state_bucket": aws["state_bucket"],
        "endpoint": aws["aws_endpoint"],
        "s3_endpoint": aws["s3_endpoint"],
    }
    settings["sealing"] |= {
        "kms_key": aws["kms_key_arn"],
        "recovery_recipients": [_recovery_recipient(layout)],
    }
    settings["mail"] |= {
        "host": mail["host"],
        "port": mail["port"],
        "user": mail["user"],
        "trust_root": mail["ca_file"],
    }
    settings["cells"][0] |= {
        "zone": aws["availability_zone"],
        "dns_zone": aws["dns_zone"],
        "dns_zone_id": aws["hosted_zone_id"],
        "image_id": aws["image_id"],
        "image_owner": aws["account_id"],
        "instance_type": aws["instance_type"],
        "subnet_id": aws["subnet_id"],
        "security_groups": [aws["security_group_id"]],
        "boundary_arn": aws["boundary_arn"],
        "role_path": aws["role_path"],
        "program": {
            "command": list(twistd_argv("lae-node")),
            "programs": REPOSITORY,
        },
        "ports": {"first": node_ports[0], "last": node_ports[1]},
        "s3_endpoint": aws["s3_endpoint"],
    }
    if aws["inside"] is not None:
        _use_machines(layout, settings, aws["inside"])
    return _write(layout, "daemon", settings)


def _use_machines(
    layout: Layout, settings: dict[str, Any], inside: dict[str, Any]
) -> None:
    """The metal level's hosts: addresses and names of their own, and a signed image."""
    port = layout.daemon_ports[1]
    settings["hosts_tub"]["location"] = f"{inside['services']}:{port}"
    cell = settings["cells"][0]
    cell["s3_endpoint"] = inside["s3_endpoint"]
    cell["program"] = layout.image_facts()
    cell["ports"] = dict(zip(("introducer", "storage"), HOST_PORTS, strict=True))
    cell["identity_certificates"] = [str(layout.aws / "instance-identity.pem")]
    for of_one_machine in ("host_name", "listen"):
        del cell[of_one_machine]


def write_site(layout: Layout) -> Path:
    """The site's settings, once the daemon has written its furl."""
    shutil.copy(layout.front_desk_furl, layout.secrets / "front-desk.furl")
    (layout.secrets / "front-desk.furl").chmod(0o600)
    secret = (layout.stripe / "webhook-secret-0").read_text().strip()
    _keep(layout, "webhook-secrets/0001.key", secret)
    settings = _example("site")
    settings["site_url"] = layout.site_url
    settings["listen"] = _loopback(layout.site_port)
    settings["metrics_listen"] = _loopback(layout.metrics_ports[1])
    settings["checkout_origins"] = [layout.stripe_endpoint()]
    return _write(layout, "site", settings)


def _loopback(port: int) -> str:
    return f"tcp:{port}:interface=127.0.0.1"


def _example(name: str) -> dict[str, Any]:
    text = (config_folder() / f"{name}.localcloud.yaml").read_text()
    settings: dict[str, Any] = yaml.safe_load(text)
    return settings


def _write(layout: Layout, name: str, settings: dict[str, Any]) -> Path:
    path = layout.config / f"{name}.yaml"
    write_private(path, yaml.safe_dump(settings, sort_keys=False))
    return path


def _keep(layout: Layout, name: str, text: str) -> None:
    path = layout.secrets / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(path, text + "\n")


def _recovery_recipient(layout: Layout) -> str:
    """The public half of the offline recovery key; the other stays in the state
    folder, where an operator would put it into a safe.
    """
    private = layout.root / "recovery.key"
    if not private.exists():
        write_private(private, str(x25519.Identity.generate()) + "\n")
    return str(x25519.Identity.from_str(private.read_text().strip()).to_public())
