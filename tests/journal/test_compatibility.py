"""Which release may run on which schema, and what a deployment asks about it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from alembic.config import Config
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from sqlalchemy import inspect

from lae_flapp.journal import compatibility, events, opening, sqlite
from lae_flapp.journal.errors import JournalTooNew
from lae_flapp.machine.schema import schema
from lae_protocol.process.resources import config_folder
from tests.journal.test_opening import answer, closed, opened

NOW = datetime(2026, 11, 28, tzinfo=UTC)
NEXT = """
from alembic import op
import sqlalchemy as sa

revision = "{new}"
down_revision = "{old}"
branch_labels = None
depends_on = None
{says}

def upgrade() -> None:
    op.add_column("signups", sa.Column("of_release_{new}", sa.String(9)))
"""


def names() -> list[str]:
    """All revisions of this release, oldest first."""
    script = ScriptDirectory.from_config(opening.configuration())
    return [one.revision for one in script.walk_revisions()][::-1]


NOW_NEWEST = names()[-1]
SECOND, THIRD = (f"{int(NOW_NEWEST) + n:04d}" for n in (1, 2))


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Act as a later release: each call adds a migration, which says so or not."""
    real = opening.configuration
    folder = tmp_path / "migrations"
    shutil.copytree(real().get_main_option("script_location"), folder)

    def configuration() -> Config:
        made = Config()
        made.set_main_option("script_location", str(folder))
        return made

    class Later:
        def adds(self, new: str, old: str, says: str = "") -> None:
            text = NEXT.format(new=new, old=old, says=says)
            (folder / "versions" / f"{new}_next.py").write_text(text)
            monkeypatch.setattr(opening, "configuration", configuration)

        def goes(self) -> None:
            monkeypatch.setattr(opening, "configuration", real)

    return Later()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "journal" / "journal.sqlite"


def test_an_older_release_runs_on_a_schema_that_allows_it(path: Path, later) -> None:
    """After an expansion the release before opens the journal, reads and writes; and
    the newer one finds all of it.
    """
    closed(opened(path))
    later.adds(SECOND, NOW_NEWEST, f'RUNS_FROM = "{NOW_NEWEST}"')
    closed(opened(path))
    later.goes()
    old = opened(path)
    answer(old.write(events.note, None, "by-the-old-one", "test"))
    closed(old)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT * FROM alembic_version").fetchall() == [(SECOND,)]
    later.adds(SECOND, NOW_NEWEST, f'RUNS_FROM = "{NOW_NEWEST}"')
    new = opened(path)
    assert answer(new.read(events.last_number, None)) == 1
    closed(new)


@pytest.mark.parametrize("says", ["", f'RUNS_FROM = "{SECOND}"'])
def test_an_older_release_refuses_any_other(path: Path, later, says) -> None:
    """A migration that says nothing, or only names itself, keeps older releases away,
    in one line, and they change nothing.
    """
    closed(opened(path))
    later.adds(SECOND, NOW_NEWEST, says)
    closed(opened(path))
    later.goes()
    before = path.read_bytes()
    with pytest.raises(JournalTooNew, match="written by a newer release"):
        opened(path)
    assert path.read_bytes() == before


def test_the_least_tolerant_migration_decides(path: Path, later) -> None:
    """A later tolerant migration does not let in whom an earlier one keeps away."""
    closed(opened(path))
    later.adds(SECOND, NOW_NEWEST)
    later.adds(THIRD, SECOND, f'RUNS_FROM = "{NOW_NEWEST}"')
    closed(opened(path))
    engine = sqlite.engine(path, writes=False, connections=1)
    with engine.connect() as connection:
        assert compatibility.allows(connection, THIRD, SECOND)
        assert not compatibility.allows(connection, THIRD, NOW_NEWEST)
        assert not compatibility.allows(connection, "9999", SECOND)
    engine.dispose()
    later.goes()
    with pytest.raises(JournalTooNew):
        opened(path)


def test_a_migration_cannot_name_what_comes_later(path: Path, later) -> None:
    """A revision that is not before the migration is a mistake of its author."""
    later.adds(SECOND, NOW_NEWEST, 'RUNS_FROM = "9999"')
    with pytest.raises(ValueError, match="RUNS_FROM is '9999'"):
        opened(path)


def upgraded_to(path: Path, revision: str) -> dict[str, dict[str, dict]]:
    """The tables and columns of the schema as of a revision."""
    sqlite.touch(path)
    engine = sqlite.engine(path, writes=True, connections=1)
    config = opening.configuration()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        opening.command.upgrade(config, revision)
        seen = inspect(connection)
        tables = {
            table: {c["name"]: c for c in seen.get_columns(table)}
            for table in seen.get_table_names()
        }
    engine.dispose()
    return tables


def test_what_is_said_of_a_migration_is_so(tmp_path: Path) -> None:
    """Where a migration says that an older release runs on it, no table or column of
    that release is gone, and none that it does not know must be given.
    """
    script = ScriptDirectory.from_config(opening.configuration())
    chain = list(script.walk_revisions())[::-1]
    for number, one in enumerate(chain):
        said = getattr(one.module, "RUNS_FROM", None)
        if said is None or said == one.revision:
            continue
        old = upgraded_to(tmp_path / f"old-{number}", said)
        new = upgraded_to(tmp_path / f"new-{number}", one.revision)
        for table, columns in old.items():
            assert columns.keys() <= new[table].keys(), (one.revision, table)
            for name in new[table].keys() - columns.keys():
                column = new[table][name]
                given = column["nullable"] or column["default"] is not None
                assert given, (one.revision, table, name)


@pytest.fixture
def config(path: Path, tmp_path: Path) -> Path:
    """The daemon's settings, whose journal is at *path*."""
    text = (config_folder() / "daemon.example.yaml").read_text()
    settings = yaml.safe_load(text) | {"state": str(path.parent.parent)}
    (tmp_path / "daemon.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "daemon.yaml"


def run(*argv: object, code: int = 0) -> str:
    """``lae schema ...``: what it prints."""
    done = CliRunner().invoke(schema, [str(a) for a in argv])
    assert done.exit_code == code, done.output
    return str(done.output)


def test_show_tells_how_they_stand(path: Path, config: Path, later) -> None:
    """`show` says, before and after an upgrade and to an older release, what fits."""
    told = json.loads(run("show", "--config", config))
    assert told["present"] is None
    assert told["fits"]
    assert told["newest"] == NOW_NEWEST
    assert not path.exists()
    closed(opened(path))
    told = json.loads(run("show", "--config", config))
    assert (told["present"], told["behind"]) == (NOW_NEWEST, False)
    later.adds(SECOND, NOW_NEWEST, f'RUNS_FROM = "{NOW_NEWEST}"')
    told = json.loads(run("show", "--config", config))
    assert (told["behind"], told["runs_from"]) == (True, NOW_NEWEST)
    run("upgrade", "--config", config)
    later.goes()
    told = json.loads(run("show", "--config", config))
    assert (told["present"], told["fits"], told["behind"]) == (SECOND, True, False)


def test_upgrade_works_beside_a_running_daemon(path: Path, config: Path, later) -> None:
    """The schema grows while a daemon of the release before has the journal open, and
    that daemon goes on writing.
    """
    daemon = opened(path)
    answer(daemon.write(events.note, None, "before", "test"))
    later.adds(SECOND, NOW_NEWEST, f'RUNS_FROM = "{NOW_NEWEST}"')
    said: list[str] = []
    thread = threading.Thread(
        target=lambda: said.append(run("upgrade", "--config", config))
    )
    thread.start()
    thread.join(30)
    assert said
    assert f"revision {SECOND}" in said[0]
    answer(daemon.write(events.note, None, "after", "test"))
    assert answer(daemon.read(events.last_number, None)) == 2
    closed(daemon)


def test_a_journal_that_is_none_is_one_line(path: Path, config: Path) -> None:
    """A damaged file ends each command with one line, and nothing is written."""
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_bytes(b"no journal " * 1000)
    for command in ("show", "upgrade"):
        said = run(command, "--config", config, code=1)
        assert said.count("\n") == 1
        assert "not a database" in said
