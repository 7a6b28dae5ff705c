"""``lae subscriptions``: look at what customers have, and help those that are stuck."""

from __future__ import annotations

from typing import get_args

import click

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column
from lae_flapp.laptop.commands.helping import comp, resend, retry
from lae_flapp.laptop.commands.leaving import cancel, delete_data, reactivate
from lae_flapp.laptop.nouns import Noun, One, list_command, show_command
from lae_flapp.laptop.options import DAY, SIGNUP
from lae_protocol.looking_messages import ListSignups, ShowSignup, SignupRow
from lae_protocol.messages import SignupState


@click.group()
def subscriptions() -> None:
    """See customers' subscriptions, and help those that are stuck."""


def _address(row: SignupRow) -> str:
    return row.email + (" (bouncing)" if row.email_state == "bouncing" else "")


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
        (tables.text("problem"), lambda r: r.problem or ""),
    ),
    narrow=(
        (Column("signup"), lambda r: r.signup_id),
        (tables.state(), lambda r: r.state),
        (Column("since (UTC)"), lambda r: tables.moment(r.changed_at)[:16]),
        (
            tables.text("address, problem"),
            lambda r: f"{_address(r)} {r.problem or ''}".rstrip(),
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
    show_command(
        SUBSCRIPTION,
        """Show one subscription: what was agreed, what was done, what happened.

        SIGNUP is an id, or anything that finds one alone.
        """,
    ),
    *(retry, resend, cancel, reactivate, delete_data, comp),
):
    subscriptions.add_command(_command)
