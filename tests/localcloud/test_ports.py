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


def test_no_two_processes_are_given_rows_that_overlap() -> None:
    """A row whose hosts are still to come is not given to another process."""
    first, last = ports.free_range(ports.BLOCK * 3)
    assert last == first + ports.BLOCK * 3 - 1
    asked = (
        "from lae_localcloud import ports\n"
        f"print([ports._reserve_row({first} + n * ports.BLOCK, 1) for n in range(3)])"
    )
    other = subprocess.run(
        [sys.executable, "-c", asked], check=True, capture_output=True, text=True
    )
    assert other.stdout.strip() == "[False, False, False]"


def test_a_row_with_a_port_that_is_bound_is_not_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One port in use is enough, what was reserved of the row is free again, and a
    search without end says what to do.
    """
    with socket.create_server(("127.0.0.1", 0)) as bound:
        taken = bound.getsockname()[1]
        first = taken - 3
        assert not ports._is_free(taken)
        # Of its neighbours any may be a stranger's for a moment.
        monkeypatch.setattr(ports, "_is_free", lambda port: port != taken)
        assert not ports._reserve_row(first, 5)
        monkeypatch.setattr(ports, "HIGHEST", first)
        monkeypatch.setattr(ports, "ROWS_HIGHEST", first + 5)
        with pytest.raises(RuntimeError, match="no row of 5 free ports"):
            ports.free_range(5)
    monkeypatch.setattr(ports, "_is_free", lambda port: True)
    assert ports._reserve_row(first, 5)


def test_ports_are_outside_the_ephemeral_range() -> None:
    """No outgoing connection of another process is given one of these ports."""
    with socket.create_server(("127.0.0.1", 0)) as anybodys:
        assert anybodys.getsockname()[1] > ports.HIGHEST
    assert all(p in range(ports.LOWEST, ports.HIGHEST) for p in ports.free_ports(5))
