"""What every column must declare, and how values look in the file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import Enum
from typing import Any, get_args

from sqlalchemy import Column, ForeignKey, Index, MetaData, String, text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Kept(Enum):
    """How long a column's value is kept; :mod:`.retention` does it."""

    JOURNAL = "as long as the journal"
    SIGNUP = "with its signup: 30 days unpaid, or 30 days after it is over"
    SETTLED = "30 days after it was settled"
    HOLDING = "until released"


class Moment(TypeDecorator[datetime]):
    """An aware UTC time as text of one width, so that text order is time order."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> str | None:
        """Write; a naive time is a bug of the caller's (ValueError)."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time needs its zone")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(
        self,
        value: str | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> datetime | None:
        """Read."""
        return None if value is None else datetime.fromisoformat(value)


class Word(TypeDecorator[str]):
    """One of the words of a ``Literal``; any other is refused both ways."""

    impl = String(24)
    cache_ok = True

    def __init__(self, literal: Any) -> None:
        super().__init__()
        self.words: tuple[str, ...] = get_args(literal)

    def process_bind_param(
        self,
        value: str | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> str | None:
        """Write."""
        return self._checked(value)

    def process_result_value(
        self,
        value: str | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> str | None:
        """Read."""
        return self._checked(value)

    def _checked(self, value: str | None) -> str | None:
        if value is not None and value not in self.words:
            raise ValueError(f"not one of {', '.join(self.words)}")
        return value


def column(
    name: str,
    kind: Any,
    *constraints: Any,
    purpose: str,
    kept: Kept = Kept.SIGNUP,
    personal: bool = False,
    nullable: bool = False,
    **more: Any,
) -> Column[Any]:
    """Declare a column: what it is for, how long its values stay, and whether they
    are personal data (allowed in ``contacts`` alone).
    """
    declared = {"purpose": purpose, "kept": kept, "personal": personal}
    return Column(name, kind, *constraints, nullable=nullable, info=declared, **more)


def signup_column(*, purpose: str = "whose", **more: Any) -> Column[Any]:
    """Declare the column of a table whose rows belong to a signup, and go with it."""
    return column(
        "signup_id",
        String(22),
        ForeignKey("signups.signup_id", ondelete="CASCADE"),
        purpose=purpose,
        **more,
    )


def only_one(name: str, *columns: str, where: str) -> Index:
    """Allow one row, at most, with these columns' values and *where* (plain SQL)."""
    condition = text(where)
    return Index(
        name,
        *columns,
        unique=True,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def words(names: Iterable[str]) -> str:
    """List names in a fixed order, for errors."""
    return ", ".join(sorted(names))
