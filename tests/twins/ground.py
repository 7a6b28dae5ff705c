"""What the tests' worlds have in common: a cell, a plan, and when they begin."""

from __future__ import annotations

from lae_flapp.journal.cells import Cell
from lae_protocol.messages import Plan

CELL = Cell("one", "s4test", "000000000000", "eu-west-1", "eu-west-1a", "g.example")
PLAN = Plan("basic", "Basic", 900, "usd", "month", 250 * 10**9, 10**12, "1")
START = 1_795_000_000.0  # s since 1970, in November 2026
