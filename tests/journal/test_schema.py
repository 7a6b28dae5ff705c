"""The tables: what each column declares, and how they are made."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import attrs
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Table

from lae_flapp.journal import (
    causes,
    cells,
    contacts,
    events,
    gifts,
    host_troubles,
    hosts,
    identities,
    inbox,
    opening,
    operators,
    outbox,
    schema,
    signups,
    sqlite,
    switches,
)
from lae_flapp.journal.columns import Kept, Moment, Word
from lae_protocol.messages import SignupState

COLUMNS = [one for table in schema.METADATA.sorted_tables for one in table.columns]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_every_column_declares_its_purpose_and_how_long_it_is_kept(
    column: Column[object],
) -> None:
    """Every column of every table says what it is for and when its values go."""
    assert len(column.info["purpose"]) >= 3
    assert isinstance(column.info["kept"], Kept)


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_a_value_stays_with_the_journal_where_its_row_does(
    column: Column[object],
) -> None:
    """What a column declares is what becomes of its row: a signup's goes with it, a
    hint of the inbox once it is settled, and any other stays.
    """
    links = [link.ondelete for one in column.table.columns for link in one.foreign_keys]
    of_itself = column.table in {signups.SIGNUPS, inbox.INBOX}
    goes = of_itself or "CASCADE" in links
    assert (column.info["kept"] is Kept.JOURNAL) == (not goes)


def test_personal_data_is_in_one_table() -> None:
    """Columns with personal data stand in `contacts` alone, and there are some."""
    personal = {one.table.name for one in COLUMNS if one.info["personal"]}
    assert personal == {"contacts"}


def test_every_table_is_listed() -> None:
    """No table is known to the metadata without standing in the schema's list."""
    assert set(schema.TABLES) == set(schema.METADATA.sorted_tables)


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (causes.CAUSES, causes.Cause),
        (cells.CELLS, cells.Cell),
        (events.EVENTS, events.Event),
        (gifts.GIFTS, gifts.Gift),
        (host_troubles.HOST_TROUBLES, host_troubles.HostTrouble),
        (hosts.HOSTS, hosts.HostRow),
        (identities.IDENTITIES, identities.Identity),
        (inbox.INBOX, inbox.InboxEvent),
        (operators.OPERATORS, operators.Operator),
        (outbox.OUTBOX, outbox.Mail),
        (switches.SWITCHES, switches.Pause),
    ],
)
def test_rows_are_made_of_columns_in_order(table: object, row: type) -> None:
    """A class that is made from a whole row has the table's columns as its fields."""
    assert [one.name for one in table.columns] == [
        one.name for one in attrs.fields(row)
    ]


def test_a_contact_has_the_columns_that_are_shown() -> None:
    """A contact's fields are the table's columns, but for the one to search by; and
    whether it is the first.
    """
    names = [one.name for one in contacts.CONTACTS.columns if one.name != "folded"]
    fields = [one.name for one in attrs.fields(contacts.Contact)]
    assert [*names, "corrected"] == fields


def shape(path: Path) -> dict[str, object]:
    """Everything SQLite knows of a schema, comparable."""
    with closing(sqlite3.connect(path)) as raw:
        names = [
            name
            for (name,) in raw.execute(
                "SELECT name FROM sqlite_master WHERE type='table'"
                " AND name NOT IN ('alembic_version', 'sqlite_sequence')"
            )
        ]
        return {name: sorted(parts(raw, name), key=repr) for name in names}


def parts(raw: sqlite3.Connection, table: str) -> Iterator[object]:
    yield from raw.execute(f"PRAGMA table_info({table})")
    for _, *target in raw.execute(f"PRAGMA foreign_key_list({table})"):
        yield "foreign", target[1:]
    for _, name, *traits in raw.execute(f"PRAGMA index_list({table})"):
        columns = [row[2] for row in raw.execute(f"PRAGMA index_info({name})")]
        yield "index", None if "autoindex" in name else name, traits, columns
    query = "SELECT sql FROM sqlite_master WHERE tbl_name=? AND type != 'table'"
    for (sql,) in raw.execute(query, (table,)):
        yield "sql", sql and " ".join(sql.split())
    query = "SELECT sql FROM sqlite_master WHERE tbl_name=? AND type = 'table'"
    for (sql,) in raw.execute(query, (table,)):
        yield "autoincrement", "AUTOINCREMENT" in sql
        for check in re.findall(r"CONSTRAINT (ck_\w+ CHECK \(.*\))", sql):
            yield "check", check


def test_an_upgraded_schema_is_a_fresh_one(tmp_path: Path) -> None:
    """The migrations make the very tables, indexes and triggers that are declared."""
    fresh, upgraded = tmp_path / "fresh", tmp_path / "upgraded"
    engine = sqlite.engine(fresh, writes=True, connections=1)
    schema.METADATA.create_all(engine)
    engine.dispose()
    engine = sqlite.engine(upgraded, writes=True, connections=1)
    opening.upgrade(upgraded, engine, datetime.now(UTC))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, schema.METADATA) == []
    engine.dispose()
    assert len(shape(fresh)) == len(schema.TABLES)
    assert shape(upgraded) == shape(fresh)


def test_the_schema_is_one_migration_before_the_first_release() -> None:
    """What was never released needs no upgrade: there is one migration, the first."""
    chain = ScriptDirectory.from_config(opening.configuration()).walk_revisions()
    assert [one.revision for one in chain] == ["0001"]


@pytest.mark.parametrize("table", schema.TABLES, ids=str)
def test_what_is_a_signups_goes_with_it(table: Table) -> None:
    """Every row that names a signup is deleted with it, but for the log and receipts."""
    if "signup_id" not in table.columns or table.name == "signups":
        return
    keys = table.columns["signup_id"].foreign_keys
    outlive = {"events", "receipts"}
    assert [key.ondelete for key in keys] == (
        [] if table.name in outlive else ["CASCADE"]
    )


def test_text_order_of_moments_is_time_order() -> None:
    """Moments of any zone and precision are stored so that text sorts by time."""
    start = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    steps = [timedelta(microseconds=1), timedelta(seconds=1), timedelta(days=400)]
    moments = [start, *(start + step for step in steps)]
    texts = [Moment().process_bind_param(one, None) for one in moments]
    assert texts == sorted(texts)
    read = [Moment().process_result_value(text, None) for text in texts]
    assert read == moments


def test_a_naive_time_is_refused() -> None:
    """A time without a zone never reaches the journal."""
    with pytest.raises(ValueError, match="zone"):
        Moment().process_bind_param(datetime(2026, 1, 1), None)  # noqa: DTZ001


def test_an_unknown_word_is_refused_both_ways() -> None:
    """A state that no code knows is neither written nor read."""
    word = Word(SignupState)
    assert word.process_bind_param("paid", None) == "paid"
    for way in (word.process_bind_param, word.process_result_value):
        with pytest.raises(ValueError, match="not one of"):
            way("payed", None)
