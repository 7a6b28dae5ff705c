"""Ports for programs that must be told theirs before they start."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from lae_localcloud import ports


def test_no_two_processes_are_given_the_same_port() -> None:
    """A port that was chosen and is not bound yet is not chosen by another process."""
    (port,) = ports.free_ports(1)
    asked = f"from lae_localcloud import ports; ports._reserve({port})"
    other = subprocess.run(
        [sys.executable, "-c", asked], check=False, capture_output=True, text=True
    )
    assert "Address already in use" in other.stderr


def test_old_reservations_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process holds a bounded number of names, however many ports it asks for."""
    monkeypatch.setattr(ports, "RESERVED", 3)
    ports.free_ports(10)
    assert len(ports._reserved) == 3


def test_ports_are_outside_the_ephemeral_range() -> None:
    """No outgoing connection of another process is given one of these ports."""
    with socket.create_server(("127.0.0.1", 0)) as anybodys:
        assert anybodys.getsockname()[1] > ports.HIGHEST
    assert all(p in range(ports.LOWEST, ports.HIGHEST) for p in ports.free_ports(5))
