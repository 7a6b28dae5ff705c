"""A journal with many customers, written at once: for figures, not for daemons."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lae_protocol.ids import new_grid_label, signup_id_of_form

#: What each customer has: one row each, or several.
EVENTS = ("registered", "checkout-opened", "paid", "ready", "mail-accepted")
STEPS = ("identity", "bucket", "role", "host", "address")


def fill(path: Path, count: int) -> None:
    """Add *count* served customers to a journal that no daemon has open.

    Their hosts look as if they had been ready in an hour's time, so that no daemon takes
    them for lost while it is measured.
    """
    now = datetime.now(UTC)
    with closing(sqlite3.connect(path)) as db, db:
        (cell,) = db.execute("SELECT name FROM cells").fetchone() or (None,)
        if cell is None:
            cell = "bench"
            row = (cell, "s4-local", "0", "r", "z", "example.org")
            db.execute("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?)", row)
        for number in range(count):
            for table, values in _rows(number, cell, now):
                names, marks = ", ".join(values), ", ".join("?" * len(values))
                db.execute(
                    f"INSERT INTO {table} ({names}) VALUES ({marks})",
                    tuple(values.values()),
                )


def _rows(
    number: int, cell: str, now: datetime
) -> Iterator[tuple[str, dict[str, Any]]]:
    at = (now + timedelta(hours=1)).isoformat(timespec="microseconds")
    su = signup_id_of_form(f"bench {number}".encode())
    yield (
        "signups",
        {
            "signup_id": su, "state": "active", "changed_at": at, "created_at": at,
            "owner_hash": f"{number:064}", "grid_label": new_grid_label(),
            "cell": cell, "plan_id": "s4-small-monthly", "plan_name": "Small",
            "price": 500, "currency": "eur", "interval": "month", "quota": 10**11,
            "traffic": 2 * 10**11, "terms_version": "2026-11-01", "agreed_at": at,
            "language": "en", "grace": 0, "read_only": 0, "stopped": 0, "data_kept": 0,
        },
    )  # fmt: skip
    email = f"customer-{number}@mail{number % 50}.example.org"
    yield (
        "contacts",
        {
            "signup_id": su, "typed": email, "smtp": email, "folded": email,
            "state": "unconfirmed", "since": at, "changed_at": at,
        },
    )  # fmt: skip
    yield (
        "hosts",
        {
            "signup_id": su, "generation": 1, "state": "ready", "wanted_at": at,
            "changed_at": at, "instance_id": f"i-{number:017x}", "launch_time": at,
        },
    )  # fmt: skip
    yield (
        "sessions",
        {
            "session_id": f"cs_{number}", "signup_id": su, "state": "paid",
            "opened_at": at, "expires_at": at, "closed_at": at, "kept": 1,
        },
    )  # fmt: skip
    yield (
        "identities",
        {
            "signup_id": su, "generation": 1, "key_id": "bench", "sealed": b"x" * 4000,
            "vault_key": f"identities/{su}/1.sealed", "made_at": at, "vaulted_at": at,
        },
    )  # fmt: skip
    yield (
        "outbox",
        {
            "signup_id": su, "kind": "active", "occasion": "",
            "message_id": f"<{number}@bench>", "queued_at": at, "state": "accepted",
            "attempts": 0, "next_try_at": at, "settled_at": at,
        },
    )  # fmt: skip
    for kind in EVENTS:
        yield (
            "events",
            {"signup_id": su, "kind": kind, "at": at, "who": "daemon", "public": 1},
        )
    for step in STEPS:
        yield (
            "effects",
            {
                "signup_id": su, "generation": 0, "step": step,
                "purpose": f"make-{step}", "attempt": 1,
                "token": f"{su}-make-{step}-0-1", "request": b"x" * 600, "sealed": 0,
                "state": "done", "outcome": f"made-{number}", "begun_at": at,
                "changed_at": at, "tries": 0,
            },
        )  # fmt: skip
