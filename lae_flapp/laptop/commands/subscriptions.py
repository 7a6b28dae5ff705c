"""``lae subscriptions``: look at what customers have, and help those that are stuck."""

from __future__ import annotations

from typing import get_args

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column
from lae_flapp.laptop.commands.helping import comp, log_out, resend, retry
from lae_flapp.laptop.commands.leaving import cancel, delete_data, reactivate
from lae_flapp.laptop.commands.refund import refund
from lae_flapp.laptop.commands.remove import remove_unpaid
from lae_flapp.laptop.nouns import Noun, One, list_command, show_command
from lae_flapp.laptop.options import DAY, SIGNUP
from lae_protocol.looking_messages import (
    ListSignups,
    ListUsage,
    ShowSignup,
    SignupRow,
)
from lae_protocol.messages import SignupState
from lae_protocol.plan_words import size_in_words


@click.group()
def subscriptions() -> None:
    """See customers' subscriptions, and help those that are stuck."""


def _address(row: SignupRow) -> str:
    if row.email_state == "bouncing":
        return f"{row.email} (bouncing)"
    return row.email + (" (to be confirmed)" if row.awaits_confirmation else "")


def _problem(row: SignupRow) -> str:
    """What is in the way; before it, that a served one ends."""
    parts = (tables.end_of(row), row.problem)
    return "; ".join(part for part in parts if part)


SUBSCRIPTIONS = Noun(
    ListSignups,
    "signups",
    "No such subscriptions.",
    wide=(
        (Column("signup"), lambda r: r.signup_id),
        (tables.state(), lambda r: r.state),
        (tables.text("address"), _address),
        (tables.text("plan"), lambda r: r.plan_id),
        (Column("grid"), lambda r: r.grid_label),
        (Column("since (UTC)"), lambda r: tables.moment(r.changed_at)),
        (tables.text("problem"), _problem),
    ),
    narrow=(
        (Column("signup"), lambda r: r.signup_id),
        (tables.state(), lambda r: r.state),
        (Column("since (UTC)"), lambda r: tables.moment(r.changed_at)[:16]),
        (
            tables.text("address, problem"),
            lambda r: f"{_address(r)} {_problem(r)}".rstrip(),
        ),
    ),
    filters=(
        click.option(
            "--state", type=click.Choice(get_args(SignupState)), help="Only these."
        ),
        click.option("--plan", "plan_id", help="Only those of this plan."),
        click.option("--since", type=DAY, help="Only those registered since then."),
        click.option("--until", type=DAY, help="Only those registered before."),
        click.option("--waiting", is_flag=True, help="Only those with a problem."),
        click.option(
            "--leaving", is_flag=True, help="Only those cancelled and still served."
        ),
    ),
)


def _of(part: int | None, whole: int) -> str:
    """How much of how much, and in hundredths."""
    if part is None:
        return "not told"
    percent = f"{100 * part // whole} %" if whole else "none agreed"
    return f"{size_in_words(part)} of {size_in_words(whole)} ({percent})"


USAGE = Noun(
    ListUsage,
    "usage",
    "No such subscriptions.",
    wide=(
        (Column("signup"), lambda r: r.signup_id),
        (tables.state(), lambda r: r.state),
        (tables.text("address"), lambda r: r.email),
        (tables.text("plan"), lambda r: r.plan_id),
        (Column("stored"), lambda r: _of(r.stored, r.quota)),
        (Column("sent this month"), lambda r: _of(r.sent, r.traffic)),
        (Column("told on"), lambda r: r.told_on or ""),
    ),
    narrow=(
        (Column("signup"), lambda r: r.signup_id),
        (tables.state(), lambda r: r.state),
        (tables.text("stored"), lambda r: _of(r.stored, r.quota)),
        (tables.text("sent this month"), lambda r: _of(r.sent, r.traffic)),
    ),
    filters=(
        click.option(
            "--state", type=click.Choice(get_args(SignupState)), help="Only these."
        ),
        click.option("--plan", "plan_id", help="Only those of this plan."),
        click.option(
            "--near",
            is_flag=True,
            help="Only those that hold or sent nine tenths of what was agreed.",
        ),
    ),
)
SUBSCRIPTION = One(
    "signup", click.argument("signup", type=SIGNUP), ShowSignup, tables.print_detail
)

for _command in (
    list_command(
        SUBSCRIPTIONS,
        "List subscriptions, newest first.",
        click.option(
            "--search", "text", help="Part of an address; start of an id or label."
        ),
    ),
    list_command(
        SUBSCRIPTIONS,
        "List those with TEXT in their address, or at the start of their id or label.",
        click.argument("text"),
        name="search",
    ),
    list_command(
        USAGE,
        "List what subscriptions hold and sent this month, newest first.",
        name="usage",
    ),
    show_command(
        SUBSCRIPTION,
        """Show one subscription: what was agreed, what was done, what happened.

        SIGNUP is an id, or anything that finds one alone.
        """,
    ),
    *(retry, resend, log_out, refund, cancel, reactivate, delete_data, remove_unpaid),
    comp,
):
    subscriptions.add_command(_command)
