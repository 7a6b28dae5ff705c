"""What the daemon writes beside its journal in the bucket, and what it reads there."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyrage
import pytest
from attrs import Factory, define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.backup.backup_bucket import newest_epoch
from lae_flapp.backup.care import DAILY, HOURLY, TELL_EVERY, BackupCare
from lae_flapp.backup.continuous import Continuous
from lae_flapp.backup.keepsakes import open_keepsakes
from lae_flapp.backup.kept_files import kept_files
from lae_flapp.backup.layout import About, Life, about_key, keepsakes_key
from lae_flapp.backup.litestream import BackupAway
from lae_flapp.backup.litestream_run import Run
from lae_flapp.backup.witnessed import SOUND, Drill, Reached, drill_key, reached_key
from lae_flapp.journal import events
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.threads import SameThread
from lae_flapp.settings import DaemonSettings
from lae_protocol.process.resources import config_folder
from lae_protocol.process.settings import load
from lae_protocol.secret import Secret
from lae_provision.errors import TryLater
from tests.backup.test_layout import ABOUT
from tests.twins.ground import START
from tests.twins.journal import HOME, answer, open_journal

LIFE, NEXT = Life(3, "a" * 16), Life(4, "b" * 16)
BEGAN = datetime(2026, 11, 30, 20, 0, tzinfo=UTC)


@define
class MemoryBucket:
    """See :class:`~lae_flapp.backup.backup_bucket.IBackupBucket`."""

    objects: dict[str, bytes] = Factory(dict)
    writes: list[str] = Factory(list)
    away: bool = False

    async def write(self, key: str, body: bytes) -> None:
        if self.away:
            raise TryLater("away", "no answer")
        self.objects[key] = body
        self.writes.append(key)

    async def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    async def names(self, prefix: str, after: str = "") -> tuple[str, ...]:
        found = set()
        for key in self.objects:
            if key.startswith(prefix) and key > after:
                rest = key.removeprefix(prefix)
                found.add(
                    prefix + rest.partition("/")[0] + ("/" if "/" in rest else "")
                )
        return tuple(sorted(found))


@define(eq=False, slots=False)
class Daemon:
    folder: Path
    clock: Clock = Factory(Clock)
    bucket: MemoryBucket = Factory(MemoryBucket)
    away: bool = False
    run: Run | None = None
    identity: pyrage.x25519.Identity = Factory(pyrage.x25519.Identity.generate)
    care: BackupCare = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock.advance(START)
        self.run = Run(LIFE, BEGAN, self.folder / "daemon.yaml")
        self.journal = open_journal(self.folder / "journal", self.clock)
        self.care = BackupCare(
            clock=self.clock,
            journal=self.journal,
            continuous=Continuous(self.clock, self.sync),
            bucket=self.bucket,
            deployment="s4-test",
            recipients=(str(self.identity.to_public()),),
            about=self.about,
            read_run=self.read_run,
            read_files=self.read_files,
        )

    async def sync(self, _: float) -> None:
        if self.away:
            raise BackupAway("no answer")

    async def about(self, began: datetime) -> About:
        return evolve(ABOUT, began=began)

    async def read_run(self) -> Run | None:
        return self.run

    async def read_files(self, file: Path):
        return kept_files(settings_of(self.folder), file)

    def look(self, after: float = 0.0) -> None:
        self.clock.advance(after)
        answer(Deferred.fromCoroutine(self.care.look()))


def settings_of(folder: Path) -> DaemonSettings:
    """Settings whose every file is there."""
    example = config_folder() / "daemon.localcloud.yaml"
    file = folder / "daemon.yaml"
    if not file.exists():
        file.write_bytes(example.read_bytes())
        named = ("plans.yaml", "ca.pem", "daemon/private.pem", "daemon/hosts.pem")
        furls = ("daemon/front-desk.furl", "daemon/operator.furl")
        keys = ("secrets/journal-keys/0001.key", "secrets/stripe-keys/0001.key")
        lone = ("secrets/smtp.password", "secrets/aws-secret.key", "other.txt")
        for name in (*named, *furls, *keys, *lone):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"the content of {name}")
            (folder / name).chmod(0o600)
    return load(file, DaemonSettings)


@pytest.fixture
def daemon(tmp_path):
    settings_of(tmp_path)
    made = Daemon(tmp_path)
    yield made
    answer(Deferred.fromCoroutine(made.journal.close()))


def test_a_life_says_what_it_is_once_its_copy_is_whole(daemon) -> None:
    """Nothing tells of a life before all of it was in the bucket once; then its keepsakes come first, and what it is second, so that a life that says what it is can be restored."""
    daemon.away = True
    daemon.look()
    assert daemon.bucket.writes == []
    daemon.away = False
    daemon.look(5)
    told = [keepsakes_key("s4-test", LIFE), about_key("s4-test", LIFE)]
    assert daemon.bucket.writes[:2] == told
    assert About.from_json(daemon.bucket.objects[told[1]]) == evolve(ABOUT, began=BEGAN)
    daemon.look(5)
    assert [k for k in daemon.bucket.writes if k in told] == told
    daemon.look(DAILY)
    assert [k for k in daemon.bucket.writes if k in told] == told * 2


def test_another_run_of_litestream_is_another_life(daemon) -> None:
    """When Litestream begins anew beside a daemon that goes on, the new life gets keepsakes and says what it is, too."""
    daemon.look()
    daemon.run = evolve(daemon.run, life=NEXT)
    daemon.look(5)
    assert keepsakes_key("s4-test", NEXT) in daemon.bucket.objects
    assert about_key("s4-test", NEXT) in daemon.bucket.objects


def test_what_could_not_be_written_is_written_later(daemon) -> None:
    """A bucket that refuses for a while ends nothing; the next look writes it."""
    daemon.bucket.away = True
    daemon.look()
    assert daemon.bucket.objects == {}
    daemon.bucket.away = False
    daemon.look(5)
    assert about_key("s4-test", LIFE) in daemon.bucket.objects


def test_keepsakes_have_what_the_journal_cannot_give_back(daemon) -> None:
    """Sealed to the recovery key are the settings, what they name, sealing keys, certificates and furls, with their permissions; what is issued anew is not among them, nor anything else."""
    daemon.look()
    sealed = daemon.bucket.objects[keepsakes_key("s4-test", LIFE)]
    key = Secret(str(daemon.identity))
    found = {file.path: file for file in open_keepsakes(sealed, key)}
    assert {str(path.relative_to(daemon.folder)) for path in found} == {
        "daemon.yaml",
        "plans.yaml",
        "ca.pem",
        "daemon/private.pem",
        "daemon/hosts.pem",
        "daemon/front-desk.furl",
        "daemon/operator.furl",
        "secrets/journal-keys/0001.key",
    }
    one = found[daemon.folder / "secrets/journal-keys/0001.key"]
    assert one.body == one.path.read_bytes()
    assert one.mode == stat.S_IMODE(one.path.stat().st_mode)
    assert b"the content of" not in sealed


def test_it_is_noted_up_to_which_event_the_bucket_has_it(daemon) -> None:
    """Each minute the bucket is told the last event that it surely has: one that was committed before it was asked."""
    answer(daemon.journal.write(events.note, None, "noted", "test"))
    daemon.look()
    key = reached_key("s4-test", LIFE)
    last = answer(daemon.journal.read(events.last_number, None))
    assert Reached.from_json(daemon.bucket.objects[key]).events == last
    answer(daemon.journal.write(events.note, None, "noted", "test"))
    daemon.look(TELL_EVERY - 1)
    assert Reached.from_json(daemon.bucket.objects[key]).events == last
    daemon.look(1)
    assert Reached.from_json(daemon.bucket.objects[key]).events == last + 1


def test_the_newest_sound_drill_counts(daemon) -> None:
    """Of the drills' records the newest sound one counts; without any the age is infinite, and before anybody looked it is not known."""
    assert daemon.care.seen().tested is None
    daemon.look()
    assert daemon.care.seen().tested == float("inf")
    now = datetime.fromtimestamp(daemon.clock.seconds(), UTC)
    for days, outcome in ((3, SOUND), (2, SOUND), (1, "backup-is-cut")):
        at = now - timedelta(days=days)
        drill = Drill(at, str(LIFE), 7, outcome)
        daemon.bucket.objects[drill_key("s4-test", at)] = drill.to_json()
    daemon.look(HOURLY)
    assert daemon.care.seen().tested == pytest.approx(2 * 86400 + HOURLY)


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        ([], 7),
        (["000000003-aaaaaaaaaaaaaaaa"], 7),
        (["000000009-aaaaaaaaaaaaaaaa", "000000008-bbbbbbbbbbbbbbbb", "odd"], 9),
    ],
)
def test_a_life_comes_after_all_of_the_bucket(names, newest) -> None:
    """The next life's number is above the journal's own, and above those of lives that an older journal knows nothing of."""
    bucket = MemoryBucket({f"s4-test/lives/{n}/about.json": b"" for n in names})
    assert answer(newest_epoch(bucket, "s4-test", 7)) == newest


def test_the_log_is_kept_in_bounds_without_litestream(tmp_path) -> None:
    """Where no Litestream runs, a backed-up journal's log stays as long as its bound and what one look leaves, however much is written."""
    journal = Journal(
        tmp_path / "j" / "journal.sqlite", HOME, Clock(), SameThread(), backed_up=True
    )
    answer(Deferred.fromCoroutine(journal.open()))
    log = tmp_path / "j" / "journal.sqlite-wal"
    bound, sizes = 1 << 19, []
    for _ in range(8):
        for _ in range(30):
            answer(journal.write(events.note, None, "noted", "test", "x" * 4000))
        answer(journal.keep_log_below(bound))
        sizes.append(log.stat().st_size)
    answer(Deferred.fromCoroutine(journal.close()))
    assert max(sizes) < 2 * bound
