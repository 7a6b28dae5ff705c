"""``lae subscriptions retry|resend|cancel|comp``: what is done for one customer."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, cast

import click

from lae_flapp.operator import tables
from lae_flapp.operator.columns import printable
from lae_flapp.operator.line import Line, run
from lae_flapp.operator.meant import meant
from lae_flapp.operator.options import (
    DAY,
    SIGNUP,
    asks_daemon,
    changes,
    gives_json,
    loses,
)
from lae_flapp.operator.settings import Where
from lae_protocol.ids import SignupId, base32
from lae_protocol.messages import (
    DetailAnswer,
    DoneAnswer,
    Named,
    SignupDetail,
    SignupState,
)
from lae_protocol.operator_messages import (
    AskPlans,
    Cancel,
    GiveFree,
    GivenAnswer,
    PlansAnswer,
    Resend,
)
from lae_protocol.plan_words import size_in_words

#: Seconds that the payment service may need, beside ours.
OUTSIDE = 20.0

#: What cancelling means in each state.
_MEANS = {
    "registered": "It is not paid: nothing is charged, and its place is given back.",
    "expired": "It is not paid: nothing is charged, and its place is given back.",
    "paying": "Its payment page is closed first; if it was paid a moment ago, the money"
    " goes back.",
    "active": "It goes on until the end of what is paid; then host and role go, and the"
    " data is kept for the plan's time.  With --at-once, and of a gift, that is now.",
    "paid": "It is paid and not served yet: the money goes back, what was built is"
    " removed, and the customer gets a mail.",
}


async def _detail(line: Line, text: str) -> SignupDetail:
    named = Named(await meant(line, text))
    detail: SignupDetail = await line.ask("show_signup", named, DetailAnswer)
    return detail


def _who(detail: SignupDetail) -> str:
    row = detail.row
    return f"{row.signup_id} ({row.state}, {printable(row.email)})"


@click.command()
@asks_daemon
@gives_json
@changes
@click.argument("signup", type=SIGNUP)
def retry(where: Where, as_json: bool, dry_run: bool, signup: str) -> None:
    """Try what is stuck now, not when its turn comes.

    Whatever was refused is asked for once more, and one host more than the limit is
    allowed.  For what is active or over, nothing happens.
    """

    async def work(line: Line) -> Any:
        detail = await _detail(line, signup)
        if dry_run:
            return detail, None
        named = Named(detail.row.signup_id)
        return detail, await line.ask("retry_signup", named, DoneAnswer)

    detail, done = run(where, work)
    signup_id = detail.row.signup_id
    if as_json:
        tables.print_json(
            signup_id=signup_id, state=detail.row.state, done=done is not None
        )
    elif done is None:
        click.echo(f"Would try {_who(detail)} now.")
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

    With --to the address is corrected first, a confirmed one too: be sure that it is
    the customer who asks.
    """

    async def work(line: Line) -> Any:
        detail = await _detail(line, signup)
        if dry_run:
            return detail, None
        row = detail.row
        asked = Resend(row.signup_id, row.email, email)
        return detail, await line.ask("resend_mail", asked, DoneAnswer)

    detail, done = run(where, work)
    row, to = detail.row, printable(email or detail.row.email)
    if as_json:
        tables.print_json(signup_id=row.signup_id, to=to, done=done is not None)
    elif done is None:
        click.echo(f"Would mail the furl of {_who(detail)} to {to}.")
    elif row.state not in {"active", "past-due"}:
        click.echo(f"{row.signup_id} is {row.state}: {to} gets its mails from now on.")
    else:
        click.echo(f"The furl of {row.signup_id} is mailed to {to}.")
        click.echo(f"See whether it is taken: lae outbox list --signup {row.signup_id}")


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

    What is not paid is over at once; for what is paid and not served yet the money
    goes back; what is served goes on until the end of what is paid.  If it
    is not any more as it was shown, nothing changes.
    """

    async def work(line: Line) -> Any:
        detail = await _detail(line, signup)
        if dry_run:
            return detail, None
        row = detail.row
        question = f"Cancel {_who(detail)}? {_MEANS.get(row.state, '')}".rstrip()
        await line.sure(question, yes=yes)
        # What was shown and agreed to, and nothing else.
        asked = Cancel(row.signup_id, cast("SignupState", row.state), reason, at_once)
        return detail, await line.ask("cancel_signup", asked, DoneAnswer, OUTSIDE)

    detail, done = run(where, work)
    row = detail.row
    if as_json:
        state = row.state if done is None else done.view.state
        tables.print_json(signup_id=row.signup_id, state=state, done=done is not None)
    elif done is None:
        click.echo(f"Would cancel {_who(detail)}. {_MEANS.get(row.state, '')}".rstrip())
    else:
        click.echo(f"{row.signup_id} is {done.view.state} now.")


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

    It is built as any other, and the mail with its furl goes to EMAIL.  Nothing is
    asked of Stripe.
    """
    signup_id = SignupId("su" + base32(secrets.token_bytes(13))[:20])

    async def work(line: Line) -> Any:
        plans = (await line.ask("plans", AskPlans(), PlansAnswer)).plans
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
            await line.ask("give_free", asked, GivenAnswer)
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
