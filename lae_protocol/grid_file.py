"""The grid's JSON: what Gridsync reads from a file, and an invitation carries.

The three share counts must be integers and all present: `tahoe create-client --join`
writes anything else into tahoe.cfg such that the client dies.
"""

from __future__ import annotations

import json

from lae_protocol.furl import Furl

#: One storage node holds a customer's shares; its bucket is what makes them last.
SHARES = 1


def grid_json(nickname: str, introducer: Furl) -> str:
    """The file as text; it holds the furl, a secret.  *nickname* is unique per grid."""
    grid = {
        "version": 1,
        "nickname": nickname,
        "introducer": introducer.reveal(),
        "shares-needed": SHARES,
        "shares-happy": SHARES,
        "shares-total": SHARES,
    }
    return json.dumps(grid, indent=2) + "\n"
