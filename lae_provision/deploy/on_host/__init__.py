"""Scripts that are sent to a host's own python3, so they import nothing of ours."""
