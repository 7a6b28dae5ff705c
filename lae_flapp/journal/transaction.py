"""What a function that runs in the journal is given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from attrs import Factory, define
from sqlalchemy import Connection, Executable

from lae_protocol.ids import SignupId

#: What all wait for together: the rows of a queue, and what is paused.
Noun = Literal["inbox", "outbox", "causes", "switches"]


@define(frozen=True)
class Recorded:
    """An event that watchers are told of after the commit."""

    number: int
    signup_id: SignupId | None
    public: bool


@define(frozen=True)
class Touched:
    """What a transaction changed that somebody waits for.

    The functions that change the rows note it here; the journal tells it after the
    commit (:class:`lae_flapp.journal.watchers.Watchers`), so that nobody who changes a
    row has to know who works on it.  *tried_again* are signups of which an operator
    wants once more what was refused.  *names* are hashes of furls' names, and whether
    each is good for something now.
    """

    events: list[Recorded] = Factory(list)
    nouns: set[Noun] = Factory(set)
    signups: set[SignupId] = Factory(set)
    tried_again: set[SignupId] = Factory(set)
    names: dict[str, bool] = Factory(dict)


@define(frozen=True, eq=False)
class ReadTx:
    """One consistent view.  *now* is the transaction's time, aware UTC."""

    connection: Connection
    now: datetime

    def all(self, statement: Executable) -> Sequence[Any]:
        """Every row; the nouns' modules make typed values of them."""
        return self.connection.execute(statement).all()

    def first(self, statement: Executable) -> Any:
        """The first row, or None."""
        return self.connection.execute(statement).first()

    def scalar(self, statement: Executable) -> Any:
        """The first column of the first row, or None."""
        return self.connection.execute(statement).scalar()


@define(frozen=True, eq=False)
class WriteTx(ReadTx):
    """A transaction under the active daemon's epoch; all of it is kept, or nothing."""

    touched: Touched = Factory(Touched)

    def run(self, statement: Executable) -> int:
        """Change something; how many rows it was."""
        return self.connection.execute(statement).rowcount

    def insert(self, statement: Executable) -> int:
        """Insert one row; its number, in tables that number their rows."""
        key = self.connection.execute(statement).inserted_primary_key
        return int(key[0]) if key is not None and isinstance(key[0], int) else 0
