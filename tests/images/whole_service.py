"""Daemon and site in the service image, on one machine that reaches nobody else."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lae_localcloud.certificates import make_certificates
from lae_protocol.process.resources import config_folder

HERE = Path(__file__).parent
USER = 10001
#: The image's files read-only, but for the daemon's folder; the network is empty.
INSIDE = """set -e
root=$1 place=$2 user=$3; shift 3
ip link set lo up
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$place/etc" "$root/etc/s4"
mount --bind "$place/state" "$root/var/lib/s4"
mount -o remount,ro,bind "$root"
exec chroot $user "$root" "$@"
"""
KEY = base64.b64encode(b"k" * 32).decode()
SECRETS = {
    "stripe-keys/0001.key": "rk_test_0123456789abcdef",
    "journal-keys/0001.key": KEY,
    "cookie-keys/0001.key": KEY,
    "webhook-secrets/0001.key": "whsec_0123456789abcdef",
    "aws-access.key": "AKIAIOSFODNN7EXAMPLE",
    "aws-secret.key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "smtp.password": "password",
}
#: What differs from the examples for a trial on one machine.
CHANGES = {
    "daemon": (
        ("state: daemon", "state: /var/lib/s4/daemon"),
        # Nobody gives this container a file of hosts.
        ("localhost:8401", "127.0.0.1:8401"),
    ),
    "site": (("secrets/front-desk.furl", "/var/lib/s4/daemon/front-desk.furl"),),
}


def prepare(place: Path) -> None:
    """Settings and secrets as podman would mount them, and the daemon's folder."""
    etc, state, ca = (place / name for name in ("etc", "state", "ca"))
    for folder in (place, etc, state, ca):
        folder.mkdir(mode=0o755, exist_ok=True)
    for name in ("plans", "prices"):
        shutil.copy(config_folder() / f"{name}.yaml", etc)
    for name, changes in CHANGES.items():
        text = (config_folder() / f"{name}.localcloud.yaml").read_text("utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (etc / f"{name}.yaml").write_text(text, "utf-8")
    shutil.copy(make_certificates(ca, "localhost").authority, etc / "ca.pem")
    for name, secret in SECRETS.items():
        path = etc / "secrets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(secret, "utf-8")
        path.chmod(0o600)
    if os.geteuid() == 0:
        for path in (etc, state, *etc.rglob("*")):
            os.chown(path, USER, USER)


def run_whole(root: Path, place: Path, entry: Sequence[str]) -> dict[str, Any]:
    """Start both, ask the site for pages, end both: what was seen."""
    prepare(place)
    is_root = os.geteuid() == 0
    become = () if is_root else ("--map-root-user",)
    user = f"--userspec={USER}:{USER}" if is_root else "--userspec=0:0"
    script = (HERE / "run_service.py").read_text("utf-8")
    done = subprocess.run(
        [
            *("unshare", *become, "--net", "--mount", "--propagation=private"),
            *("sh", "-c", INSIDE, "sh", root, place, user),
            *("/opt/s4/bin/python", "-", *entry),
        ],
        check=False,
        input=script,
        capture_output=True,
        text=True,
        timeout=400,
        env={"PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"},
    )
    logs = [p.read_text("utf-8") for p in place.glob("state/*.log")]
    assert done.returncode == 0, "\n".join((done.stderr, *logs))
    told: dict[str, Any] = json.loads(done.stdout)
    return told
