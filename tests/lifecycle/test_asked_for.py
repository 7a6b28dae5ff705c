"""What operators ask for, and where the answer is a plain no."""

from __future__ import annotations

import re

import pytest

from lae_flapp.journal import lifecycles
from lae_flapp.lifecycle.asked_for import cancelling, deleting, reactivating
from lae_protocol.process.answer import Refusal
from tests.lifecycle.conftest import check_kept
from tests.signup.world import check_served


def declined(world, what, signup_id, words, *at_once):
    """The answer is a no, in these words."""
    with pytest.raises(Refusal) as raised:
        ask(world, what, signup_id, *at_once)
    assert re.search(words, raised.value.refused.message)


def ask(world, what, signup_id, *at_once):
    done = world.write(what, signup_id, "operator ann", "they wrote to us", *at_once)
    world.crew.nudge(signup_id)
    world.advance(10)
    return done


def test_cancelled_and_taken_back(world) -> None:
    """An operator cancels for a customer, and takes it back; each only once."""
    signup_id = world.served()
    new_id = world.crew.shop.new_message_id
    assert ask(world, cancelling(new_id), signup_id, False) == "leaving"
    declined(world, cancelling(new_id), signup_id, "ends with the paid period", False)
    assert ask(world, reactivating(new_id), signup_id) == "stays"
    check_served(world, signup_id)
    declined(world, reactivating(new_id), signup_id, "cannot be brought back")


def test_ended_invited_back_and_deleted(world) -> None:
    """An ended one is invited back by mail, or deleted now when its owner asks."""
    signup_id = world.served()
    new_id = world.crew.shop.new_message_id
    declined(world, deleting(), signup_id, "cancel it first")
    assert ask(world, cancelling(new_id), signup_id, True) == "ending"
    check_kept(world, signup_id)
    declined(world, cancelling(new_id), signup_id, "it is ended already", False)
    assert ask(world, reactivating(new_id), signup_id) == "invited"
    assert world.mails(signup_id).count("ended") == 2
    assert ask(world, deleting(), signup_id) == "deleting"
    assert world.state(signup_id) == "deleted"
    assert world.receipt(signup_id).why == "they wrote to us"


def test_what_was_given_has_no_period_to_wait_for(world) -> None:
    """Without a subscription at Stripe it ends at once, and Stripe is not asked."""
    signup_id = world.served()
    world.write(lifecycles.change, signup_id, subscription=None)
    world.account.known.clear()
    new_id = world.crew.shop.new_message_id
    assert ask(world, cancelling(new_id), signup_id, False) == "ending"
    assert world.state(signup_id) == "ended"
    assert world.life(signup_id).told == "end"
