"""``lae subscriptions cancel|reactivate|delete-data``: a customer leaves, or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.commands.helping import described, looked_up
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.meanings import (
    CANCELLING,
    DELETING,
    REACTIVATING,
    Meaning,
    Meanings,
)
from lae_flapp.laptop.options import (
    SIGNUP,
    asks_daemon,
    changes,
    gives_json,
    loses,
)
from lae_flapp.laptop.settings import Where
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


async def _sure(
    line: Line, verb: str, means: Meanings, detail: SignupDetail, *, yes: bool
) -> None:
    """Ask, unless nothing would change: then the daemon says why."""
    meaning = _meaning(means, detail)
    if meaning.changes:
        question = f"{verb.capitalize()} {described(detail)}? {meaning.words}".rstrip()
        await line.sure(question, yes=yes)


def _say(
    verb: str,
    means: Meanings,
    detail: SignupDetail,
    view: SignupView | None,
    done: Callable[[SignupView], str],
    *,
    as_json: bool,
) -> None:
    """What was done, or, without a *view*, what would be."""
    row, meaning = detail.row, _meaning(means, detail)
    if as_json:
        state = row.state if view is None else view.state
        tables.print_json(signup_id=row.signup_id, state=state, done=view is not None)
    elif view is not None:
        click.echo(f"{row.signup_id} is {view.state}{done(view)}.")
    elif meaning.changes:
        click.echo(f"Would {verb} {described(detail)}. {meaning.words}".rstrip())
    else:
        click.echo(f"Would change nothing of {described(detail)}. {meaning.words}")


@click.command()
@asks_daemon
@gives_json
@changes
@loses
@click.option(
    "--at-once", is_flag=True, help="Do not wait for the end of what is paid."
)
@click.option("--reason", required=True, help="For the event log.")
@click.argument("signup", type=SIGNUP)
def cancel(
    where: Where,
    as_json: bool,
    dry_run: bool,
    yes: bool,
    at_once: bool,
    reason: str,
    signup: str,
) -> None:
    """End a subscription.

    One that is not paid ends at once.  One that is paid and not served yet is
    refunded.  One that is served goes on until the end of the paid period, and can be
    reactivated until then.  If its state changed since it was shown, nothing changes.
    """

    async def work(line: Line) -> Any:
        detail = await looked_up(line, signup)
        if dry_run:
            return detail, None
        await _sure(line, "cancel", CANCELLING, detail, yes=yes)
        # What was shown and agreed to, and nothing else.
        asked = Cancel(detail.row.signup_id, _state(detail), reason, at_once)
        done = await line.ask(asked, OUTSIDE)
        return detail, done.view

    def told(view: SignupView) -> str:
        if view.state in {"active", "past-due"}:
            end = tables.moment(view.ends_at)
            return f" until {end} UTC, and ends then" if end else ", and ends then"
        if view.kept_until is not None:
            return f" now; its data is kept until {tables.moment(view.kept_until)} UTC"
        return " now"

    detail, view = run(where, work)
    _say("cancel", CANCELLING, detail, view, told, as_json=as_json)


@click.command()
@asks_daemon
@gives_json
@changes
@click.option("--reason", required=True, help="For the event log.")
@click.argument("signup", type=SIGNUP)
def reactivate(
    where: Where, as_json: bool, dry_run: bool, reason: str, signup: str
) -> None:
    """Take a cancellation back, or invite a former customer back.

    A subscription that has not ended goes on and renews.  If it has ended and its data
    is kept, the owner gets a mail with the link to pay again: nobody else can pay.
    """

    async def work(line: Line) -> Any:
        detail = await looked_up(line, signup)
        if dry_run:
            return detail, None
        asked = Reactivate(detail.row.signup_id, _state(detail), reason)
        done = await line.ask(asked)
        return detail, done.view

    def told(view: SignupView) -> str:
        if view.state == "ended":
            return "; its owner is mailed the link by which to pay again"
        return ", and goes on"

    detail, view = run(where, work)
    _say("reactivate", REACTIVATING, detail, view, told, as_json=as_json)


@click.command("delete-data")
@asks_daemon
@gives_json
@changes
@loses
@click.option("--reason", required=True, help="For the event log, and the receipt.")
@click.argument("signup", type=SIGNUP)
def delete_data(
    where: Where, as_json: bool, dry_run: bool, yes: bool, reason: str, signup: str
) -> None:
    """Delete what is kept of an ended subscription, before its time is over.

    Only if its owner asks for it: nothing brings the data back.  A subscription that
    has not ended is refused.
    """

    async def work(line: Line) -> Any:
        detail = await looked_up(line, signup)
        if dry_run:
            return detail, None
        await _sure(line, "delete the data of", DELETING, detail, yes=yes)
        asked = DeleteData(detail.row.signup_id, _state(detail), reason)
        return detail, (await line.ask(asked)).view

    def told(_: SignupView) -> str:
        return " now; its owner gets a receipt"

    detail, view = run(where, work)
    _say("delete the data of", DELETING, detail, view, told, as_json=as_json)
