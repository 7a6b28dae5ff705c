"""What operators see: tables for people, JSON for programs.

The JSON is documented in ``docs/lae.rst``; its ``version`` grows when a key goes or
changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from lae_flapp.laptop.columns import (
    GAP,
    NARROWEST,
    Column,
    columns,
    fold,
    printable,
    terminal_width,
)
from lae_protocol import wire
from lae_protocol.looking_messages import EventRow, SignupDetail, SignupRow
from lae_protocol.plan_words import size_in_words

#: The shape of what --json prints; it grows when a key goes or changes its meaning.
VERSION = 1
#: Of states, wherever they stand.
STATES = (
    ("active", "green"),
    ("ready", "green"),
    ("done", "green"),
    ("accepted", "green"),
    ("paid", "yellow"),
    ("waiting", "yellow"),
    ("begun", "yellow"),
    ("past-due", "yellow"),
    ("ending", "yellow"),
    ("suspended", "red"),
    ("stopped", "red"),
    ("deleting", "red"),
    ("refunding", "red"),
    ("failed", "red"),
    ("refused", "red"),
    ("quarantined", "red"),
)
#: Into a pipe, a line is as long as it must be.
UNBOUNDED = 100_000
#: Columns; with fewer, a list leaves out what can be looked up.
WIDE = 150


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


def moment(at: datetime | None) -> str:
    """A time as operators read it: UTC, to the second."""
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def state(name: str = "state") -> Column:
    """A column of states, in colours."""
    return Column(name, colours=STATES)


def text(name: str) -> Column:
    """A column that may be broken over lines."""
    return Column(name, whole=False)


def narrow() -> bool:
    """Whether what can be looked up has no room."""
    return (terminal_width() or WIDE) < WIDE


def print_facts(*facts: tuple[str, str]) -> None:
    """Names and values, a line each, or more on a narrow terminal."""
    wide = max(len(name) for name, _ in facts)
    room = max(NARROWEST, (terminal_width() or UNBOUNDED) - wide - len(GAP))
    for name, value in facts:
        first, *rest = fold(printable(value), room)
        click.echo(f"{name:<{wide}}{GAP}{first}".rstrip())
        for one in rest:
            click.echo(" " * wide + GAP + one)


def end_of(row: SignupRow) -> str:
    """When a cancelled one that is still served ends; nothing of any other."""
    if not row.leaving:
        return ""
    end = moment(row.ends_at)
    return f"cancelled, ends {end} UTC" if end else "cancelled, ends with what is paid"


def _of_address(row: SignupRow) -> str:
    """What is known of the address, and what follows from it."""
    if not row.awaits_confirmation:
        return row.email_state
    return f"{row.email_state}; corrected: mails are held until it is confirmed"


def print_detail(detail: SignupDetail) -> None:
    """One signup, its effects, its events."""
    row = detail.row
    print_facts(
        ("signup", row.signup_id),
        ("state", row.state),
        ("address", f"{row.email} ({_of_address(row)})"),
        ("plan", detail.plan.name),
        ("grid", row.grid_label),
        ("instance", row.instance_id or "none"),
        ("registered", moment(row.created_at)),
        ("end", end_of(row) or "none is planned"),
        ("problem", row.problem or "none"),
        *_usage(detail),
    )
    click.echo()
    if detail.effects:
        table = columns(
            Column("step"),
            Column("purpose"),
            Column("try"),
            state(),
            Column("at (UTC)"),
            text("outcome"),
        )
        table.page(
            (e.step, e.purpose, str(e.attempt), e.state, moment(e.at), e.outcome or "")
            for e in detail.effects
        )
        click.echo()
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


def print_events(events: Sequence[EventRow], *, whole: bool = False) -> None:
    """Lines of the event log; of the *whole* deployment, each names its signup."""
    whose = (Column("signup"),) if whole else ()
    told = (
        (text("event (who): why"),)
        if narrow()
        else (Column("event"), text("who"), text("why"))
    )
    table = columns(Column("number"), Column("at (UTC)"), *whose, *told)
    rows = []
    for e in events:
        named = (e.signup_id or "",) if whole else ()
        what = (_event(e),) if narrow() else (e.kind, e.who, e.why or "")
        rows.append((str(e.number), moment(e.at), *named, *what))
    table.page(rows)


def _event(event: EventRow) -> str:
    return f"{event.kind} ({event.who})" + (f": {event.why}" if event.why else "")


def event_line(event: EventRow, *, whole: bool = False) -> str:
    """One line, for a log that is followed."""
    named = f"{event.signup_id or 'deployment':22}  " if whole else ""
    line = f"{event.number:>6}  {moment(event.at)}  {named}{_event(event)}"
    return printable(line)
