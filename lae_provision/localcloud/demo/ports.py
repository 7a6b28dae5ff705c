"""Free ports on loopback, chosen before the programs that will bind them start."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

#: Below where Linux takes ports for outgoing connections, above well-known ones.
_LOWEST, _HIGHEST = 12_000, 32_000


def is_free(port: int) -> bool:
    """Whether the port can be bound now."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Some ports that are free now, all different."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            s = held.enter_context(socket.socket())
            port = random.randrange(_LOWEST, _HIGHEST)  # noqa: S311  (no secret)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    return found


def free_range(length: int) -> tuple[int, int]:
    """The first and last of a row of ports that are all free now."""
    while True:
        first = random.randrange(_LOWEST, _HIGHEST - length)  # noqa: S311
        if all(is_free(port) for port in range(first, first + length)):
            return first, first + length - 1
