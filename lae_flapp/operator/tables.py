"""What operators see: tables for people, JSON for programs.

The JSON is documented in ``docs/operations.rst``; its ``version`` grows when a key
goes or changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lae_protocol import wire
from lae_protocol.messages import EventRow, SignupDetail, SignupRow
from lae_protocol.plan_words import size_in_words

VERSION = 1

_COLOURS = {
    "active": "green",
    "paid": "yellow",
    "refunding": "red",
    "troubled": "red",
}


#: These are copied from here, or read at a glance.
_WHOLE = frozenset({"signup", "state", "grid", "since (UTC)", "at (UTC)", "event"})
#: Columns; with fewer, a list leaves out what can be looked up.
WIDE = 150
#: Into a pipe, a line is as long as it must be.
_UNFOLDED = 10_000


def print_json(*, one_line: bool = False, **content: Any) -> None:
    """One JSON object, with the version of its shape; on one line in a stream."""
    plain = {
        key: [wire.converter().unstructure(v) for v in value]
        if isinstance(value, (list, tuple))
        else wire.converter().unstructure(value)
        for key, value in content.items()
    }
    indent = None if one_line else 2
    whole = {"version": VERSION, **plain}
    click.echo(json.dumps(whole, indent=indent, ensure_ascii=False))


def moment(at: datetime) -> str:
    """A time as operators read it: UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def print_rows(rows: tuple[SignupRow, ...], more: bool) -> None:  # noqa: FBT001
    """The list of signups."""
    console = _console()
    console.print(_wide(rows) if console.width >= WIDE else _narrow(rows))
    if more:
        click.echo("There are more: narrow it with --state or --search, or --limit.")


def _wide(rows: tuple[SignupRow, ...]) -> Table:
    table = _table(
        "signup", "state", "address", "plan", "grid", "since (UTC)", "problem"
    )
    for r in rows:
        table.add_row(
            r.signup_id,
            _state(r.state),
            _plain(_address(r)),
            _plain(r.plan_id),
            r.grid_label,
            moment(r.changed_at),
            _plain(r.problem or ""),
        )
    return table


def _narrow(rows: tuple[SignupRow, ...]) -> Table:
    """For a terminal of 80 columns: the problem stands below the address."""
    table = _table("signup", "state", "since (UTC)", "address and problem")
    for r in rows:
        text = _plain(_address(r))
        if r.problem is not None:
            text.append("\n").append(_plain(r.problem))
        table.add_row(r.signup_id, _state(r.state), moment(r.changed_at)[:16], text)
    return table


def _address(row: SignupRow) -> str:
    return row.email + (" (bouncing)" if row.email_state == "bouncing" else "")


def _state(state: str) -> Text:
    return Text(state, style=_COLOURS.get(state, ""))


def _plain(text: str) -> Text:
    """What came from outside: no markup, no control characters."""
    return Text(printable(text))


def printable(text: str) -> str:
    """The text as a terminal can bear it: whatever commands one is a question mark."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


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
        *_usage(detail),
    ):
        facts.add_row(name, _plain(value))
    console = _console()
    console.print(facts)
    console.print()
    table = _table("step", "purpose", "try", "state", "at (UTC)", "outcome")
    for e in detail.effects:
        table.add_row(
            e.step,
            e.purpose,
            str(e.attempt),
            e.state,
            moment(e.at),
            _plain(e.outcome or ""),
        )
    if detail.effects:
        console.print(table)
        console.print()
    print_events(detail.events)


def _usage(detail: SignupDetail) -> Iterator[tuple[str, str]]:
    """What the grid holds and did, line by line."""
    usage, plan, size = detail.usage, detail.plan, size_in_words
    if usage is None:
        return
    older = "unknown" if usage.noncurrent is None else size(usage.noncurrent)
    slowed = "; used up: slowed down" if usage.slowed else ""
    sent = size(usage.sent_this_month)
    yield (
        "stored",
        f"{size(usage.stored)} of {size(plan.quota)}, older versions {older}",
    )
    yield "sent", f"{sent} of {size(plan.traffic)} this month{slowed}"
    yield "shares", f"{usage.shares}, advisories {usage.advisories}"
    yield "host told", f"{moment(usage.told_at)} UTC"


def print_events(events: tuple[EventRow, ...], *, whole: bool = False) -> None:
    """Lines of the event log; of the *whole* deployment, each names its signup."""
    whose = ("signup",) if whole else ()
    table = _table("number", "at (UTC)", *whose, "event", "who", "why")
    for e in events:
        why = _plain(e.why or "")
        named = (e.signup_id or "",) if whole else ()
        who = _plain(e.who)
        table.add_row(str(e.number), moment(e.at), *named, e.kind, who, why)
    _console().print(table)


def event_line(event: EventRow, *, whole: bool = False) -> str:
    """One line, for a log that is followed."""
    why = f": {event.why}" if event.why else ""
    named = f"{event.signup_id or 'deployment':22}  " if whole else ""
    line = (
        f"{event.number:>6}  {moment(event.at)}  {named}{event.kind} ({event.who}){why}"
    )
    return printable(line)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # Ids and addresses are copied from here, so they are never cut.
        table.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    return table


def _console() -> Console:
    console = Console(highlight=False)
    if console.is_terminal:
        return console
    return Console(width=_UNFOLDED, highlight=False)
