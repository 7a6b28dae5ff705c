"""Operators: what they may ask of the daemon, and the commands they ask it with."""
