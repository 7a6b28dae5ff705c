"""Whatever can be listed has its row at both ends, with all filters and states."""

from __future__ import annotations

import typing

import pytest
from attrs import fields

from lae_flapp.desk.operators.lists import NOUNS
from lae_flapp.laptop.commands import boxes, effects, hosts, subscriptions
from lae_protocol.looking_messages import ListSignups, Page
from lae_protocol.remote import OPERATOR

OURS = [
    *(boxes.EVENTS, boxes.MAILS, effects.EFFECTS),
    *(hosts.HOSTS, subscriptions.SUBSCRIPTIONS, subscriptions.USAGE),
]


def test_every_list_has_its_row() -> None:
    """Each question that is answered by a page has one row at the daemon and one in
    ``lae``.
    """
    lists = {
        question
        for question in OPERATOR.by_name.values()
        if typing.get_origin(question.answer()) is Page
    }
    assert set(NOUNS) == lists
    assert {noun.question for noun in OURS} == lists
    assert len(OURS) == len(lists)


@pytest.mark.parametrize("noun", OURS, ids=lambda noun: noun.key)
def test_every_filter_is_an_option(noun) -> None:
    """Whatever a list can be narrowed by, ``lae`` has an option for."""

    def bare() -> None:
        pass

    for one in noun.filters:
        bare = one(bare)
    options = {option.name for option in bare.__click_params__}
    asked = {"signup_id" if name == "signup" else name for name in options}
    # A search is an option of one command, and the argument of another.
    asked |= {"text"} if noun.question is ListSignups else set()
    names = {field.name for field in fields(noun.question)}
    assert asked | {"cursor", "limit"} == names


@pytest.mark.parametrize("noun", OURS, ids=lambda noun: noun.key)
def test_a_narrow_terminal_has_fewer_columns(noun) -> None:
    """Where there is no room, a list has fewer columns; the state is always there."""
    for cells in (noun.wide, noun.narrow):
        assert "state" in [column.name for column, _ in cells]
    assert len(noun.narrow) < len(noun.wide)
