"""Free ports, for programs that must be told theirs before they start."""

from __future__ import annotations

import os
import secrets
import socket
from collections import deque
from contextlib import ExitStack

#: Below where Linux takes ports for connections and for whoever asks for any, above
#: well-known ones: none of these is lost to a stranger before its program binds it.
#: Above them are rows of ports, `lae_localcloud.demo.ports`.
LOWEST, HIGHEST = 12_000, 24_000
#: Ports that this process keeps others from choosing; those chosen before are bound.
RESERVED = 200

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
                _reserve(port)
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    return found


def _reserve(port: int) -> None:
    """Hold the port's name until this process ends or has chosen many others.

    The name is an abstract Unix socket's, which the kernel drops with its holder.
    Raises OSError where another process holds it.
    """
    with socket.socket(socket.AF_UNIX) as name:
        name.bind(f"\0s4-port-{port}")
        _reserved.append(name.detach())
    while len(_reserved) > RESERVED:
        os.close(_reserved.popleft())
