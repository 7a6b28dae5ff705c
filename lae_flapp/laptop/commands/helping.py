"""``lae subscriptions retry|resend|comp``: what is done for one customer."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import printable
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.meant import meant
from lae_flapp.laptop.options import (
    DAY,
    SIGNUP,
    asks_daemon,
    changes,
    gives_json,
)
from lae_flapp.laptop.settings import Where
from lae_protocol.ids import SignupId, base32
from lae_protocol.looking_messages import ShowSignup, SignupDetail
from lae_protocol.operator_messages import (
    AskPlans,
    GiveFree,
    Resend,
    RetrySignup,
)
from lae_protocol.plan_words import size_in_words


async def looked_up(line: Line, text: str) -> SignupDetail:
    """Look up the signup that the text means, as it is now."""
    return await line.ask(ShowSignup(await meant(line, text)))


def described(detail: SignupDetail) -> str:
    """Name the signup, its state and its address."""
    row = detail.row
    return f"{row.signup_id} ({row.state}, {printable(row.email)})"


@click.command()
@asks_daemon
@gives_json
@changes
@click.argument("signup", type=SIGNUP)
def retry(where: Where, as_json: bool, dry_run: bool, signup: str) -> None:
    """Try a stuck signup now, in place of at its next turn.

    Every refused request is sent once more, and one host more than the limit is
    allowed.  A signup that is active or over stays as it is.
    """

    async def work(line: Line) -> Any:
        detail = await looked_up(line, signup)
        if dry_run:
            return detail, None
        return detail, await line.ask(RetrySignup(detail.row.signup_id))

    detail, done = run(where, work)
    signup_id = detail.row.signup_id
    if as_json:
        tables.print_json(
            signup_id=signup_id, state=detail.row.state, done=done is not None
        )
    elif done is None:
        click.echo(f"Would try {described(detail)} now.")
    else:
        click.echo(f"{signup_id} is {done.view.state}; it is tried again now.")
        click.echo(f"Follow it with: lae events -f {signup_id}")


@click.command()
@asks_daemon
@gives_json
@changes
@click.option("--to", "email", help="The customer's right address, from now on.")
@click.argument("signup", type=SIGNUP)
def resend(
    where: Where, as_json: bool, dry_run: bool, email: str | None, signup: str
) -> None:
    """Mail the customer the grid's address once more.

    With --to the address is corrected first, even a confirmed one: be sure that it is
    the customer who asks.
    """

    async def work(line: Line) -> Any:
        detail = await looked_up(line, signup)
        if dry_run:
            return detail, None
        row = detail.row
        asked = Resend(row.signup_id, row.email, email)
        return detail, await line.ask(asked)

    detail, done = run(where, work)
    row, to = detail.row, printable(email or detail.row.email)
    if as_json:
        tables.print_json(signup_id=row.signup_id, to=to, done=done is not None)
    elif done is None:
        click.echo(f"Would mail the furl of {described(detail)} to {to}.")
    elif row.state not in {"active", "past-due"}:
        click.echo(f"{row.signup_id} is {row.state}: {to} gets its mails from now on.")
    else:
        click.echo(f"The furl of {row.signup_id} is mailed to {to}.")
        click.echo(f"See whether it is taken: lae outbox list --signup {row.signup_id}")


@click.command()
@asks_daemon
@gives_json
@changes
@click.option("--plan", "plan_id", help="Which plan; needed where there are several.")
@click.option("--until", type=DAY, help="When it ends; without, it does not.")
@click.option("--reason", required=True, help="For the event log.")
@click.argument("email")
def comp(
    where: Where,
    as_json: bool,
    dry_run: bool,
    plan_id: str | None,
    until: datetime | None,
    reason: str,
    email: str,
) -> None:
    """Give EMAIL a subscription free of charge.

    It is built like any other, and the mail with its furl goes to EMAIL.  Stripe is
    not involved.
    """
    signup_id = SignupId("su" + base32(secrets.token_bytes(13))[:20])

    async def work(line: Line) -> Any:
        plans = (await line.ask(AskPlans())).plans
        known = {plan.plan_id: plan for plan in plans}
        if plan_id is None and len(known) > 1:
            raise click.UsageError(f"--plan is needed; there are: {', '.join(known)}.")
        chosen = next(iter(known)) if plan_id is None else plan_id
        if chosen not in known:
            raise click.UsageError(
                f"There is no plan {chosen!r}; there are: {', '.join(known)}."
            )
        if not dry_run:
            asked = GiveFree(signup_id, email, chosen, reason, until)
            await line.ask(asked)
        return known[chosen]

    plan = run(where, work)
    end = "without an end" if until is None else f"until {tables.moment(until)} UTC"
    what = f"{plan.name} ({size_in_words(plan.quota)}), free of charge, {end}"
    if as_json:
        tables.print_json(
            signup_id=None if dry_run else signup_id,
            plan_id=plan.plan_id,
            until=None if until is None else until.isoformat(),
            done=not dry_run,
        )
    elif dry_run:
        click.echo(f"Would give {printable(email)} {what}.")
    else:
        click.echo(f"{printable(email)} has {what}: {signup_id}")
        click.echo(f"Follow it with: lae events -f {signup_id}")
