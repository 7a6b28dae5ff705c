"""Events that no webhook told are taken in, and those that are known change nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace

import pytest
from twisted.internet.defer import Deferred

from lae_flapp.grid.workshop import LookedBack
from lae_flapp.journal import inbox
from lae_flapp.money.inbox.intake import Intake
from lae_flapp.restored.looking_back import LookingBack
from lae_flapp.restored.reading_back import MARGIN, ReadingBack
from lae_protocol.stripe_hints import StripeHint
from lae_provision.errors import TryLater
from tests.grid.world import now

AT = datetime(2026, 11, 18, tzinfo=UTC)


def hint(number):
    return StripeHint(f"evt_{number}", "checkout.session.completed", "cs_1")


class Stripe:
    def __init__(self):
        self.happened, self.asked, self.away = [], [], False

    async def since(self, at):
        self.asked.append(at)
        if self.away:
            raise TryLater("away", "Stripe is away")
        return tuple(self.happened)


def did(coroutine):
    return now(Deferred.fromCoroutine(coroutine))


def test_read_back(world):
    """Each event is taken once; where Stripe is away, the same time is asked for again."""
    stripe, woken = Stripe(), []
    world.journal.hear_of("inbox", lambda: woken.append(1))
    intake = Intake(world.journal)
    reading = ReadingBack(world.journal, stripe.since, intake)
    did(reading.begin())
    stripe.away = True
    world.clock.advance(10_000)
    with pytest.raises(TryLater):
        did(reading.look())
    stripe.away, stripe.happened = False, [hint(1), hint(2)]
    did(reading.look())
    assert stripe.asked[0] == stripe.asked[1]
    assert world.read(inbox.waiting) == 2
    stripe.happened.append(hint(3))
    did(reading.look())
    assert world.read(inbox.waiting) == 3
    assert len(woken) == 3
    assert stripe.asked[2] == world.read(lambda tx: tx.now) - MARGIN
    assert stripe.asked[2] - stripe.asked[1] == timedelta(seconds=10_000)


def test_nothing_is_done_before_it_was_looked(world):
    """Fence, claim and cloud are tried until they succeed, in this order; then, and not
    before, hosts may be launched, whatever Stripe does.
    """
    did_so_far, away = [], {"fence", "claim", "look", "read"}

    def work(name):
        async def once():
            if name in away:
                raise TryLater("away", name)
            did_so_far.append(name)

        return once

    clock = world.clock
    looked_back = LookedBack(done=False)
    fence = SimpleNamespace(look=work("fence"))
    looking = LookingBack(
        clock,
        Random(1),
        fence,
        *(work(name) for name in ("claim", "look", "read")),
        looked_back,
    )
    running = Deferred.fromCoroutine(looking.run())
    for name, done in (("look", False), ("claim", False), ("fence", True)):
        away.discard(name)
        clock.pump([5] * 20)
        assert looked_back.done is done
    assert did_so_far == ["fence", "claim", "look"]
    away.clear()
    clock.pump([5] * 20)
    assert did_so_far == ["fence", "claim", "look", "read"]
    assert now(running) is None
