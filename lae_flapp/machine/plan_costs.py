"""``lae plans check``: whether each plan earns what it costs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from attrs import evolve

from lae_flapp.costs.arithmetic import HUNDRED, PlanAtFull
from lae_flapp.costs.judging import JudgedPlans, judged
from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, columns
from lae_flapp.laptop.cost_words import PARTS, amount, parts
from lae_flapp.laptop.options import WRONG, gives_json
from lae_flapp.laptop.settings import Where
from lae_flapp.settings import DaemonSettings
from lae_protocol.plan_words import size_in_words
from lae_protocol.process.settings import SettingsError, load

#: Columns of an amount, at least, so that cents stand below cents.
_WIDTH = 10


@click.group()
def plans() -> None:
    """See what the plans that are sold cost and earn."""


@plans.command()
@gives_json
@click.option(
    "--daemon",
    type=click.Path(path_type=Path),
    help="Settings of the daemon [/etc/s4/daemon.yaml].",
)
@click.option(
    "--prices",
    type=click.Path(path_type=Path),
    help="Another price list than the settings', to see what would be.",
)
def check(daemon: Path | None, prices: Path | None, as_json: bool) -> None:
    """Compare what each plan costs at most with what is paid for it.

    The costs are those of a month at full quota and full traffic, by the price list.
    The exit status is 4 when a plan is sold below its cost and does not say that it
    may.
    """
    try:
        settings = load(daemon or Where().daemon_file(), DaemonSettings)
        if prices is not None:
            settings = evolve(settings, prices_file=prices)
        found = judged(settings, datetime.now(UTC).date())
    except SettingsError as e:
        raise click.ClickException(str(e)) from None
    if found is None:
        raise click.ClickException(
            "the settings name no prices_file; lae config example prices prints one"
        )
    if as_json:
        tables.print_json(
            region=found.cell.region,
            as_of=found.prices.as_of,
            old=found.old is not None,
            plans=[_told(one) for one in found.plans],
        )
    else:
        _print(found)
    if found.refused:
        raise click.exceptions.Exit(WRONG)


def _told(one: PlanAtFull) -> dict[str, Any]:
    return {
        "plan_id": one.plan.plan_id,
        "currency": one.plan.currency,
        "paid": str(one.paid),
        "costs": {name: f"{getattr(one.costs, name):.6f}" for name in PARTS},
        "total": f"{one.costs.total:.6f}",
        "left": f"{one.left:.6f}",
        "sold_below_cost": one.plan.sold_below_cost,
    }


def _print(found: JudgedPlans) -> None:
    cell, prices = found.cell, found.prices
    click.echo(
        f"Prices of AWS in {cell.region} and of Stripe, as of {prices.as_of}"
        f" ({cell.file}).\n{_host(found)}, for a month of 730 hours, at full quota and"
        " full traffic:\n"
    )
    every = found.plans
    wide = max(_WIDTH, *(len(p.plan.plan_id) for p in every))
    table = columns(Column(""), *(Column(f"{p.plan.plan_id:>{wide}}") for p in every))
    table.page(
        [
            ["quota", *(f"{size_in_words(p.plan.quota):>{wide}}" for p in every)],
            ["traffic", *(f"{size_in_words(p.plan.traffic):>{wide}}" for p in every)],
            ["currency", *(f"{p.plan.currency.upper():>{wide}}" for p in every)],
            ["paid", *(amount(p.paid, wide) for p in every)],
            *(
                [name, *(amount(parts(p.costs)[n][1], wide) for p in every)]
                for n, name in enumerate(PARTS.values())
            ),
            ["all costs", *(amount(p.costs.total, wide) for p in every)],
            ["left", *(f"{amount(p.left, wide)} {_percent(p)}" for p in every)],
        ]
    )
    for line in (*found.refused, *filter(None, map(_allowed, every)), found.old):
        if line is not None:
            click.echo(f"\n{line}")


def _host(found: JudgedPlans) -> str:
    sharing = found.prices.customers_per_instance
    shared = f" that {sharing} share" if sharing > 1 else ""
    return f"A {found.cell.instance_type} with {found.cell.volume_gib} GiB{shared}"


def _percent(one: PlanAtFull) -> str:
    return f"({one.left / one.paid * HUNDRED:.0f} %)" if one.paid else ""


def _allowed(one: PlanAtFull) -> str | None:
    if one.left >= 0 or one.refused:
        return None
    return f"{one.plan.plan_id} is sold below its cost, and says that it may."
