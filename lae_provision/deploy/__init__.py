"""Releases: installed side by side, switched by one rename, taken back if they fail."""
