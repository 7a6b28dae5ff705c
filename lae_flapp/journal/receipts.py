"""Receipts of deleted data: they stay as long as the journal, and name nobody."""

from __future__ import annotations

from datetime import datetime

from attrs import define
from sqlalchemy import BigInteger, Integer, String, Table, Text, insert, select

from lae_flapp.journal.columns import METADATA, Kept, Moment, column
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SignupId

RECEIPTS = Table(
    "receipts",
    METADATA,
    column("number", Integer, purpose="its name", kept=Kept.JOURNAL, primary_key=True),
    # No foreign key: a receipt outlives what it tells of.
    column("signup_id", String(22), purpose="whose data", kept=Kept.JOURNAL),
    column("bucket", String(63), purpose="where it lay", kept=Kept.JOURNAL),
    column("ended_at", Moment, purpose="of the subscription", kept=Kept.JOURNAL),
    column("kept_until", Moment, purpose="as promised", kept=Kept.JOURNAL),
    column("deleted_at", Moment, purpose="it was seen gone", kept=Kept.JOURNAL),
    column(
        "used_bytes",
        BigInteger,
        purpose="of shares, as the last host reported",
        kept=Kept.JOURNAL,
        nullable=True,
    ),
    column(
        "share_count",
        Integer,
        purpose="as the last host reported",
        kept=Kept.JOURNAL,
        nullable=True,
    ),
    column(
        "why", Text, purpose="who asked, or that the time was over", kept=Kept.JOURNAL
    ),
    sqlite_autoincrement=True,
)


@define(frozen=True)
class Receipt:
    """A row: all versions of all objects of *bucket*, and the bucket, are deleted."""

    number: int
    signup_id: SignupId
    bucket: str
    ended_at: datetime
    kept_until: datetime
    deleted_at: datetime
    used_bytes: int | None
    share_count: int | None
    why: str


def put(
    tx: WriteTx,
    signup_id: SignupId,
    bucket: str,
    *,
    ended_at: datetime,
    kept_until: datetime,
    used: tuple[int, int] | None,
    why: str,
) -> Receipt:
    """Write one; *used* is bytes and shares, None where no host ever reported."""
    used_bytes, share_count = used or (None, None)
    tx.run(
        insert(RECEIPTS).values(
            signup_id=signup_id,
            bucket=bucket,
            ended_at=ended_at,
            kept_until=kept_until,
            deleted_at=tx.now,
            used_bytes=used_bytes,
            share_count=share_count,
            why=why,
        )
    )
    found = find(tx, signup_id)
    assert found is not None
    return found


def find(tx: ReadTx, signup_id: SignupId) -> Receipt | None:
    """The receipt, if the data is deleted."""
    row = tx.first(select(RECEIPTS).where(RECEIPTS.c.signup_id == signup_id))
    return None if row is None else Receipt(*row)
