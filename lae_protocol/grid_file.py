"""The grid's JSON: what Gridsync reads from a file, and an invitation carries.

The three share counts must be integers and all present: `tahoe create-client --join`
writes anything else into tahoe.cfg such that the client dies.
"""

from __future__ import annotations

import base64
import json
from functools import cache

from lae_protocol.furl import Furl
from lae_protocol.process.resources import template_folder

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
        "icon_base64": _read_icon(),
    }
    return json.dumps(grid, indent=2) + "\n"


@cache
def _read_icon() -> str:
    """Read the picture that Gridsync shows beside the grid's name: a small PNG."""
    picture = (template_folder() / "icon.png").read_bytes()
    return base64.b64encode(picture).decode("ascii")
