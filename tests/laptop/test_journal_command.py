"""``lae journal``: what was copied comes back, and nothing else takes its place."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from lae_flapp.journal import checking, epoch, events, hosts, restoring, sqlite
from lae_flapp.journal.checking import RULES
from lae_flapp.journal.copies import KEPT_FOR_LIFE, files_of
from lae_flapp.journal.meta import Home
from lae_protocol.ids import signup_id_of_form
from tests.laptop.conftest import Place, register
from tests.twins.journal import answer


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def leftovers(folder: Path) -> set[str]:
    """Files that no whole journal and no copy of one needs."""
    odd = ("-wal", "-shm", ".partial", ".restored")
    return {one.name for one in folder.iterdir() if one.name.endswith(odd)}


@pytest.fixture
def backup(place: Place) -> Path:
    """A copy of a journal of three, which has five by now."""
    place.fill(3)
    told = place.json("journal", "backup", "--daemon", place.settings)
    journal = place.open()
    answer(journal.write(register, 3))
    answer(journal.write(register, 4))
    place.close(journal)
    return Path(told["file"])


def test_backup_beside_a_daemon(place) -> None:
    """A copy that is made while a daemon has the journal open holds every commit so far,
    in one private file.
    """
    journal = place.open()
    for number in range(4):
        answer(journal.write(register, number))
    told = place.lae("journal", "backup", "--daemon", place.settings)
    assert told.exit_code == 0, told.output
    (copy,) = (place.folder / "state" / "backups").glob("*.sqlite")
    assert str(copy) in told.output
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    answer(journal.write(register, 4))
    place.close(journal)
    assert place.json("journal", "check", copy)["signups"] == 4
    assert place.json("journal", "check")["signups"] == 5
    assert leftovers(copy.parent) == set()


def test_backup_to_a_place(place, tmp_path) -> None:
    """A target is a file, or a folder; nothing that is there is written over."""
    place.fill()
    told = place.json("journal", "backup", tmp_path / "copy")
    assert told["file"] == str(tmp_path / "copy")
    before = digest(tmp_path / "copy")
    again = place.lae("journal", "backup", tmp_path / "copy")
    assert again.exit_code == 1
    assert "is there already" in again.output
    assert digest(tmp_path / "copy") == before
    (tmp_path / "folder").mkdir()
    told = place.json("journal", "backup", tmp_path / "folder")
    assert told["file"].startswith(str(tmp_path / "folder" / "journal-"))


def test_backup_keeps_the_newest(place) -> None:
    """With --keep the older copies go, what has another name stays, and each copy is
    private and has what was committed until then.
    """
    told = place.lae("journal", "backup", "--keep", 2)
    assert (told.exit_code, "no journal" in told.output) == (0, True)
    assert place.json("journal", "backup", "--keep", 2) == {"file": None, "size": 0}
    place.fill(0)
    backups = place.folder / "state" / "backups"
    backups.mkdir(mode=0o700)
    (backups / "mine.sqlite").touch()
    made = []
    for number in range(4):
        journal = place.open()
        answer(journal.write(register, number))
        place.close(journal)
        made.append(Path(place.json("journal", "backup", "--keep", 2)["file"]))
    beside = [files_of(copy) for copy in made[-2:]]
    assert sorted(backups.iterdir()) == sorted(
        [*made[-2:], *beside, backups / "mine.sqlite"]
    )
    for copy, signups in zip(made[-2:], (3, 4), strict=True):
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert place.json("journal", "check", copy)["signups"] == signups
    both = place.lae("journal", "backup", "--keep", 2, place.folder / "copy")
    assert both.exit_code == 2


def test_backup_of_a_damaged_journal(place) -> None:
    """It is told in one line, and nothing is left."""
    place.fill()
    place.journal.write_bytes(b"no journal " * 1000)
    told = place.lae("journal", "backup", "--keep", 2)
    assert (told.exit_code, "not a database" in told.output) == (1, True)
    assert list((place.folder / "state" / "backups").iterdir()) == []


@pytest.mark.parametrize("end", [KeyboardInterrupt, OSError(28, "No space")])
def test_interrupted_backup(place, end) -> None:
    """A copy that is broken off leaves nothing of itself."""
    place.fill()
    target = place.folder / "copy"

    def stop(done: int, of_all: int) -> None:
        raise end

    with pytest.raises(type(end) if isinstance(end, OSError) else end):
        sqlite.copy(place.journal, target, stop)
    assert not target.exists()
    assert leftovers(place.folder) == set()
    assert place.json("journal", "check")["problems"] == []


def test_restore(place, backup) -> None:
    """The journal is what it was at the backup; the one before is kept; no number of an
    event comes twice, and older daemons stay shut out.
    """
    before, last = digest(place.journal), place.json("journal", "check")["events"]
    told = place.json("journal", "restore", backup, "--yes")
    kept = Path(told["kept"])
    assert digest(kept) == before
    assert place.json("journal", "check")["signups"] == 3
    assert place.json("journal", "check", kept)["signups"] == 5
    assert leftovers(place.journal.parent) == set()
    journal = place.open()
    noted = answer(journal.read(events.since, None, 0))[-1]
    assert (noted.kind, noted.why) == ("journal-restored", f"3: {backup.name}")
    assert noted.number > last
    assert answer(journal.read(epoch.current)) == 4
    signup_id = signup_id_of_form(b"form 1")
    assert answer(journal.write(hosts.begin, signup_id)).generation == 301
    place.close(journal)


def test_a_journal_that_an_older_release_restored(place) -> None:
    """Its event has the backup's name alone; hosts are given generations all the same,
    above those of every life so far.
    """
    place.fill(2)
    change(
        place.journal,
        """INSERT INTO events (kind, at, who, why, public) VALUES ('journal-restored',
        '2026-11-28T00:00:00.000000+00:00', 'lae journal restore', 'journal-1.sqlite',
        0)""",
    )
    journal = place.open()
    signup_id = signup_id_of_form(b"form 1")
    assert answer(journal.write(hosts.begin, signup_id)).generation == 201
    place.close(journal)


def furls_and_keys(place) -> dict[str, bytes]:
    """What a daemon's first start leaves in its folder, as bytes."""
    state = place.folder / "state"
    for name in KEPT_FOR_LIFE:
        (state / name).write_bytes(b"secret of " + name.encode())
        (state / name).chmod(0o600)
    return {name: (state / name).read_bytes() for name in KEPT_FOR_LIFE}


@pytest.mark.parametrize("target", ["--keep", "copy"])
def test_a_backup_is_all_that_a_restore_needs(place, tmp_path, target) -> None:
    """The machine is lost: journal, certificates and furls come back from the backup
    alone, private, as they were.
    """
    place.fill(3)
    files = furls_and_keys(place)
    to = ("--keep", 1) if target == "--keep" else (tmp_path / target,)
    made = Path(place.json("journal", "backup", *to)["file"])
    kept = tmp_path / "elsewhere"
    shutil.copytree(made.parent, kept)
    shutil.rmtree(place.folder / "state")
    told = place.json("journal", "restore", kept / made.name)
    assert (set(told["put_back"]), told["missing"]) == (set(KEPT_FOR_LIFE), [])
    state = place.folder / "state"
    assert {name: (state / name).read_bytes() for name in KEPT_FOR_LIFE} == files
    private = [*(state / name for name in KEPT_FOR_LIFE), place.journal]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert stat.S_IMODE(files_of(kept / made.name).stat().st_mode) == 0o700
    assert place.json("journal", "check")["signups"] == 3


def test_what_is_there_stays(place) -> None:
    """Certificates that were made anew since the backup are not put back to the old
    ones; what no backup has is named, with what follows.
    """
    place.fill(1)
    furls_and_keys(place)
    state = place.folder / "state"
    (state / "hosts.pem").unlink()
    made = Path(place.json("journal", "backup", "--keep", 1)["file"])
    (state / "private.pem").write_bytes(b"made anew")
    (state / "operator.furl").unlink()
    told = place.lae("journal", "restore", made, "--yes")
    assert f"Put back into {state}: operator.furl\n" in told.output
    assert f"MISSING: {state / 'hosts.pem'}: every customer's host" in told.output
    assert (state / "private.pem").read_bytes() == b"made anew"


def test_restore_where_nothing_is(place, backup) -> None:
    """On a new machine there is nothing to keep, and nothing to ask."""
    place.journal.unlink()
    told = place.json("journal", "restore", backup)
    assert told["kept"] is None
    assert place.json("journal", "check")["signups"] == 3


def test_restore_over_a_damaged_journal(place, backup) -> None:
    """A journal that cannot be read is kept as it is, and replaced."""
    place.journal.write_bytes(b"damaged" * 1000)
    before = digest(place.journal)
    told = place.json("journal", "restore", backup, "--yes")
    assert digest(Path(told["kept"])) == before
    assert place.json("journal", "check")["problems"] == []


def test_restore_needs_a_yes(place, backup) -> None:
    """Without a terminal and without --yes nothing is replaced; a dry run changes
    nothing either.
    """
    before = digest(place.journal)
    told = place.lae("journal", "restore", backup)
    assert (told.exit_code, "--yes" in told.output) == (2, True)
    told = place.lae("journal", "restore", backup, "--dry-run")
    assert (told.exit_code, "Would put" in told.output) == (0, True)
    assert digest(place.journal) == before


def test_restore_beside_a_daemon(place, backup) -> None:
    """While a daemon runs, nothing is restored, and it is named."""
    journal = place.open()
    told = place.lae("journal", "restore", backup, "--yes")
    assert told.exit_code == 1
    assert f"process {os.getpid()}" in told.output
    assert answer(journal.read(events.last_number, None))
    place.close(journal)
    assert place.json("journal", "check")["signups"] == 5


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda b: b.unlink(), "there is no backup"),
        (lambda b: b.write_bytes(b"no database" * 100), "not a database"),
        (lambda b: b.write_bytes(b""), "is no journal"),
        (
            lambda b: change(b, "UPDATE alembic_version SET version_num = '9999'"),
            "written by a newer release",
        ),
        (
            lambda b: change(b, "UPDATE meta SET deployment = 's4-other'"),
            "is of production s4-other",
        ),
        (lambda b: b.write_bytes(b.read_bytes()[:20_000]), "malformed"),
    ],
)
def test_bad_backups(place, backup, spoil, words) -> None:
    """What is missing, no journal, damaged, newer or somebody else's is refused with a
    reason, and the journal stays as it was.
    """
    before = digest(place.journal)
    spoil(backup)
    told = place.lae("journal", "restore", backup, "--yes")
    assert told.exit_code == 1
    assert words in told.output
    assert digest(place.journal) == before
    assert leftovers(place.journal.parent) == set()


@pytest.mark.parametrize("step", ["_count_on", "_keep"])
def test_interrupted_restore(place, backup, monkeypatch, step) -> None:
    """Broken off at any step, the old journal is in its place, whole."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(restoring, step, stop)
    told = place.lae("journal", "restore", backup, "--yes")
    assert (told.exit_code, "Stopped" in told.output) == (130, True)
    monkeypatch.undo()
    assert leftovers(place.journal.parent) == set()
    assert place.json("journal", "check")["signups"] == 5
    assert place.lae("journal", "restore", backup, "--yes").exit_code == 0


def test_a_sound_journal(place) -> None:
    """A journal as daemons write it breaks no rule."""
    place.fill(5)
    told = place.json("journal", "check")
    assert (told["problems"], told["signups"]) == ([], 5)
    assert "It is sound." in place.lae("journal", "check").output


SU = signup_id_of_form(b"form 1")
MOMENT = "2026-11-28T00:00:00.000000+00:00"
BREAKING = [
    (f"UPDATE signups SET state = 'paid' WHERE signup_id = '{SU}'", [0]),
    (f"UPDATE signups SET state = 'active' WHERE signup_id = '{SU}'", [0, 1, 4]),
    (
        f"""UPDATE signups SET state = 'refunded' WHERE signup_id = '{SU}';
            INSERT INTO hosts (signup_id, generation, state, wanted_at, changed_at)
            VALUES ('{SU}', 1, 'ready', '{MOMENT}', '{MOMENT}')""",
        [2],
    ),
    (f"DELETE FROM contacts WHERE signup_id = '{SU}'", [3]),
    (
        f"""INSERT INTO effects (signup_id, generation, step, purpose, attempt, token,
            request, sealed, state, begun_at, changed_at, tries) VALUES ('{SU}', 0, 's',
            'p', 1, 't', CAST('{{"f":"pb://x"}}' AS BLOB), 0, 'begun', '{MOMENT}',
            '{MOMENT}', 0)""",
        [5],
    ),
    ("DROP TRIGGER events_are_not_deleted", [6]),
]
#: What no statement gets into a journal at all.
REFUSED = [
    f"""INSERT INTO sessions (session_id, signup_id, state, opened_at, expires_at, kept)
        VALUES ('a', '{SU}', 'paid', '{MOMENT}', '{MOMENT}', 1),
        ('b', '{SU}', 'paid', '{MOMENT}', '{MOMENT}', 1)""",
    f"""INSERT INTO sessions (session_id, signup_id, state, opened_at, expires_at, kept)
        VALUES ('a', '{SU}', 'over', '{MOMENT}', '{MOMENT}', 1)""",
    f"""INSERT INTO effects (signup_id, generation, step, purpose, attempt, token,
        sealed, state, begun_at, changed_at, tries) VALUES ('{SU}', 0, 's', 'p', 1,
        't', 0, 'begun', '{MOMENT}', '{MOMENT}', 0)""",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_what_the_database_keeps_by_itself(place, statement) -> None:
    """Two kept payments, one that nobody paid, and an open effect that holds
    nothing: the tables refuse them, whoever writes.
    """
    place.fill(3)
    with pytest.raises(sqlite3.IntegrityError):
        change(place.journal, statement)


def test_every_rule_can_be_broken() -> None:
    """The cases below break each of the rules."""
    assert {n for _, broken in BREAKING for n in broken} == set(range(len(RULES)))


@pytest.mark.parametrize(("statements", "broken"), BREAKING)
def test_what_must_always_hold(place, statements, broken) -> None:
    """A journal in which one of the rules does not hold is told so, with whose it is."""
    place.fill(3)
    change(place.journal, *statements.split(";"))
    problems = place.json("journal", "check", code=4)["problems"]
    assert [p.split(": ")[1] for p in problems] == [RULES[n].says for n in broken]
    assert place.lae("journal", "check").exit_code == 4


def test_damage(place) -> None:
    """A page that was written over is found."""
    place.fill(30)
    raw = bytearray(place.journal.read_bytes())
    raw[8192:12_000] = b"\xff" * (12_000 - 8192)
    place.journal.write_bytes(raw)
    told = place.lae("journal", "check")
    assert told.exit_code in {1, 4}
    assert "malformed" in told.output or "damaged" in told.output


def test_somebody_elses(place) -> None:
    """A journal of another deployment than the settings' is a problem."""
    place.fill(1, Home("production", "s4-other", "123456789012", "live"))
    (problem,) = place.json("journal", "check", code=4)["problems"]
    assert "s4-other" in problem


@pytest.mark.parametrize("verb", ["check", "backup", "restore"])
def test_without_settings(place, verb) -> None:
    """Settings that are not there end in one line."""
    place.settings.unlink()
    told = place.lae("journal", verb, place.folder / "x")
    assert told.exit_code == 1
    assert told.output == f"Error: {place.settings}: No such file or directory\n"


def test_revision_of_what_is_no_journal(tmp_path) -> None:
    """Another database is no journal."""
    change(tmp_path / "other", "CREATE TABLE a (b)")
    assert checking.revision_of_file(tmp_path / "other") is None
