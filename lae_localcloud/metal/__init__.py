"""Instances as machines: namespaces, a root file system, Ignition, systemd, podman."""
