"""What this machine must have for instances to be machines."""

from __future__ import annotations

import os
import shutil
import sys

import click

#: Programs by Debian's name of their package.
PROGRAMS = {
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}


def why_not() -> str | None:
    """In one line why there can be none here, and what to do; None where there can."""
    if sys.platform != "linux":
        return "its instances are Linux namespaces; run it on Linux, as root"
    if os.geteuid() != 0:
        return "it needs root for namespaces; say: sudo make demo LEVEL=metal"
    missing = sorted({p for name, p in PROGRAMS.items() if shutil.which(name) is None})
    if missing:
        return f"packages are missing; say: apt-get install {' '.join(missing)}"
    return None


def raise_if_no_metal() -> None:
    """Refuse in one line where instances cannot be machines."""
    problem = why_not()
    if problem is not None:
        raise click.ClickException(f"the metal level: {problem}")
