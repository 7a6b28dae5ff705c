"""Tell the supervisor that the service is up (systemd's ``sd_notify`` protocol)."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> bool:
    """Send *state* (``READY=1``, ``STOPPING=1``, …); False with no supervisor.

    https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # an abstract socket of Linux
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
        try:
            s.sendto(state.encode(), address)
        except OSError:
            # A supervisor that went away is no reason for a service to fail.
            return False
    return True
