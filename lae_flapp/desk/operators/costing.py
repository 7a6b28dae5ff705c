"""What customers cost and pay, for operators."""

from __future__ import annotations

from decimal import Decimal

from lae_flapp.costs.arithmetic import MILLIONTH, costs_of
from lae_flapp.costs.month import Month, month_of, used
from lae_flapp.costs.price_list import PricedCell, PriceList
from lae_flapp.desk.operators.asked import Asker
from lae_flapp.journal import monthly_use
from lae_flapp.journal.monthly_use import CustomerMonth
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.cost_messages import CostLine, CostsPage, ListCosts
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal
from lae_protocol.process.settings import SettingsError

_NO_PRICES = Refused(
    "not-now",
    "The daemon's settings name no price list (prices_file): lae config example prices",
)


async def list_costs(by: Asker, asked: ListCosts) -> CostsPage:
    """A page of a month, by the price list as it is now: a new one needs no restart."""
    cell = by.desk.priced
    if cell is None:
        raise Refusal(_NO_PRICES)

    def page(tx: ReadTx) -> CostsPage:
        today = tx.now.date()
        try:
            month, prices = month_of(asked.month, tx.now), cell.read(today)
            found, more = monthly_use.page(
                tx, month, cursor=asked.cursor, limit=asked.limit
            )
            lines = tuple(_line(cell, prices, month, customer) for customer in found)
        except SettingsError as e:
            raise Refusal(Refused("not-now", str(e))) from None
        except ValueError as e:
            raise Refusal(Refused("malformed", f"{e}.")) from None
        return CostsPage(
            lines,
            more,
            month.since,
            month.until,
            prices.as_of,
            prices.what_is_old(today),
            prices.currency,
            _deployment(prices, month),
        )

    return await by.read(page)


def _line(
    cell: PricedCell, prices: PriceList, month: Month, customer: CustomerMonth
) -> CostLine:
    grid = customer.grid
    use = used(month, grid)
    return CostLine(
        customer.signup_id,
        customer.state,
        customer.email,
        customer.plan_id,
        grid.currency,
        use.paid.quantize(MILLIONTH),
        costs_of(use, cell.asked(prices, grid.currency)),
    )


def _deployment(prices: PriceList, month: Month) -> Decimal:
    """What has come of the month's."""
    passed = month.part(month.seconds_of((month.since, None)))
    return (prices.deployment_month * passed).quantize(MILLIONTH)
