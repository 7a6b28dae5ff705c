"""What operators ask for, and where the answer is a plain no."""

from __future__ import annotations

import re

import pytest

from lae_flapp.lifecycle.asked_for import cancelling, deleting, reactivating
from lae_protocol.process.answer import Refusal
from tests.lifecycle.conftest import check_kept
from tests.signup.world import check_served


def declined(world, what, signup_id, words):
    """The answer is a no, in these words."""
    with pytest.raises(Refusal) as raised:
        ask(world, what, signup_id)
    assert re.search(words, raised.value.refused.message)


def ask(world, what, signup_id):
    done = world.write(what, signup_id, "operator ann", "they wrote to us")
    world.crew.nudge(signup_id)
    world.advance(10)
    return done


def test_cancelled_and_taken_back(world) -> None:
    """An operator cancels for a customer, and takes it back; each only once."""
    signup_id = world.served()
    new_id = world.crew.shop.new_message_id
    assert ask(world, cancelling(new_id), signup_id) == "leaving"
    declined(world, cancelling(new_id), signup_id, "ends with the paid period")
    assert ask(world, reactivating(new_id), signup_id) == "stays"
    check_served(world, signup_id)
    declined(world, reactivating(new_id), signup_id, "cannot be brought back")


def test_ended_invited_back_and_deleted(world) -> None:
    """An ended one is invited back by mail, or deleted now when its owner asks."""
    signup_id = world.served()
    new_id = world.crew.shop.new_message_id
    declined(world, deleting(), signup_id, "cancel it first")
    assert ask(world, cancelling(new_id, at_once=True), signup_id) == "ending"
    check_kept(world, signup_id)
    declined(world, cancelling(new_id), signup_id, "it is ended already")
    assert ask(world, reactivating(new_id), signup_id) == "invited"
    assert world.mails(signup_id).count("ended") == 2
    assert ask(world, deleting(), signup_id) == "deleting"
    assert world.state(signup_id) == "deleted"
    assert world.receipt(signup_id).why == "they wrote to us"
