"""``lae costs``: what each customer cost and paid in a month, and all together."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import click
from attrs import define, evolve

from lae_flapp.laptop import tables
from lae_flapp.laptop.columns import Column, columns
from lae_flapp.laptop.cost_words import PARTS, amount, parts
from lae_flapp.laptop.line import Line, run
from lae_flapp.laptop.options import asks_daemon, gives_json, paged
from lae_flapp.laptop.settings import Where
from lae_protocol import wire
from lae_protocol.cost_messages import (
    NOTHING,
    CostLine,
    CostsPage,
    ListCosts,
    MonthCosts,
)

#: Customers of one question.
PAGE = 250
#: Columns of an amount.
_WIDTH = 10


@define
class Total:
    """All customers who pay in one currency."""

    currency: str
    customers: int = 0
    paid: Decimal = NOTHING
    costs: MonthCosts = MonthCosts()  # noqa: RUF009  (frozen)

    def add(self, line: CostLine) -> None:
        """One more."""
        self.customers += 1
        self.paid += line.paid
        self.costs = self.costs.plus(line.costs)


@click.command()
@asks_daemon
@gives_json
@paged
@click.option("--month", metavar="2026-11", help="[the present month, until now]")
@click.option("--losing", is_flag=True, help="List only those who cost more than paid.")
def costs(
    where: Where,
    as_json: bool,
    limit: int | None,
    month: str | None,
    losing: bool,
) -> None:
    """Say what each customer cost and paid in a month, and all of them together.

    Computed from what hosts told and the daemon's price list.  --limit and --losing
    shorten the list; the totals are of all customers.
    """
    shown: list[CostLine] = []
    totals: dict[str, Total] = {}

    async def work(line: Line) -> CostsPage:
        asked = ListCosts(month, None, PAGE)
        while True:
            page = await line.ask(asked)
            for one in page.lines:
                totals.setdefault(one.currency, Total(one.currency)).add(one)
                if not losing or one.left < 0:
                    shown.append(one)
            if page.cursor is None:
                return page
            asked = evolve(asked, cursor=page.cursor)

    page = run(where, work)
    listed, more = shown[:limit], len(shown) > len(shown[:limit])
    every = sorted(totals.values(), key=lambda one: one.currency)
    if as_json:
        _print_json(page, listed, every, more=more)
    else:
        _print(page, listed, every)
        if more:
            click.echo(f"\nThere are more than these {len(listed)}: --all lists them.")


def _print_json(
    page: CostsPage, listed: list[CostLine], totals: list[Total], *, more: bool
) -> None:
    tables.print_json(
        since=page.since,
        until=page.until,
        as_of=page.as_of,
        old=page.old is not None,
        costs=[_told(line, line.paid, line.costs) for line in listed],
        more=more,
        totals=[_told(one, one.paid, one.costs) for one in totals],
        deployment={"currency": page.currency, "costs": page.deployment},
    )


def _told(one: Any, paid: Decimal, costs: MonthCosts) -> dict[str, Any]:
    told: dict[str, Any] = wire.converter().unstructure(one)
    return told | {"total": f"{costs.total:f}", "left": f"{paid - costs.total:f}"}


def _print(page: CostsPage, listed: list[CostLine], totals: list[Total]) -> None:
    last = tables.moment(page.until)
    click.echo(
        f"{page.since:%B %Y} until {last} UTC, by prices as of {page.as_of}.\n"
        + (f"{page.old}.\n" if page.old else "")
    )
    if not totals:
        click.echo("No customers.")
    if listed:
        _print_lines(listed)
        click.echo()
    if totals:
        _print_totals(totals)
    if page.deployment:
        currency = page.currency.upper()
        click.echo(f"\nThe deployment itself: {currency} {amount(page.deployment)}")


def _print_lines(listed: list[CostLine]) -> None:
    narrow = tables.narrow()
    amounts = ("tax", "Stripe", "host", "S3", "traffic", "costs", "paid", "left")
    names = amounts[-3:] if narrow else amounts
    who = (Column("signup"),) if narrow else (Column("signup"), Column("plan"))
    head = (*who, tables.state(), *(Column(f"{name:>{_WIDTH}}") for name in names))
    table = columns(*head, Column(""))
    table.page(
        [
            line.signup_id,
            *(() if narrow else (line.plan_id,)),
            line.state,
            *(amount(one, _WIDTH) for one in _amounts(line)[-len(names) :]),
            line.currency.upper(),
        ]
        for line in listed
    )


def _amounts(line: CostLine) -> list[Decimal]:
    """The host's parts together, and the bucket's, so that a line has room."""
    of = line.costs
    host = of.instance + of.volume + of.address
    bucket = of.stored + of.older + of.requests
    parts_ = [of.tax, of.stripe, host, bucket, of.egress]
    return [*parts_, of.total, line.paid, line.left]


def _print_totals(totals: list[Total]) -> None:
    heads = (f"{one.currency.upper():>{_WIDTH}}" for one in totals)
    table = columns(Column("all customers"), *map(Column, heads))
    rows = [["number", *(f"{one.customers:>{_WIDTH},}" for one in totals)]]
    for n, name in enumerate(PARTS.values()):
        rows.append([name, *(amount(parts(t.costs)[n][1], _WIDTH) for t in totals)])
    rows += [
        ["all costs", *(amount(t.costs.total, _WIDTH) for t in totals)],
        ["paid", *(amount(t.paid, _WIDTH) for t in totals)],
        ["left", *(amount(t.paid - t.costs.total, _WIDTH) for t in totals)],
    ]
    table.page(rows)
