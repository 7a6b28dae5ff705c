"""Free ports, for programs that must be told theirs before they start."""

from __future__ import annotations

import os
import secrets
import socket
from collections import deque
from contextlib import ExitStack

#: Below where Linux takes ports for connections and for whoever asks for any, above
#: well-known ones: none of these is lost to a stranger before its program binds it.
LOWEST = 12_000
HIGHEST = 18_000
#: Above single ports are rows of ports, for hosts that are to come.
ROWS_HIGHEST = 32_000
#: Ports of a row that are reserved under one name.
BLOCK = 20
#: Single ports that this process keeps others from choosing; those chosen before are
#: bound.
RESERVED = 200
#: Rows that are looked at before the search is given up.
TRIES = 1000

#: File descriptors, the oldest first.
_reserved: deque[int] = deque()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that are free now, all different, for this process alone.

    A program binds its port some time after it was chosen, and again when it is
    restarted: until then no other caller of this function is given the same port.
    """
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            s = held.enter_context(socket.socket())
            # Not of `random`: seeded alike, two processes would choose alike.
            port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
            try:
                _reserved.append(_reserve(port))
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    while len(_reserved) > RESERVED:
        os.close(_reserved.popleft())
    return found


def free_range(length: int) -> tuple[int, int]:
    """The first and last of a row of ports that are all free now, for this process
    alone, until it ends.

    Raises RuntimeError where there is none.
    """
    for _ in range(TRIES):
        blocks = (ROWS_HIGHEST - HIGHEST - length) // BLOCK
        first = HIGHEST + BLOCK * secrets.randbelow(blocks + 1)
        if _reserve_row(first, length):
            return first, first + length - 1
    raise RuntimeError(
        f"no row of {length} free ports from {HIGHEST} to {ROWS_HIGHEST}: "
        "other processes hold them (ss -ltnp shows which)"
    )


def _reserve_row(first: int, length: int) -> bool:
    """Reserve the row's blocks, or nothing where one of its ports is another's."""
    held: list[int] = []
    try:
        held.extend(_reserve(p) for p in range(first, first + length, BLOCK))
    except OSError:
        free = False
    else:
        free = all(_is_free(port) for port in range(first, first + length))
    if not free:
        for name in held:
            os.close(name)
    return free


def _is_free(port: int) -> bool:
    """Whether the port can be bound now."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _reserve(port: int) -> int:
    """Hold the port's name until the file descriptor that is returned is closed.

    The name is an abstract Unix socket's, which the kernel drops with its holder.
    Raises OSError where another process holds it.
    """
    with socket.socket(socket.AF_UNIX) as name:
        name.bind(f"\0s4-port-{port}")
        return name.detach()
