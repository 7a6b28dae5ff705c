"""``lae effects``: what was asked of whom, when, and what came of it."""

from __future__ import annotations

import json
from typing import Any

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, columns, printable
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.meant import meant
from lae_flapp.laptop.options import SIGNUP, asks_daemon, gives_json, paged
from lae_flapp.laptop.pages import Listed
from lae_flapp.laptop.settings import Where
from lae_protocol.operator_messages import (
    EffectAnswer,
    EffectLine,
    EffectsAnswer,
    EffectWhole,
    ListEffects,
    Numbered,
)


@click.group()
def effects() -> None:
    """See what was asked of the cloud and of Stripe, and what came of it."""


def _table() -> Any:
    if tables.narrow():
        return columns(
            *(Column("number"), Column("signup"), Column("purpose")),
            *(tables.state(), tables.text("outcome")),
        )
    return columns(
        *(Column("number"), Column("begun (UTC)"), Column("signup"), Column("host")),
        *(Column("step"), Column("purpose"), Column("try"), Column("sent")),
        *(tables.state(), tables.text("outcome")),
    )


def _cells(e: EffectLine) -> tuple[str, ...]:
    outcome = e.outcome or ""
    if tables.narrow():
        return (str(e.number), e.signup_id, e.purpose, e.state, outcome)
    host = str(e.generation) if e.generation else ""
    return (
        *(str(e.number), tables.moment(e.begun_at), e.signup_id, host),
        *(e.step, e.purpose, str(e.attempt), str(e.tries + 1)),
        *(e.state, outcome),
    )


@effects.command("list")
@asks_daemon
@gives_json
@paged
@click.option("--signup", type=SIGNUP, help="Only those for this one.")
@click.option("--state", help="Only these.")
@click.option("--step", help="Only those of this step, such as host.")
def list_(
    where: Where,
    as_json: bool,
    limit: int | None,
    signup: str | None,
    state: str | None,
    step: str | None,
) -> None:
    """List effects, newest first."""

    async def work(line: Line) -> None:
        signup_id = None if signup is None else await meant(line, signup)
        listed = Listed(
            "list_effects",
            lambda cursor, rows: ListEffects(signup_id, state, step, cursor, rows),
            EffectsAnswer,
            "effects",
            "No such effects.",
            _table,
            _cells,
        )
        await listed.show(line, limit, as_json=as_json)

    run(where, work)


@effects.command()
@asks_daemon
@gives_json
@click.argument("number", type=click.IntRange(1))
def show(where: Where, as_json: bool, number: int) -> None:
    """Show one effect with its whole request.

    A request that holds a secret is sealed in the journal, and never shown.
    """

    async def work(line: Line) -> Any:
        return await line.ask("show_effect", Numbered(number), EffectAnswer)

    told: EffectWhole = run(where, work)
    if as_json:
        tables.print_json(effect=told)
        return
    e = told.line
    tables.print_facts(
        ("effect", str(e.number)),
        ("signup", e.signup_id),
        ("host", str(e.generation) if e.generation else "none"),
        ("step", e.step),
        ("purpose", e.purpose),
        ("attempt", f"{e.attempt}, sent in vain {e.tries} times"),
        ("token", told.token),
        ("state", e.state),
        ("begun", tables.moment(e.begun_at)),
        ("changed", tables.moment(e.changed_at)),
        ("outcome", e.outcome or "none"),
    )
    click.echo()
    _print_request(told)


def _print_request(told: EffectWhole) -> None:
    if told.sealed and told.size:
        click.echo(f"The request ({told.size} bytes) is sealed: it holds a secret.")
    elif told.request is None:
        click.echo("The request was forgotten, 30 days after it was settled.")
    else:
        try:
            shown = json.dumps(json.loads(told.request), indent=2, ensure_ascii=False)
        except ValueError:
            shown = told.request
        for one in shown.splitlines():
            click.echo(printable(one))
