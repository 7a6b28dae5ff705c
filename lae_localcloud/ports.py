"""Free ports, for programs that must be told theirs before they start."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack

#: Below where Linux takes ports for connections and for whoever asks for any, above
#: well-known ones: none of these is lost to a stranger before its program binds it.
#: Above them are rows of ports, `lae_localcloud.demo.ports`.
LOWEST, HIGHEST = 12_000, 24_000


def free_ports(count: int) -> list[int]:
    """Ports of loopback that are free now, all different."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            s = held.enter_context(socket.socket())
            # Not of `random`: seeded alike, two processes would choose alike.
            port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    return found
