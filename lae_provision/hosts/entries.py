"""Entries of an Ignition document (spec 3.3.0)."""

from __future__ import annotations

import base64
import gzip
from typing import Any

#: Debian's Ignition refuses 3.4.0.
SPEC = "3.3.0"

#: The node's user and group, in its image and so on the host.
NODE_USER = 10001

Entry = dict[str, Any]


def file(path: str, text: str, mode: int = 0o644) -> Entry:
    """A file of root's."""
    encoded = base64.b64encode(text.encode()).decode("ascii")
    return {
        "path": path,
        "mode": mode,
        "overwrite": True,
        "contents": {"source": "data:;base64," + encoded},
    }


def script(path: str, text: str) -> Entry:
    """A program of root's; packed, since user-data has a limit."""
    packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")
    contents = {"source": "data:;base64," + packed, "compression": "gzip"}
    return file(path, "", 0o755) | {"contents": contents}


def owned(entry: Entry) -> Entry:
    """The same entry, as the node's user owns it."""
    return entry | {"user": {"id": NODE_USER}, "group": {"id": NODE_USER}}


def folder(path: str, mode: int) -> Entry:
    """A folder of root's."""
    return {"path": path, "mode": mode}


def unit(name: str, contents: str) -> Entry:
    """A unit that is started at each boot."""
    return {"name": name, "enabled": True, "contents": contents}


def masked(name: str) -> Entry:
    """A unit that nothing can start."""
    return {"name": name, "mask": True}
