"""What operators ask for, and where the answer is a plain no."""

from __future__ import annotations

import re

import pytest
from twisted.internet.defer import Deferred

from lae_flapp.desk.operators.cancelling import Cancelling
from lae_flapp.journal import lifecycles
from lae_flapp.life import asked_for
from lae_protocol.process.answer import Refusal
from tests.grid.world import check_served, now
from tests.life.conftest import check_kept

WHY = ("operator ann", "they wrote to us")


def declined(words, ask, *asked):
    """The answer is a no, in these words."""
    with pytest.raises(Refusal) as raised:
        ask(*asked)
    assert re.search(words, raised.value.refused.message)


def ask(world, what, signup_id):
    done = world.write(what, signup_id, *WHY)
    world.advance(10)
    return done


def cancel(world, signup_id, at_once=False):
    cancelling = Cancelling(world.journal, None)
    now(Deferred.fromCoroutine(cancelling.cancel(signup_id, *WHY, at_once)))
    world.advance(10)


def test_cancelled_and_taken_back(world) -> None:
    """An operator cancels for a customer, and takes it back; each only once."""
    signup_id = world.served()
    cancel(world, signup_id)
    assert world.state(signup_id) == "active"
    declined("ends with the paid period", cancel, world, signup_id)
    assert ask(world, asked_for.reactivate, signup_id) == "stays"
    check_served(world, signup_id)
    declined("it is not cancelled", ask, world, asked_for.reactivate, signup_id)


def test_ended_invited_back_and_deleted(world) -> None:
    """An ended one is invited back by mail, or deleted now when its owner asks."""
    signup_id = world.served()
    declined("cancel it first", ask, world, asked_for.delete, signup_id)
    cancel(world, signup_id, at_once=True)
    check_kept(world, signup_id)
    declined("it is ended already", cancel, world, signup_id)
    assert ask(world, asked_for.reactivate, signup_id) == "invited"
    assert world.mails(signup_id).count("ended") == 2
    assert ask(world, asked_for.delete, signup_id) == "deleting"
    assert world.state(signup_id) == "deleted"
    assert world.receipt(signup_id).why == "they wrote to us"


def test_what_was_given_has_no_period_to_wait_for(world) -> None:
    """Without a subscription at Stripe it ends at once, and Stripe is not asked."""
    signup_id = world.served()
    world.write(lifecycles.change, signup_id, subscription=None)
    world.account.known.clear()
    cancel(world, signup_id)
    assert world.state(signup_id) == "ended"
    assert world.life(signup_id).told == "end"
