"""Commands of ``lae`` that work on the daemon's machine: its journal, its keys."""
