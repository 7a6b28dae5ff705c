"""A real S3 server with a backup bucket, and real Litestreams that write to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from lae_flapp.backup import litestream_run
from lae_flapp.backup.layout import Life
from lae_flapp.backup.litestream_run import Run
from lae_flapp.settings import BackupSettings, DaemonSettings
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.process.resources import config_folder
from lae_protocol.process.settings import load
from lae_protocol.secret import Secret
from tests.storage.conftest import ACCESS_KEY, SECRET_KEY, S3Server, start_weed

BUCKET = "s4-backup"
KEYS = Credentials(ACCESS_KEY, Secret(SECRET_KEY))
PATIENCE = 60.0  # s


@define(eq=False)
class Desk:
    """A daemon's folder, its settings, and what runs there."""

    settings: DaemonSettings
    s3: S3Server
    server: subprocess.Popen[bytes]
    life: Life = field(factory=lambda: litestream_run.new_life(0, 0))
    litestream: subprocess.Popen[bytes] | None = None
    _runs: list[subprocess.Popen[bytes]] = field(factory=list)

    @property
    def backup(self) -> BackupSettings:
        assert self.settings.backup is not None
        return self.settings.backup

    def start(self, *, again: bool = False) -> None:
        """Start Litestream on the life's path; *again* goes on where it was."""
        run = Run(self.life, datetime.now(UTC), Path("daemon.yaml"))
        if again:
            config = self.settings.backup_folder / "litestream.json"
            argv = (litestream_run.program(), "replicate", "-config", str(config))
        else:
            argv = litestream_run.begin(self.settings, self.backup, run)
        given = litestream_run.environment(self.settings, self.backup, KEYS)
        with (self.settings.state / "litestream.log").open("ab") as log:
            self.litestream = subprocess.Popen(argv, env=given, stdout=log, stderr=log)
        self._runs.append(self.litestream)

    def kill(self) -> None:
        assert self.litestream is not None
        self.litestream.kill()
        self.litestream.wait()

    def end(self) -> None:
        for run in self._runs:
            if run.poll() is None:
                run.kill()
                run.wait()

    def sync(self) -> None:
        """Wait until all that is committed is in the bucket."""
        until = time.monotonic() + PATIENCE
        while not synced(self.settings, 10):
            assert time.monotonic() < until, self.log()
            time.sleep(0.05)

    def restore(self, into: Path) -> Path:
        """What the bucket has of this life."""
        config = self.settings.backup_folder / "litestream.json"
        argv = (litestream_run.program(), "restore", "-config", str(config))
        given = litestream_run.environment(self.settings, self.backup, KEYS)
        subprocess.run(
            (*argv, "-o", str(into), str(self.settings.journal)),
            env=given,
            check=True,
            capture_output=True,
        )
        return into

    def log(self) -> str:
        return (self.settings.state / "litestream.log").read_text("utf-8")[-4000:]


def synced(settings: DaemonSettings, seconds: int) -> bool:
    """Whether Litestream has all that is committed in the bucket within so long."""
    asked = {"path": str(settings.journal), "wait": True, "timeout": seconds}
    line = http.client.HTTPConnection("litestream")
    line.sock = socket.socket(socket.AF_UNIX)
    # Litestream may wait longer than it is told to: for its own question to the bucket.
    line.sock.settimeout(seconds + 1)
    try:
        line.sock.connect(str(litestream_run.socket_of(settings)))
        line.request("POST", "/sync", json.dumps(asked))
        return line.getresponse().status == 200
    except OSError:
        return False
    finally:
        line.close()


def settings_in(state: Path, endpoint: str, **changes: Any) -> DaemonSettings:
    """The local cloud's example, with its folder *state*, and a backup."""
    example = load(config_folder() / "daemon.localcloud.yaml", DaemonSettings)
    backup = BackupSettings(bucket=BUCKET, region="us-east-1", endpoint=endpoint)
    aws = evolve(example.aws, access_key=None, secret_key=None)
    return evolve(example, state=state, backup=backup, aws=aws, **changes)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    process, endpoint = start_weed(tmp_path_factory.mktemp("weed"))
    server = S3Server(endpoint)
    server.make_bucket(BUCKET)
    server.version(BUCKET)
    yield server, process
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()


@pytest.fixture
def desk(s3: Any, tmp_path: Path) -> Iterator[Desk]:
    server, process = s3
    made = Desk(settings_in(tmp_path, server.endpoint), server, process)
    yield made
    process.send_signal(signal.SIGCONT)
    made.end()


_WRITER = """
import os, sys
from pathlib import Path
from lae_flapp.journal import sqlite
path, backed_up = Path(sys.argv[1]), sys.argv[2] == "True"
engine = sqlite.engine(path, writes=True, connections=1, backed_up=backed_up)
with engine.connect() as line:
    line.exec_driver_sql("CREATE TABLE IF NOT EXISTS events"
        " (number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, body TEXT)")
    line.commit()
    print("ready", flush=True)
    for many in sys.stdin:
        for _ in range(int(many)):
            line.exec_driver_sql("INSERT INTO events (kind, body) VALUES ('x', ?)", ("x" * 300,))
            line.commit()
        print("done", flush=True)
os.kill(os.getpid(), 9)
"""


@define(eq=False)
class Writer:
    """A process that commits as the daemon does, through the journal's own engine; it
    ends as one that was killed.
    """

    path: Path
    backed_up: bool
    process: subprocess.Popen[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        argv = (sys.executable, "-c", _WRITER, str(self.path), str(self.backed_up))
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        self._hear("ready")

    def commit(self, many: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{many}\n")
        self.process.stdin.flush()
        self._hear("done")

    def die(self) -> None:
        self.process.kill()
        self.process.wait()

    def _hear(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word


def numbers(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        return [
            row[0] for row in db.execute("SELECT number FROM events ORDER BY number")
        ]


def is_whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        return bool(db.execute("PRAGMA integrity_check").fetchone()[0] == "ok")
