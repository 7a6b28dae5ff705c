"""What is built from a backup; and what is refused, by its name, with nothing changed."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pyrage
import pytest

from lae_flapp.backup.layout import about_key, journal_path, keepsakes_key
from lae_flapp.backup.witnessed import Reached, reached_key
from lae_flapp.disaster import fetching
from lae_flapp.disaster.reasons import CannotRebuild
from lae_flapp.disaster.rebuilding import build, find
from lae_flapp.disaster.shelf import FolderShelf
from lae_protocol.secret import Secret
from tests.disaster.ground import HOME, Machine, tree


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here has a reactor: what a thread would do is done at once."""

    async def at_once(work: Any, *args: Any) -> Any:
        return work(*args)

    monkeypatch.setattr(fetching, "deferToThread", at_once)


def built(machine: Machine, into: Path, key: Secret | None = None) -> Any:
    shelf = FolderShelf(machine.bucket, HOME.deployment)
    return run(build(shelf, key or machine.recovery_key, into, lambda _: None))


def test_built(machine, tmp_path) -> None:
    """From bucket and recovery key alone there is, in an empty folder, every file that
    the machine had, byte for byte and as private, and its journal to the last event.
    """
    machine.back_up(2)
    files = machine.files()
    made = built(machine, tmp_path / "into")
    assert made.found.life.epoch == 2
    assert (made.counted.signups, made.counted.holes) == (6, ())
    assert made.settings_as_told.journal == machine.journal
    for file in files:
        path = tmp_path / "into" / file.path.relative_to("/")
        assert path.read_bytes() == file.body
        assert path.stat().st_mode & 0o777 == file.mode
    assert made.settings.journal.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "into").stat().st_mode & 0o777 == 0o700


def test_a_life_without_a_whole_copy(machine, tmp_path) -> None:
    """A life that ended before its first whole copy was in the bucket is passed over."""
    life = machine.back_up(2)
    (machine.bucket / about_key(HOME.deployment, life)).unlink()
    assert built(machine, tmp_path / "into").found.life.epoch == 1


def first(machine: Machine, life: Any) -> Path:
    return machine.objects(life)[0]


def middle(machine: Machine, life: Any) -> Path:
    return machine.objects(life)[2]


def flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def say(machine: Machine, life: Any, **said: str) -> None:
    about = machine.about(**said).to_json()
    machine.put(about_key(HOME.deployment, life), about)


def reach(machine: Machine, life: Any, number: int) -> None:
    reached = Reached(number, machine.about().began)
    machine.put(reached_key(HOME.deployment, life), reached.to_json())


def of_another(machine: Machine, life: Any) -> None:
    """The journal of another deployment lies where ours should."""
    other = Machine(machine.folder.with_name("other"), machine.bucket.with_name("b2"))
    other.home = type(HOME)("production", "s4-other", "123456789012", "live")
    other.install()
    other.fill()
    strange = other.back_up()
    ours = machine.bucket / journal_path(HOME.deployment, life)
    shutil.rmtree(ours)
    shutil.copytree(other.bucket / journal_path("s4-other", strange), ours)


SPOILT = [
    ("backup-cut", lambda m, life: middle(m, life).unlink()),
    ("backup-cut", lambda m, life: shorten(middle(m, life))),
    ("backup-cut", lambda m, life: [path.unlink() for path in m.objects(life)]),
    (
        "backup-cut",
        lambda m, life: (m.bucket / keepsakes_key(HOME.deployment, life)).unlink(),
    ),
    ("backup-cut", lambda m, life: reach(m, life, 1000)),
    ("backup-damaged", lambda m, life: flip(first(m, life))),
    ("backup-damaged", lambda m, life: flip(middle(m, life))),
    ("backup-foreign", lambda m, life: say(m, life, deployment="s4-other")),
    ("backup-foreign", lambda m, life: say(m, life, account="210987654321")),
    ("backup-foreign", of_another),
    ("backup-newer", lambda m, life: say(m, life, revision="9999")),
    (
        "backup-newer",
        lambda m, life: m.put(about_key(HOME.deployment, life), b'{"format": 2}'),
    ),
    ("no-backup", lambda m, life: shutil.rmtree(m.bucket)),
]


@pytest.mark.parametrize(("name", "spoil"), SPOILT)
def test_spoilt(machine, life, tmp_path, name, spoil) -> None:
    """A backup that was cut, is damaged, of another deployment or of a newer release is
    refused by its name, and the folder is as it was.
    """
    spoil(machine, life)
    into = tmp_path / "into"
    for there in (False, True):
        if there:
            into.mkdir()
        with pytest.raises(CannotRebuild) as refused:
            built(machine, into)
        assert refused.value.name == name, refused.value
        assert into.exists() is there
        assert tree(into) == {}


def test_the_newest_objects_are_missing(machine, life, tmp_path) -> None:
    """Litestream restores an earlier moment without a word where the newest objects are
    gone; that the bucket had more is written beside them.
    """
    last = built(machine, tmp_path / "whole").counted.last
    reach(machine, life, last)
    assert built(machine, tmp_path / "again").counted.last == last
    machine.objects(life)[-1].unlink()
    with pytest.raises(CannotRebuild) as refused:
        built(machine, tmp_path / "into")
    assert refused.value.name == "backup-cut"


def test_another_recovery_key(machine, tmp_path) -> None:
    """Another recovery key, and what is none, are refused as such."""
    for text in (str(pyrage.x25519.Identity.generate()), "AGE-SECRET-KEY-1X"):
        with pytest.raises(CannotRebuild) as refused:
            built(machine, tmp_path / "into", Secret(text))
        assert refused.value.name == "wrong-recovery-key"
        assert text not in str(refused.value)
    assert not (tmp_path / "into").exists()


def test_a_folder_that_is_not_empty(machine, tmp_path) -> None:
    """What is in a folder stays, and a file in its place too."""
    into = tmp_path / "into"
    into.mkdir()
    (into / "mine").write_text("mine")
    for place in (into, into / "mine"):
        with pytest.raises(CannotRebuild) as refused:
            built(machine, place)
        assert refused.value.name == "target-taken"
    assert tree(into) == {"mine": b"mine"}


def test_a_life_by_its_name(machine, life) -> None:
    """An older life can be chosen; one that is not there cannot."""
    machine.back_up(2)
    shelf = FolderShelf(machine.bucket, HOME.deployment)
    assert run(find(shelf, machine.recovery_key, life)).life == life
    with pytest.raises(CannotRebuild) as refused:
        run(find(shelf, machine.recovery_key, type(life)(3, life.token)))
    assert refused.value.name == "no-backup"


def test_the_daemon_writes_on(machine, life, tmp_path) -> None:
    """A backup that grows while its journal is fetched is not taken for one that was
    cut.
    """

    class Growing(FolderShelf):
        def replica(self, path: str) -> Any:
            reach(machine, life, 1000)
            return super().replica(path)

    shelf = Growing(machine.bucket, HOME.deployment)
    into = tmp_path / "into"
    made = run(build(shelf, machine.recovery_key, into, lambda _: None))
    assert made.counted.holes == ()
