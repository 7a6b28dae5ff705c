"""The whole of S4 on one machine, as separate processes, for a person to try."""
