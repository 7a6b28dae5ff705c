"""What customers cost, as an operator asks the daemon and as ``lae costs`` shows it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from attrs import evolve
from click.testing import CliRunner
from sqlalchemy import insert
from twisted.internet.defer import Deferred

from lae_flapp.costs.price_list import PricedCell
from lae_flapp.journal import contacts, gifts, hosts, lifecycles, usage
from lae_flapp.journal.signups import SIGNUPS
from lae_flapp.laptop.commands import costs as command
from lae_protocol.cost_messages import CostsPage, ListCosts, MonthCosts
from lae_protocol.host_messages import DayCounts, Report
from lae_protocol.ids import Generation
from lae_protocol.messages import Refused, Requests
from tests.twins.journal import answer

sys.path.insert(0, str(Path(__file__).parent))
try:
    from operator_daemon import _force, id_of
    from test_operator import Edge, edge  # noqa: F401  (a fixture)
finally:
    sys.path.pop(0)

ACTIVE, STUCK = id_of(0), id_of(1)
#: When the desk's clock begins, and how much of November has passed then.
NOW = datetime.fromtimestamp(1_795_000_000, UTC)
DAY = 86_400  # s
GIB = 2**30


def tell(edge: Edge, stored: int, sent: int = 0, **counts: int) -> None:
    """The active customer's host reports today's counts."""
    today = edge.read(lambda tx: tx.now).date()
    requests = tuple(Requests(kind, count) for kind, count in counts.items())
    days = (DayCounts(today, 0, sent, requests),)
    report = Report("ready", NOW, stored, 1, 0, None, noncurrent_bytes=0, days=days)
    edge.write(usage.told, ACTIVE, report)


def line_of(page: CostsPage, signup_id=ACTIVE):
    (line,) = (one for one in page.lines if one.signup_id == signup_id)
    return line


def test_a_customer_who_costs(edge) -> None:
    """Ten days after the launch a customer has cost ten days of a host, what was
    stored, asked of S3 and sent, and Stripe's part of ten days' price.
    """
    tell(edge, 100 * GIB, sent=10**9, put=1000, get=10_000)
    edge.clock.advance(10 * DAY)
    page = edge.ask(ListCosts())
    line = line_of(page)
    assert (line.currency, line.state, line.plan_id) == ("usd", "active", "basic-250")
    month = Decimal(10) / 30
    near = line.costs.plus(
        MonthCosts(
            instance=-Decimal("0.0204") * 240,
            volume=-Decimal("0.88") * month,
            address=-Decimal("0.005") * 240,
            requests=-Decimal("0.009"),
            egress=-Decimal("0.09"),
            tax=-Decimal(3) * 23 / 123,
            stripe=-Decimal("0.036") * 3 - Decimal("0.1"),
            # The day of the launch is counted from its beginning on.
            stored=-Decimal("2.3") * month,
        )
    )
    began = Decimal(NOW.hour * 3600 + NOW.minute * 60 + NOW.second) / DAY / 30
    assert abs(near.stored - Decimal("2.3") * began) < Decimal("0.00001")
    rest = evolve(near, stored=Decimal(0))
    assert abs(rest.total) < Decimal("0.00001")
    assert abs(line.paid - 3) < Decimal("0.00001")
    assert line.left == line.paid - line.costs.total
    assert (page.since, page.until) == (
        *(datetime(2026, 11, 1, tzinfo=UTC), NOW + timedelta(days=10)),
    )
    assert (page.as_of, page.old, page.currency) == (date(2026, 11, 1), None, "usd")
    assert 0 < page.deployment < 40


def test_who_is_in_a_month(edge) -> None:
    """Who has not paid is in no month; who has left is in those in which there was
    data, and who was deleted before is in none.
    """
    shown = {line.signup_id for line in edge.ask(ListCosts()).lines}
    assert shown == {ACTIVE, STUCK}
    tell(edge, 100 * GIB)
    edge.write(_force, ACTIVE, "ended")
    edge.clock.advance(30 * DAY)
    page = edge.ask(ListCosts())
    assert line_of(page).costs.stored > 1, "the data is kept, and costs"
    assert line_of(page).paid == 0
    edge.write(delete)
    assert line_of(edge.ask(ListCosts())).costs.stored > 1
    edge.clock.advance(30 * DAY)
    assert ACTIVE not in {line.signup_id for line in edge.ask(ListCosts()).lines}
    assert line_of(edge.ask(ListCosts("2026-12"))).costs.stored > 1
    assert edge.ask(ListCosts("2026-10")).lines == ()


def delete(tx) -> None:
    """The active customer's data is seen gone, without the way there."""
    here = SIGNUPS.c.signup_id == ACTIVE
    tx.run(SIGNUPS.update().where(here).values(state="deleted", changed_at=tx.now))


def test_a_host_that_is_gone(edge) -> None:
    """A host that is gone costs nothing from then on; one that was never launched
    never did.
    """
    edge.clock.advance(DAY)
    edge.write(hosts.move, ACTIVE, Generation(1), {"launched"}, "gone")
    edge.write(hosts.begin, ACTIVE)
    edge.clock.advance(DAY)
    cost = line_of(edge.ask(ListCosts())).costs
    assert abs(cost.instance - Decimal("0.0204") * 24) < Decimal("0.00001")


def test_who_pays_no_more(edge) -> None:
    """What is paid ends with the period that was paid; a gift is never paid for."""
    until = NOW + timedelta(days=3)
    edge.write(lifecycles.change, ACTIVE, paid_until=until)
    edge.clock.advance(10 * DAY)
    assert abs(line_of(edge.ask(ListCosts())).paid - Decimal("0.9")) < Decimal("0.0001")
    edge.write(gifts.put, ACTIVE, "ann", None)
    assert line_of(edge.ask(ListCosts())).paid == 0


def test_which_days_are_of_a_month(edge) -> None:
    """Days of the month alone are counted, its first and last too; what lay there
    before is what was told last before.
    """

    def day(text: str, stored: int, sent: int) -> dict[str, object]:
        rest = {"noncurrent": None, "received": 0, "requests": "{}"}
        return {"day": text, "stored": stored, "sent": sent, **rest}

    def tell_days(tx) -> None:
        for row in (
            day("2026-10-05", 900 * GIB, 10**11),
            day("2026-10-20", 30 * GIB, 10**11),
            day("2026-11-01", 30 * GIB, 10**9),
            day("2026-11-30", 30 * GIB, 10**9),
            day("2026-12-01", 900 * GIB, 10**11),
        ):
            tx.run(insert(usage.USAGE).values(signup_id=ACTIVE, **row))

    edge.write(tell_days)
    edge.clock.advance(20 * DAY)
    cost = line_of(edge.ask(ListCosts("2026-11"))).costs
    assert abs(cost.stored - 30 * Decimal("0.023")) < Decimal("0.00001")
    assert cost.egress == Decimal("0.18")
    edge.write(
        lambda tx: tx.run(usage.USAGE.delete().where(usage.USAGE.c.day > "2026-11"))
    )
    cost = line_of(edge.ask(ListCosts("2026-11"))).costs
    assert abs(cost.stored - 30 * Decimal("0.023")) < Decimal("0.00001")


@pytest.mark.parametrize(
    ("state", "change", "days"),
    [
        ("refunding", {"paid_until": 20}, 0),
        ("refunded", {"paid_until": 20}, 0),
        ("past-due", {"paid_until": 4}, 4),
        ("ended", {"paid_until": 9, "ended_at": 5}, 5),
        ("ended", {"paid_until": 5, "ended_at": 9}, 5),
        ("ended", {"ended_at": 6}, 6),
        ("active", {"ended_at": -90}, 10),
    ],
)
def test_until_when_is_paid(edge, state, change, days) -> None:
    """Money that went back was not paid; after the end nothing is; an end before the
    present subscription is of another.
    """
    at = {name: NOW + timedelta(days=n) for name, n in change.items()}
    edge.write(lifecycles.change, ACTIVE, wish="stay", **at)
    edge.write(_force, ACTIVE, state)
    edge.clock.advance(10 * DAY)
    paid = line_of(edge.ask(ListCosts())).paid
    assert abs(paid - days * Decimal("0.3")) < Decimal("0.0001")


def test_an_address_that_was_corrected(edge) -> None:
    """A customer is one line, under the address that holds now."""
    edge.write(contacts.correct, ACTIVE, "new@example.org", "new@example.org")
    assert line_of(edge.ask(ListCosts())).email == "new@example.org"


def test_pages(edge) -> None:
    """A long list comes in pages, each customer once."""
    first = edge.ask(ListCosts(limit=1))
    second = edge.ask(ListCosts(limit=1, cursor=first.cursor))
    assert [p.lines[0].signup_id for p in (first, second)] == [STUCK, ACTIVE]
    assert second.cursor is None
    assert edge.ask(ListCosts(cursor="x")).code == "malformed"


def test_what_cannot_be_told(edge, tmp_path) -> None:
    """A month that is none, a currency without a rate, and a price list that is bad,
    missing, or not named, are refused in a sentence.
    """

    def refusal(asked: ListCosts) -> str:
        told = edge.ask(asked)
        assert isinstance(told, Refused)
        return told.message

    assert refusal(ListCosts("2027-05")) == "2027-05 has not begun."
    assert refusal(ListCosts("May")) == "a month is written as 2026-11."
    text = edge.desk.priced.file.read_text("utf-8")
    path = tmp_path / "prices.yaml"
    edge.desk = evolve(edge.desk, priced=PricedCell(path, "eu-west-1", "t3a.small", 10))
    assert "No such file" in refusal(ListCosts())
    path.write_text(text.replace("currency: usd\n    buys", "currency: chf\n    buys"))
    assert "sold_in: usd, which a plan is sold in, is missing" in refusal(ListCosts())
    path.write_text(text)
    assert edge.ask(ListCosts()).lines, "a list that was mended needs no restart"
    edge.desk = evolve(edge.desk, priced=None)
    assert "lae config example prices" in refusal(ListCosts())


@pytest.fixture
def lae(edge, monkeypatch):
    """The command, whose line ends at the desk."""

    class LineToTheDesk:
        async def ask(self, question):
            return edge.ask(question)

    def run(_, work):
        return answer(Deferred.fromCoroutine(work(LineToTheDesk())))

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "PAGE", 1)

    def typed(*arguments: str) -> str:
        told = CliRunner().invoke(command.costs, arguments)
        assert told.exit_code == 0, told.output
        return told.stdout

    return typed


def test_what_the_command_shows(edge, lae) -> None:
    """A line for each customer, then each part of all of them, what was paid and what
    is left, and what the deployment itself cost.
    """
    tell(edge, 100 * GIB, sent=10**10)
    edge.clock.advance(10 * DAY)
    told = lae()
    assert told.startswith("November 2026 until 2026-11-28 ")
    assert "by prices as of 2026-11-01." in told
    lines = [line.split() for line in told.splitlines()]
    line = line_of(edge.ask(ListCosts()))
    cents = f"{line.costs.total:.2f}", f"{line.paid:.2f}", f"{line.left:.2f}"
    (shown,) = (words for words in lines if ACTIVE in words)
    assert tuple(shown[-4:]) == (*cents, "USD")
    assert ["number", "2"] in lines
    assert ["traffic", "sent", "0.90"] in lines
    assert ["paid", "3.00"] in lines
    assert "The deployment itself: USD " in told


def test_only_those_who_lose(edge, lae) -> None:
    """Who costs less than they pay is left out; the totals are of all."""
    tell(edge, 0)
    edge.clock.advance(10 * DAY)
    told = json.loads(lae("--json", "--losing"))
    assert [one["signup_id"] for one in told["costs"]] == [ACTIVE]
    assert [one["customers"] for one in told["totals"]] == [2]


def test_for_programs(edge, lae) -> None:
    """One JSON object, whose amounts add up exactly."""
    tell(edge, 12_345_678_901, sent=987_654_321, put=77)
    edge.clock.advance(5 * DAY)
    told = json.loads(lae("--json"))
    assert told["version"] == 1
    (total,) = told["totals"]
    for name in ("paid", "total", "left"):
        assert sum(Decimal(one[name]) for one in told["costs"]) == Decimal(total[name])
    for one in (*told["costs"], total):
        assert sum(map(Decimal, one["costs"].values())) == Decimal(one["total"])
        assert Decimal(one["paid"]) - Decimal(one["total"]) == Decimal(one["left"])
    short = json.loads(lae("--json", "--limit", "1"))
    assert (len(short["costs"]), short["more"]) == (1, True)
    assert short["totals"] == told["totals"]


def test_a_month_without_customers(edge, lae) -> None:
    """A month in which nobody was a customer says so, and what was spent all the same."""
    told = lae("--month", "2026-10")
    assert "No customers." in told
    assert "The deployment itself: USD 40.00" in told
