"""``lae backup`` on a daemon's machine, with real Litestream and a real S3 server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attrs import define, field
from click.testing import CliRunner
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.backup.layout import Life, about_key
from lae_flapp.backup.litestream_run import hold, read_run
from lae_flapp.journal import checking, events
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.meta import Home
from lae_flapp.journal.threads import SameThread
from lae_flapp.settings import DaemonSettings
from lae_protocol.process.command import main
from lae_protocol.process.resources import config_folder
from lae_protocol.process.settings import load
from tests.backup.conftest import BUCKET, PATIENCE, synced
from tests.storage.conftest import ACCESS_KEY, SECRET_KEY
from tests.twins.journal import answer

HOME = Home("local", "local", "123456789012", "test")
LAE = Path(sys.executable).with_name("lae")


@define(eq=False)
class Machine:
    folder: Path
    settings: DaemonSettings
    runs: list[subprocess.Popen[bytes]] = field(factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "backup.log"

    def start(self) -> subprocess.Popen[bytes]:
        """As the unit does; it is up when its socket is there."""
        socket = self.settings.backup_folder / "litestream.sock"
        socket.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            run = subprocess.Popen(
                (LAE, "backup", "run", "--daemon", self.folder / "daemon.yaml"),
                stdout=log,
                stderr=log,
            )
        self.runs.append(run)
        until = time.monotonic() + PATIENCE
        while not socket.exists():
            assert run.poll() is None, self.log.read_text("utf-8")
            assert time.monotonic() < until, self.log.read_text("utf-8")
            time.sleep(0.05)
        return run

    def lae(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (LAE, *arguments, "--daemon", self.folder / "daemon.yaml"),
            check=False,
            capture_output=True,
            text=True,
            env={"PATH": os.defpath, "HOME": str(self.folder)},
        )

    def status(self, code: int = 0) -> dict[str, str | None]:
        done = self.lae("backup", "status", "--json")
        assert done.returncode == code, done.stderr + done.stdout
        told: dict[str, str | None] = json.loads(done.stdout)
        return told

    def open(self) -> Journal:
        self.settings.journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        clock = Clock()
        clock.advance(1_795_000_000)
        opened = Journal(
            self.settings.journal, HOME, clock, SameThread(), backed_up=True
        )
        answer(Deferred.fromCoroutine(opened.open()))
        return opened

    def end(self) -> None:
        for run in self.runs:
            if run.poll() is None:
                run.kill()
                run.wait()


@pytest.fixture
def machine(s3, tmp_path):
    server, process = s3
    text = (config_folder() / "daemon.localcloud.yaml").read_text("utf-8")
    text += f"backup: {{bucket: {BUCKET}, region: us-east-1, endpoint: {server.endpoint}}}\n"
    (tmp_path / "daemon.yaml").write_text(text)
    (tmp_path / "secrets").mkdir()
    for name, value in (("aws-access.key", ACCESS_KEY), ("aws-secret.key", SECRET_KEY)):
        (tmp_path / "secrets" / name).write_text(value)
        (tmp_path / "secrets" / name).chmod(0o600)
    made = Machine(tmp_path, load(tmp_path / "daemon.yaml", DaemonSettings))
    yield made
    process.send_signal(signal.SIGCONT)
    made.end()


def test_what_is_committed_is_in_the_bucket(machine, s3) -> None:
    """Litestream starts before there is a journal; status says that what is committed is in the bucket; what is committed while the bucket is away comes after; each run is a life of its own, above all that the bucket has, with all of the journal."""
    server, process = s3
    run = machine.start()
    journal = machine.open()
    answer(journal.write(events.note, None, "noted", "test"))
    told = machine.status()
    assert told["problem"] is None
    first = Life.parse(str(told["life"]))

    process.send_signal(signal.SIGSTOP)
    for _ in range(50):
        answer(journal.write(events.note, None, "noted", "test"))
    assert not synced(machine.settings, 1)
    process.send_signal(signal.SIGCONT)
    until = time.monotonic() + PATIENCE
    while not synced(machine.settings, 10):
        assert time.monotonic() < until
    last = answer(journal.read(events.last_number, None))
    assert _back(machine, first) == last

    run.terminate()
    assert run.wait(PATIENCE) == 0
    # Nobody sends what is committed now, until the next life copies all of it.
    answer(journal.write(events.note, None, "noted", "test"))
    # Another machine had the deployment meanwhile, of which this journal knows nothing.
    theirs = about_key("local", Life(41, "a" * 16))
    server.client().put_object(Bucket=BUCKET, Key=theirs, Body=b"{}")
    machine.start()
    begun = read_run(machine.settings)
    assert begun is not None
    assert begun.life.epoch == 42
    while not synced(machine.settings, 10):
        assert time.monotonic() < until
    assert _back(machine, begun.life) == last + 1
    answer(Deferred.fromCoroutine(journal.close()))
    server.client().delete_object(Bucket=BUCKET, Key=theirs)
    assert SECRET_KEY not in machine.log.read_text("utf-8")


def test_one_run_has_a_journal(machine) -> None:
    """While one run has the journal a second one is refused, status does not say that none runs, and nothing takes the journal's place; without one status says so."""
    (machine.folder / "other.sqlite").write_text("x")

    def lae(*arguments: str) -> str:
        daemon = ("--daemon", str(machine.folder / "daemon.yaml"))
        told = CliRunner().invoke(main, [*arguments, *daemon])
        assert told.exit_code != 0
        return told.output

    restore = ("journal", "restore", "--yes", str(machine.folder / "other.sqlite"))
    assert "Litestream does not run" in lae("backup", "status")
    assert "Litestream" not in lae(*restore)
    hold(machine.settings)
    assert "another one runs" in lae("backup", "run")
    assert "stop the daemon and it first" in lae(*restore)


def _back(machine: Machine, life: Life) -> int:
    """How many events a restore of this life has; it is sound."""
    into = machine.folder / f"{life}.sqlite"
    config = machine.settings.backup_folder / "litestream.json"
    subprocess.run(
        (
            *(LAE.with_name("litestream"), "restore", "-config", config),
            *("-o", into, machine.settings.journal),
        ),
        check=True,
        env={"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
        capture_output=True,
    )
    found = checking.check(into, HOME, lambda _, __: None)
    assert found.problems == ()
    return found.events


def test_without_a_backup_nothing_runs(machine) -> None:
    """Without a backup in the settings run ends with systemd's word for it, and status says so."""
    file = machine.folder / "daemon.yaml"
    file.write_text(file.read_text("utf-8").partition("backup:")[0])
    ran = CliRunner().invoke(main, ["backup", "run", "--daemon", str(file)])
    assert ran.exit_code == 78
    told = CliRunner().invoke(main, ["backup", "status", "--daemon", str(file)])
    assert told.exit_code == 1
    assert "No backup is configured" in told.output
