"""One contract for this machine and for one that is reached over ssh."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lae_provision.deploy.remote import (
    CommandFailed,
    LockHeld,
    RemoteAway,
    Shell,
    over_ssh,
    this_machine,
)
from tests.deploy import ssh
from tests.end_to_end.process import until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssh.SshServer]:
    """An ssh server for this module."""
    reason = ssh.why_not()
    if reason is not None:
        pytest.skip(reason)
    made = ssh.SshServer(tmp_path_factory.mktemp("ssh") / "server")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def far(server: ssh.SshServer) -> Iterator[Shell]:
    """The server's machine, over one connection."""
    with over_ssh("the-host", config=server.config) as shell:
        yield shell


@pytest.fixture(params=["local", "ssh"])
def remote(request: pytest.FixtureRequest) -> Shell:
    """The machine, near or far."""
    if request.param == "local":
        return this_machine()
    shell: Shell = request.getfixturevalue("far")
    return shell


WORDS = [
    "plain",
    "two words",
    "a'quote",
    '"double"',
    "$HOME",
    "*",
    "ü",
    "new\nline",
    "",
]


def test_words_arrive_as_they_are(remote: Shell) -> None:
    """Whatever stands in an argument, no shell makes anything else of it."""
    program = "import sys; print(ascii(sys.argv[1:]))"
    said = remote.run(("/usr/bin/python3", "-c", program, *WORDS))
    assert said.strip() == ascii(WORDS)


def test_what_is_given_is_read_and_what_is_said_comes_back(remote: Shell) -> None:
    """A program gets its input and gives its output, of any size."""
    data = bytes(range(256)) * 4000
    said = remote.run(("sha256sum",), data=data)
    local = subprocess.run(["sha256sum"], input=data, capture_output=True, check=True)
    assert said == local.stdout.decode()


def test_a_program_that_fails_says_why(remote: Shell) -> None:
    """A failure carries the program's last words and its exit code."""
    with pytest.raises(CommandFailed, match="no luck") as caught:
        remote.run(("sh", "-c", "echo no luck >&2; exit 7"))
    assert caught.value.code == 7
    with pytest.raises(CommandFailed):
        remote.run(("/no/such/program",))


def test_a_program_that_hangs_is_left(remote: Shell) -> None:
    """Nothing is waited for longer than its deadline."""
    with pytest.raises(RemoteAway, match="did not end within"):
        remote.run(("sleep", "3"), seconds=0.3)


def test_a_file_is_put_whole_and_with_its_mode(remote: Shell, tmp_path: Path) -> None:
    """What is put is there with its bytes and mode, in the place of what was there."""
    source, target = tmp_path / "source", tmp_path / "a b" / "target"
    source.write_bytes(os.urandom(300_000))
    target.parent.mkdir()
    target.write_text("old")
    remote.put(source, str(target), 0o640)
    assert target.read_bytes() == source.read_bytes()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    remote.write(str(target), b"new", 0o600)
    assert remote.read(str(target)) == b"new"
    assert [p.name for p in target.parent.iterdir()] == ["target"]


def test_what_cannot_be_put_leaves_the_old_file(remote: Shell, tmp_path: Path) -> None:
    """With no room for the new file the old one stays, and nothing lies about."""
    with pytest.raises(CommandFailed):
        remote.write(str(tmp_path / "no" / "folder"), b"x", 0o600)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_none(remote: Shell, tmp_path: Path) -> None:
    """No file is an answer; a file that cannot be read is an error."""
    assert remote.read(str(tmp_path / "nothing")) is None
    with pytest.raises(CommandFailed):
        remote.read(str(tmp_path))


def test_the_lock_is_held_by_one(remote: Shell, tmp_path: Path) -> None:
    """Who comes second is told who has it; afterwards it can be had again."""
    path = str(tmp_path / "lock")
    with remote.lock(path, "ann@laptop"):
        with (
            pytest.raises(LockHeld, match="held by ann@laptop"),
            this_machine().lock(path, "bob@laptop"),
        ):
            raise AssertionError
        assert Path(path).read_text() == "ann@laptop"
    with remote.lock(path, "bob@laptop"):
        pass


_HOLDER = """
import os, signal, sys
from pathlib import Path
from lae_provision.deploy.remote import over_ssh, this_machine
kind, config, path = sys.argv[1:]
def hold(shell):
    with shell.lock(path, "killed"):
        print("held", flush=True)
        signal.pause()
if kind == "local":
    hold(this_machine())
else:
    with over_ssh("the-host", config=Path(config)) as shell:
        hold(shell)
"""


def test_the_lock_ends_with_its_holder(
    remote: Shell, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A deployment that is killed with -9 leaves no lock behind."""
    path, kind = str(tmp_path / "lock"), request.node.callspec.params["remote"]
    config = "" if kind == "local" else str(request.getfixturevalue("server").config)
    argv = [sys.executable, "-c", _HOLDER, kind, config, path]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.send_signal(signal.SIGKILL)

    def free() -> bool:
        try:
            with remote.lock(path, "next"):
                return True
        except LockHeld:
            return False

    until(free, "the lock is free", 30)


def test_a_host_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    """No connection is an error of its own, in one line with the host's name."""
    config = tmp_path / "config"
    config.write_text("Host nowhere\n  HostName 127.0.0.1\n  Port 1\n")
    with (
        over_ssh("nowhere", config=config) as shell,
        pytest.raises(RemoteAway, match=r"nowhere: .*Connection refused") as caught,
    ):
        shell.run(("true",))
    assert "\n" not in str(caught.value)


def test_a_host_with_another_key_is_refused(server, tmp_path) -> None:
    """A host whose key is not the known one is not deployed to."""
    known = server.folder / "known"
    other = tmp_path / "other"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True
    )
    right = known.read_text()
    known.write_text(f"{right.split()[0]} {Path(f'{other}.pub').read_text()}")
    try:
        with (
            over_ssh("the-host", config=server.config) as shell,
            pytest.raises(RemoteAway),
        ):
            shell.run(("true",))
    finally:
        known.write_text(right)
