"""Ignition and systemd units, as the booter reads them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from lae_localcloud.booter import unit
from lae_localcloud.booter.ignition import NotIgnition, parse
from lae_protocol.secret import Secret
from lae_provision.hosts.programs import CommandLaunch
from lae_provision.hosts.user_data import HostSettings, user_data


def document(**storage: Any) -> bytes:
    return json.dumps({"ignition": {"version": "3.3.0"}, "storage": storage}).encode()


def file(**entry: Any) -> bytes:
    return document(files=[{"path": "/etc/x", **entry}])


def test_what_the_daemon_writes_is_booted(tmp_path: Path) -> None:
    """The user-data of a real launch gives its files, modes and unit."""
    made = user_data(
        HostSettings("http://169.254.169.254", "eu-west-1", None, "json"),
        Secret("pb://furl"),
        CommandLaunch(("/opt/a b/twistd", "--pidfile=", "50%", "$HOME", 'q"q')),
        "gaaaaaaaaaaaaaaa",
    )
    provision = parse(made.reveal().encode())
    provision.write(tmp_path)
    furl = tmp_path / "etc/s4/bootstrap.furl"
    assert furl.read_text() == "pb://furl\n"
    assert furl.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "var/lib/s4").stat().st_mode & 0o777 == 0o700
    ((name, contents),) = provision.units
    read = unit.parse(name, contents)
    assert read.argv == (
        "/opt/a b/twistd",
        "--pidfile=",
        "50%",
        "$HOME",
        'q"q',
        "--config",
        "etc/s4/node.yaml",
    )
    assert (read.restart, read.restart_seconds, read.notifies) == ("always", 1.0, True)
    assert read.directory_under(tmp_path) == tmp_path
    assert "pb://" not in repr(provision)


def test_files_in_each_form(tmp_path: Path) -> None:
    """Plain, base64 and compressed contents are written, and hashes are checked."""
    packed = base64.b64encode(gzip.compress(b"packed")).decode()
    digest = "sha512-" + hashlib.sha512(b"a b").hexdigest()
    contents: list[dict[str, Any]] = [
        {"source": "data:,a%20b", "verification": {"hash": digest}},
        {"source": "data:text/plain;charset=utf-8;base64,aGk="},
        {"source": f"data:;base64,{packed}", "compression": "gzip"},
    ]
    files = [{"path": f"/f/{n}", "contents": c} for n, c in enumerate(contents)]
    parse(document(files=files)).write(tmp_path)
    written = [(tmp_path / f"f/{n}").read_bytes() for n in range(3)]
    assert written == [b"a b", b"hi", b"packed"]
    assert (tmp_path / "f/0").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "text",
    [
        b"#!/bin/sh",
        b"#cloud-config\n{}",
        b"[]",
        b"{}",
        b'{"ignition": {"version": "2.2.0"}}',
        b'{"ignition": {"version": "3.3.0"}, "passwd": {}}',
        b'{"ignition": {"version": "3.3.0", "config": {}}}',
        file(path="etc/x"),
        file(path="/etc/../../x"),
        file(mode="0600"),
        file(contents={"source": "https://example.org/x"}),
        file(contents={"source": "data:;base64,!"}),
        file(
            contents={"source": "data:,x", "verification": {"hash": "sha512-00"}},
        ),
        document(links=[]),
    ],
)
def test_what_is_refused(text: bytes) -> None:
    """What is no Ignition, or needs more than this booter does, is refused."""
    with pytest.raises(NotIgnition):
        parse(text)


def service(*lines: str) -> str:
    return "\n".join(["[Unit]", "After=x", "[Service]", *lines, "[Install]", "User=no"])


def test_only_enabled_units_run() -> None:
    """A unit that is not enabled, or is masked, is not run."""
    text = service("ExecStart=/bin/true")
    units = [
        {"name": "a.service", "contents": text},
        {"name": "b.service", "contents": text, "enabled": True, "mask": True},
        {"name": "c.service", "contents": text, "enabled": True},
    ]
    whole = {"ignition": {"version": "3.3.0"}, "systemd": {"units": units}}
    assert [n for n, _ in parse(json.dumps(whole).encode()).units] == ["c.service"]


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("ExecStart=/bin/a", "ExecStart=/bin/b"),
        ("ExecStart=-/bin/a",),
        ("ExecStart=/bin/a %n",),
        ("ExecStart=/bin/a $HOME",),
        ("ExecStart=/bin/a", "Type=forking"),
        ("ExecStart=/bin/a", "User=nobody"),
        ("ExecStart=/bin/a", "ExecStartPre=/bin/b"),
        ("ExecStart=/bin/a", "RestartSec=soon"),
        ("ExecStart=/bin/a", "Restart=sometimes"),
    ],
)
def test_units_that_need_a_real_systemd(lines: tuple[str, ...]) -> None:
    """What would run otherwise than systemd runs it is refused."""
    with pytest.raises(unit.UnsupportedUnit):
        unit.parse("x.service", service(*lines))


def test_words_and_times() -> None:
    """Quotes, escapes, continued lines and units of time are read as systemd does."""
    read = unit.parse(
        "x.service",
        service(
            "ExecStart=/bin/a 'b c' \\\n  d\"e f\"g 100%%",
            "Environment=A=1 'B=2 3'",
            'Environment="C=x"',
            "RestartSec=250ms",
            "TimeoutStopSec=2min",
        ),
    )
    assert read.argv == ("/bin/a", "b c", "de fg", "100%")
    assert read.environment == (("A", "1"), ("B", "2 3"), ("C", "x"))
    assert (read.restart, read.restart_seconds, read.stop_seconds) == ("no", 0.25, 120)
