"""``lae subscriptions retry|resend|comp``: what is done for one customer."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import printable
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.options import (
    DAY,
    asks_daemon,
    changes,
    gives_json,
)
from lae_flapp.laptop.settings import Where
from lae_flapp.laptop.several import Several, run_each, several
from lae_protocol.ids import SignupId, base32
from lae_protocol.looking_messages import SignupDetail
from lae_protocol.messages import Done
from lae_protocol.operator_messages import (
    AskPlans,
    GiveFree,
    LogOut,
    Resend,
    RetrySignup,
)
from lae_protocol.plan_words import size_in_words


def described(detail: SignupDetail) -> str:
    """Name the signup, its state and its address."""
    row = detail.row
    return f"{row.signup_id} ({row.state}, {printable(row.email)})"


@click.command()
@asks_daemon
@gives_json
@changes
@several
def retry(where: Where, as_json: bool, dry_run: bool, chosen: Several) -> None:
    """Try stuck signups now, in place of at their next turn.

    Every refused request is sent once more, and one host more than the limit is
    allowed.  A signup that is active or over stays as it is.
    """

    async def act(line: Line, detail: SignupDetail) -> Done:
        return await line.ask(RetrySignup(detail.row.signup_id))

    def row(detail: SignupDetail, done: Done | None) -> dict[str, Any]:
        known = detail.row
        return {
            "signup_id": known.signup_id,
            "state": known.state,
            "done": done is not None,
        }

    def say(detail: SignupDetail, done: Done | None) -> None:
        signup_id = detail.row.signup_id
        if done is None:
            click.echo(f"Would try {described(detail)} now.")
            return
        click.echo(f"{signup_id} is {done.view.state}; it is tried again now.")
        if chosen.is_one:
            click.echo(f"Follow it with: lae events -f {signup_id}")

    run_each(where, chosen, act, row=row, say=say, as_json=as_json, dry_run=dry_run)


@click.command()
@asks_daemon
@gives_json
@changes
@click.option("--to", "email", help="The customer's right address, from now on.")
@several
def resend(
    where: Where, as_json: bool, dry_run: bool, email: str | None, chosen: Several
) -> None:
    """Mail customers their grid's address once more.

    With --to the address of one is corrected first, even a confirmed one: be sure that
    it is the customer who asks.  A corrected address gets a link first; the mail goes
    there when its reader has opened the link and confirmed the address.
    """
    if email is not None and not chosen.is_one:
        raise click.UsageError("--to is one customer's address: name one signup.")

    async def act(line: Line, detail: SignupDetail) -> Done:
        return await line.ask(Resend(detail.row.signup_id, detail.row.email, email))

    def row(detail: SignupDetail, done: Done | None) -> dict[str, Any]:
        known = detail.row
        to = printable(email or known.email)
        return {"signup_id": known.signup_id, "to": to, "done": done is not None}

    def say(detail: SignupDetail, done: Done | None) -> None:
        click.echo(_say_resent(detail, done, printable(email or detail.row.email)))
        if done is not None and chosen.is_one:
            signup_id = detail.row.signup_id
            click.echo(f"See whether it is taken: lae outbox list --signup {signup_id}")

    run_each(where, chosen, act, row=row, say=say, as_json=as_json, dry_run=dry_run)


def _say_resent(detail: SignupDetail, done: Done | None, to: str) -> str:
    """Say what is mailed to this address, or (*done* is None) what would be."""
    known = detail.row
    if known.awaits_confirmation or to != printable(known.email):
        if done is None:
            return f"Would mail {to} the link to confirm it for {described(detail)}."
        return (
            f"{to} is the address of {known.signup_id} from now on.  Before anything"
            " else, a link to confirm it is mailed there."
        )
    if done is None:
        return f"Would mail the furl of {described(detail)} to {to}."
    return f"The furl of {known.signup_id} is mailed to {to}."


@click.command("log-out")
@asks_daemon
@gives_json
@changes
@click.option("--reason", required=True, help="For the event log.")
@click.option(
    "--mail-link", is_flag=True, help="Mail the owner a link for one browser."
)
@several
def log_out(
    where: Where,
    as_json: bool,
    dry_run: bool,
    reason: str,
    mail_link: bool,
    chosen: Several,
) -> None:
    """Let every browser forget whose it is, as when a laptop was stolen.

    No browser sees the furl or changes anything then.  The grid goes on, and so do the
    links in mails, by which the owner can still cancel or pay.  Nothing brings the old
    cookie back: with --mail-link, or asked on the status page, a mailed link gives one
    browser a new one.
    """

    async def act(line: Line, detail: SignupDetail) -> Done:
        return await line.ask(LogOut(detail.row.signup_id, reason, mail_link))

    def say(detail: SignupDetail, done: Done | None) -> None:
        to = f" A link for one browser goes to {printable(detail.row.email)}"
        held = " once that is confirmed" if detail.row.awaits_confirmation else ""
        more = f"{to}{held}." if mail_link else ""
        if done is None:
            said = f"Would log every browser out of {described(detail)}."
        else:
            said = f"Every browser is logged out of {detail.row.signup_id}."
        click.echo(said + more)

    run_each(
        where, chosen, act, row=done_row, say=say, as_json=as_json, dry_run=dry_run
    )


def done_row(detail: SignupDetail, done: Done | None) -> dict[str, Any]:
    """In JSON."""
    state = detail.row.state if done is None else done.view.state
    return {
        "signup_id": detail.row.signup_id,
        "state": state,
        "done": done is not None,
    }


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
