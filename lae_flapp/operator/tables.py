"""What operators see: tables for people, JSON for programs.

The JSON is documented in ``docs/operations.rst``; its ``version`` grows when a key
goes or changes its meaning.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lae_protocol import wire
from lae_protocol.messages import EventRow, SignupDetail, SignupRow

VERSION = 1

_COLOURS = {
    "active": "green",
    "paid": "yellow",
    "refunding": "red",
    "troubled": "red",
}


def print_json(**content: Any) -> None:
    """One JSON object, with the version of its shape."""
    plain = {
        key: [wire.converter().unstructure(v) for v in value]
        if isinstance(value, (list, tuple))
        else wire.converter().unstructure(value)
        for key, value in content.items()
    }
    click.echo(json.dumps({"version": VERSION, **plain}, indent=2, ensure_ascii=False))


def moment(at: datetime) -> str:
    """A time as operators read it: UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def print_rows(rows: tuple[SignupRow, ...], more: bool) -> None:  # noqa: FBT001
    """The list of signups."""
    table = _table(
        "signup", "state", "address", "plan", "grid", "since (UTC)", "problem"
    )
    for r in rows:
        table.add_row(
            r.signup_id,
            Text(r.state, style=_COLOURS.get(r.state, "")),
            r.email + (" (bouncing)" if r.email_state == "bouncing" else ""),
            r.plan_id,
            r.grid_label,
            moment(r.changed_at),
            r.problem or "",
        )
    _console().print(table)
    if more:
        click.echo("There are more: narrow it with --state or --search, or --limit.")


def print_detail(detail: SignupDetail) -> None:
    """One signup, its effects, its events."""
    row = detail.row
    facts = Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("signup", row.signup_id),
        ("state", row.state),
        ("address", f"{row.email} ({row.email_state})"),
        ("plan", detail.plan.name),
        ("grid", row.grid_label),
        ("instance", row.instance_id or "none"),
        ("registered", moment(row.created_at)),
        ("problem", row.problem or "none"),
    ):
        facts.add_row(name, value)
    console = _console()
    console.print(facts)
    table = _table("step", "purpose", "try", "state", "at (UTC)", "outcome")
    for e in detail.effects:
        table.add_row(
            e.step, e.purpose, str(e.attempt), e.state, moment(e.at), e.outcome or ""
        )
    console.print(table)
    print_events(detail.events)


def print_events(events: tuple[EventRow, ...]) -> None:
    """Lines of the event log."""
    table = _table("number", "at (UTC)", "event", "who", "why")
    for e in events:
        table.add_row(str(e.number), moment(e.at), e.kind, e.who, e.why or "")
    _console().print(table)


def event_line(event: EventRow) -> str:
    """One line, for a log that is followed."""
    why = f": {event.why}" if event.why else ""
    return f"{event.number:>6}  {moment(event.at)}  {event.kind} ({event.who}){why}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # Ids and addresses are copied from here, so they are never cut.
        table.add_column(column, overflow="fold", no_wrap=column in {"signup", "state"})
    return table


def _console() -> Console:
    # Into a pipe, a line is as long as it must be.
    console = Console(soft_wrap=False, highlight=False)
    return console if console.is_terminal else Console(width=200, highlight=False)
