"""``python -m lae_localcloud``: the local cloud's commands, from a checkout."""

from __future__ import annotations

from lae_localcloud.command import localcloud

if __name__ == "__main__":
    localcloud(prog_name="python -m lae_localcloud")
