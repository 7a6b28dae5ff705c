"""``lae effects``: what was asked of whom, when, and what came of it."""

from __future__ import annotations

import json

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, printable
from lae_flapp.laptop.nouns import Noun, One, list_command, show_command
from lae_flapp.laptop.options import SIGNUP
from lae_protocol.operator_messages import EffectWhole, ListEffects, ShowEffect


@click.group()
def effects() -> None:
    """See what was asked of the cloud and of Stripe, and what came of it."""


def _show(told: EffectWhole) -> None:
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


EFFECTS = Noun(
    ListEffects,
    "effects",
    "No such effects.",
    wide=(
        (Column("number"), lambda e: str(e.number)),
        (Column("begun (UTC)"), lambda e: tables.moment(e.begun_at)),
        (Column("signup"), lambda e: e.signup_id),
        (Column("host"), lambda e: str(e.generation) if e.generation else ""),
        (Column("step"), lambda e: e.step),
        (Column("purpose"), lambda e: e.purpose),
        (Column("try"), lambda e: str(e.attempt)),
        (Column("sent"), lambda e: str(e.tries + 1)),
        (tables.state(), lambda e: e.state),
        (tables.text("outcome"), lambda e: e.outcome or ""),
    ),
    narrow=(
        (Column("number"), lambda e: str(e.number)),
        (Column("signup"), lambda e: e.signup_id),
        (Column("purpose"), lambda e: e.purpose),
        (tables.state(), lambda e: e.state),
        (tables.text("outcome"), lambda e: e.outcome or ""),
    ),
    filters=(
        click.option("--signup", type=SIGNUP, help="Only those for this one."),
        click.option("--state", help="Only these."),
        click.option("--step", help="Only those of this step, such as host."),
    ),
)
EFFECT = One(
    "effect", click.argument("number", type=click.IntRange(1)), ShowEffect, _show
)

effects.add_command(list_command(EFFECTS, "List effects, newest first."))
effects.add_command(
    show_command(
        EFFECT,
        """Show one effect with its whole request.

        A request that holds a secret is sealed in the journal, and never shown.
        """,
    )
)
