"""``lae inbox remove``, ``lae subscriptions remove-unpaid``: what a flood has left."""

from __future__ import annotations

from typing import get_args

import click
from attrs import evolve

from lae_flapp.laptop import tables
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.options import AGE, asks_daemon, changes, gives_json, loses
from lae_flapp.laptop.settings import Where
from lae_protocol.plan_words import span_in_words
from lae_protocol.removal_messages import HintWord, Removed, RemoveHints, RemoveUnpaid

#: How long Stripe may need to end the payment pages of one batch, beside the daemon's
#: own time.
OUTSIDE = 60.0  # s

_older_than = click.option(
    "--older-than",
    "seconds",
    required=True,
    type=AGE,
    help="Only what came so long ago: 90m, 36h, 7d.",
)


@click.command("remove")
@asks_daemon
@gives_json
@changes
@loses
@click.option(
    "--state",
    required=True,
    type=click.Choice(get_args(HintWord)),
    help="done: worked off.  ignored: none of ours.  unknown: of a signup that the"
    " journal does not know, and looked into again.",
)
@_older_than
def remove_hints(
    where: Where, as_json: bool, dry_run: bool, yes: bool, state: HintWord, seconds: int
) -> None:
    """Remove old events of Stripe's, such as a flood has left.

    Nothing is lost of what Stripe shows: an event that comes once more is looked into
    once more.  After a restore leave the unknown ones: their signups may be adopted.
    """
    _remove(
        where,
        f"{state} events of Stripe's older than {span_in_words(seconds)}",
        RemoveHints(state, seconds),
        as_json=as_json,
        dry_run=dry_run,
        yes=yes,
    )


@click.command("remove-unpaid")
@asks_daemon
@gives_json
@changes
@loses
@_older_than
@click.option("--reason", required=True, help="For the event log.")
def remove_unpaid(
    where: Where, as_json: bool, dry_run: bool, yes: bool, seconds: int, reason: str
) -> None:
    """Remove all registrations that nobody paid, such as a flood has left.

    A payment page that is still open is ended at Stripe first, and what turns out to be
    paid stays.  Who has not paid yet and comes back has to fill in the form again.
    """
    _remove(
        where,
        f"registrations older than {span_in_words(seconds)} that nobody paid",
        RemoveUnpaid(seconds, reason),
        as_json=as_json,
        dry_run=dry_run,
        yes=yes,
    )


def _remove(
    where: Where,
    what: str,
    question: RemoveHints | RemoveUnpaid,
    *,
    as_json: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Count, ask once, and remove batch by batch until nothing more goes."""

    async def work(line: Line) -> Removed:
        found = (await line.ask(evolve(question, only_count=True))).left
        if dry_run or not found:
            return Removed(0, found)
        await line.sure(f"Remove {found:,} {what}?", yes=yes)
        gone = 0
        while True:
            batch = await line.ask(question, OUTSIDE)
            gone += batch.removed
            if not (batch.removed and batch.left):
                return Removed(gone, batch.left)

    told = run(where, work)
    if as_json:
        tables.print_json(removed=told.removed, left=told.left, done=not dry_run)
    elif dry_run:
        click.echo(f"Would remove {told.left:,} {what}.")
    else:
        click.echo(f"Removed {told.removed:,} {what}.")
        if told.left:
            click.echo(
                f"{told.left:,} are left: Stripe is asked about them first.  Try again"
                " in an hour."
            )
