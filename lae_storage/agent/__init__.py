"""The agent: claims the host's identity, keeps it, and reports the host's health."""
