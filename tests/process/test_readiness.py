"""The supervisor hears of us through a real socket."""

from __future__ import annotations

import socket
import uuid

import pytest

from lae_protocol.process.readiness import notify


@pytest.fixture(params=["file", "abstract"])
def supervisor(request, tmp_path, monkeypatch):
    """A socket like systemd's, of both kinds."""
    if request.param == "file":
        address = told = str(tmp_path / "notify")
    else:
        name = f"s4-test-{uuid.uuid4()}"
        address, told = "\0" + name, "@" + name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", told)
        yield listening


def test_notified(supervisor) -> None:
    """Each state arrives as one datagram."""
    for state in ("READY=1", "STATUS=grün", "STOPPING=1"):
        assert notify(state)
        assert supervisor.recv(100) == state.encode()


def test_no_supervisor(monkeypatch) -> None:
    """Without a supervisor there is nobody to tell, which is no failure."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")


def test_supervisor_gone(tmp_path, monkeypatch) -> None:
    """A supervisor that went away is no reason to fail."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/" + "x" * 300)
    assert not notify("READY=1")
