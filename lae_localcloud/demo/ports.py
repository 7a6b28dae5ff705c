"""Rows of free ports on loopback, for hosts that are to come."""

from __future__ import annotations

import secrets
import socket

from lae_localcloud import ports

#: Apart from single ports, which others on the machine take after us.
_LOWEST, _HIGHEST = ports.HIGHEST, 32_000


def is_free(port: int) -> bool:
    """Whether the port can be bound now."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_range(length: int) -> tuple[int, int]:
    """The first and last of a row of ports that are all free now."""
    while True:
        first = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST - length)
        if all(is_free(port) for port in range(first, first + length)):
            return first, first + length - 1
