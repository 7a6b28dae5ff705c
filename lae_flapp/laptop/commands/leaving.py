"""``lae subscriptions cancel|reactivate|delete-data``: a customer leaves, or not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.commands.helping import described
from lae_flapp.laptop.line import Line
from lae_flapp.laptop.meanings import (
    CANCELLING,
    DELETING,
    REACTIVATING,
    Meaning,
    Meanings,
)
from lae_flapp.laptop.options import (
    asks_daemon,
    changes,
    gives_json,
    loses,
)
from lae_flapp.laptop.settings import Where
from lae_flapp.laptop.several import NAMED, Several, run_each, several
from lae_protocol.looking_messages import SignupDetail
from lae_protocol.messages import SignupState, SignupView
from lae_protocol.operator_messages import Cancel, DeleteData, Reactivate

#: How long the payment service may need, beside the daemon's own time.
OUTSIDE = 20.0  # s


def _state(detail: SignupDetail) -> SignupState:
    return cast("SignupState", detail.row.state)


def _meaning(means: Meanings, detail: SignupDetail) -> Meaning:
    # A newer daemon can know a state that this release does not.
    return means.get(_state(detail), Meaning(""))


def _asks(
    verb: str, means: Meanings, *, yes: bool
) -> Callable[[Line, Sequence[SignupDetail]], Awaitable[None]]:
    """Ask once about all that would change; of the others the daemon says why not."""

    async def sure(line: Line, details: Sequence[SignupDetail]) -> None:
        changed = [d for d in details if _meaning(means, d).changes]
        if len(changed) == 1:
            (one,) = changed
            words = _meaning(means, one).words
            question = f"{verb.capitalize()} {described(one)}? {words}".rstrip()
        else:
            named = ", ".join(described(d) for d in changed[:NAMED])
            more = ", ..." if len(changed) > NAMED else ""
            question = f"{verb.capitalize()} these {len(changed)}: {named}{more}?"
        if changed:
            await line.sure(question, yes=yes)

    return sure


def _row(detail: SignupDetail, view: SignupView | None) -> dict[str, Any]:
    state = detail.row.state if view is None else view.state
    return {
        "signup_id": detail.row.signup_id,
        "state": state,
        "done": view is not None,
    }


def _says(
    verb: str, means: Meanings, done: Callable[[SignupView], str]
) -> Callable[[SignupDetail, SignupView | None], None]:
    """What was done, or, without a view, what would be."""

    def say(detail: SignupDetail, view: SignupView | None) -> None:
        meaning = _meaning(means, detail)
        if view is not None:
            click.echo(f"{detail.row.signup_id} is {view.state}{done(view)}.")
        elif meaning.changes:
            click.echo(f"Would {verb} {described(detail)}. {meaning.words}".rstrip())
        else:
            click.echo(f"Would change nothing of {described(detail)}. {meaning.words}")

    return say


@click.command()
@asks_daemon
@gives_json
@changes
@loses
@click.option(
    "--at-once", is_flag=True, help="Do not wait for the end of what is paid."
)
@click.option("--reason", required=True, help="For the event log.")
@several
def cancel(
    where: Where,
    as_json: bool,
    dry_run: bool,
    yes: bool,
    at_once: bool,
    reason: str,
    chosen: Several,
) -> None:
    """End a subscription.

    One that is not paid ends at once.  One that is paid and not served yet is
    refunded.  One that is served goes on until the end of the paid period, and can be
    reactivated until then.  If its state changed since it was shown, nothing changes.
    """

    async def act(line: Line, detail: SignupDetail) -> SignupView:
        # What was shown and agreed to, and nothing else.
        asked = Cancel(detail.row.signup_id, _state(detail), reason, at_once)
        return (await line.ask(asked, OUTSIDE)).view

    def told(view: SignupView) -> str:
        if view.state in {"active", "past-due"}:
            end = tables.moment(view.ends_at)
            return f" until {end} UTC, and ends then" if end else ", and ends then"
        if view.kept_until is not None:
            return f" now; its data is kept until {tables.moment(view.kept_until)} UTC"
        return " now"

    run_each(
        where,
        chosen,
        act,
        row=_row,
        say=_says("cancel", CANCELLING, told),
        as_json=as_json,
        dry_run=dry_run,
        sure=_asks("cancel", CANCELLING, yes=yes),
    )


@click.command()
@asks_daemon
@gives_json
@changes
@click.option("--reason", required=True, help="For the event log.")
@several
def reactivate(
    where: Where, as_json: bool, dry_run: bool, reason: str, chosen: Several
) -> None:
    """Take a cancellation back, or invite a former customer back.

    A subscription that has not ended goes on and renews.  If it has ended and its data
    is kept, the owner gets a mail with the link to pay again: nobody else can pay.
    """

    async def act(line: Line, detail: SignupDetail) -> SignupView:
        asked = Reactivate(detail.row.signup_id, _state(detail), reason)
        return (await line.ask(asked)).view

    def told(view: SignupView) -> str:
        if view.state == "ended":
            return "; its owner is mailed the link by which to pay again"
        return ", and goes on"

    run_each(
        where,
        chosen,
        act,
        row=_row,
        say=_says("reactivate", REACTIVATING, told),
        as_json=as_json,
        dry_run=dry_run,
    )


@click.command("delete-data")
@asks_daemon
@gives_json
@changes
@loses
@click.option("--reason", required=True, help="For the event log, and the receipt.")
@several
def delete_data(
    where: Where, as_json: bool, dry_run: bool, yes: bool, reason: str, chosen: Several
) -> None:
    """Delete what is kept of an ended subscription, before its time is over.

    Only if its owner asks for it: nothing brings the data back.  A subscription that
    has not ended is refused.
    """

    async def act(line: Line, detail: SignupDetail) -> SignupView:
        asked = DeleteData(detail.row.signup_id, _state(detail), reason)
        return (await line.ask(asked)).view

    def told(_: SignupView) -> str:
        return " now; its owner gets a receipt"

    run_each(
        where,
        chosen,
        act,
        row=_row,
        say=_says("delete the data of", DELETING, told),
        as_json=as_json,
        dry_run=dry_run,
        sure=_asks("delete the data of", DELETING, yes=yes),
    )
