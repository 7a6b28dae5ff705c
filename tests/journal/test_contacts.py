"""Addresses of customers: what is kept, corrected, and marked."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from lae_flapp.journal import contacts
from lae_flapp.journal.contacts import CONTACTS
from lae_flapp.journal.errors import AddressConfirmed, Unknown

TYPED = "o'neil+x&co@exämple.org"
SMTP = "o'neil+x&co@xn--exmple-cua.org"


def test_an_address_is_kept_as_typed(desk) -> None:
    """Both forms of an address come back byte for byte, and print nowhere."""
    a = desk.register("a", TYPED).signup_id
    desk.write(contacts.correct, a, TYPED, SMTP)
    contact = desk.read(contacts.current, a)
    assert (contact.typed, contact.smtp) == (TYPED, SMTP)
    assert "neil" not in repr(contact)


def test_a_corrected_address_leaves_its_history(desk) -> None:
    """The new address is unconfirmed and present, the old one past; the same one
    again changes nothing.
    """
    a = desk.register("a", "typo@example.org").signup_id
    desk.clock.advance(60)
    fixed = desk.write(contacts.correct, a, "right@example.org", "right@example.org")
    again = desk.write(contacts.correct, a, "right@example.org", "right@example.org")
    assert again == fixed == desk.read(contacts.current, a)
    old, new = desk.read(contacts.history, a)
    assert (old.typed, old.until) == ("typo@example.org", new.since)


def test_a_form_sent_again_does_not_change_the_address(desk) -> None:
    """The first address of a signup stays, whatever the form says later."""
    a = desk.register("a", "first@example.org").signup_id
    desk.write(contacts.put, a, "second@example.org", "second@example.org")
    assert desk.read(contacts.current, a).typed == "first@example.org"


def test_the_address_that_is_present_is_what_putting_answers(desk) -> None:
    """Whoever gives a signup an address gets the one that it has from then on."""
    a = desk.register("a", "first@example.org").signup_id
    put = desk.write(contacts.put, a, "second@example.org", "second@example.org")
    assert put == desk.read(contacts.current, a)
    assert (put.signup_id, put.state, put.until) == (a, "unconfirmed", None)
    assert put.since == put.changed_at


def test_a_mark_says_since_when_it_holds(desk) -> None:
    """A state has the time when it began, which the same mark again leaves alone."""
    a = desk.register("a").signup_id
    given = desk.read(contacts.current, a)
    desk.clock.advance(60)
    desk.write(contacts.mark, given.number, "bouncing")
    bounced = desk.read(contacts.current, a)
    assert bounced.state == "bouncing"
    assert (bounced.changed_at - given.changed_at).total_seconds() == 60
    assert bounced.since == given.since
    desk.clock.advance(60)
    desk.write(contacts.mark, given.number, "bouncing")
    assert desk.read(contacts.current, a) == bounced


def test_each_form_of_an_address_is_personal() -> None:
    """All three forms of an address are declared personal, and no other column is."""
    personal = {one.name for one in CONTACTS.columns if one.info["personal"] is True}
    assert personal == {"typed", "smtp", "folded"}


def test_a_confirmed_address_is_not_corrected(desk) -> None:
    """Once mail was confirmed, the address cannot be changed here."""
    a = desk.register("a").signup_id
    desk.write(contacts.mark, desk.read(contacts.current, a).number, "confirmed")
    with pytest.raises(AddressConfirmed, match="the address is confirmed"):
        desk.write(contacts.correct, a, "x@example.org", "x@example.org")


def test_an_operator_corrects_a_confirmed_address(desk) -> None:
    """An operator, who heard from the customer, may change a confirmed address."""
    a = desk.register("a").signup_id
    desk.write(contacts.mark, desk.read(contacts.current, a).number, "confirmed")
    new = ("x@example.org", "x@example.org")
    fixed = desk.write(contacts.correct, a, *new, by_operator=True)
    assert (fixed.typed, fixed.state) == ("x@example.org", "unconfirmed")


def test_a_late_bounce_does_not_mark_the_new_address(desk) -> None:
    """A bounce is of the address that the mail went to."""
    a = desk.register("a").signup_id
    old = desk.read(contacts.current, a)
    new = desk.write(contacts.correct, a, "x@example.org", "x@example.org")
    desk.write(contacts.mark, old.number, "bouncing")
    states = [one.state for one in desk.read(contacts.history, a)]
    assert states == ["bouncing", "unconfirmed"]
    assert desk.read(contacts.current, a) == new


def test_a_signup_without_an_address_is_an_error(desk) -> None:
    """Asking for the address of nobody says so."""
    with pytest.raises(Unknown, match=f"no address of {desk.id('nobody')}"):
        desk.read(contacts.current, desk.id("nobody"))


def test_nobody_elses_address_is_touched(desk) -> None:
    """Whatever becomes of one customer's address, the others' stay as they were, before
    and after it; and its history has the oldest first.
    """
    names = [desk.register(name).signup_id for name in "abc"]
    others = [desk.read(contacts.history, names[at]) for at in (0, 2)]
    desk.clock.advance(60)
    first = desk.read(contacts.current, names[1])
    desk.write(contacts.mark, first.number, "bouncing")
    for new in ("x@example.org", "y@example.org"):
        desk.write(contacts.correct, names[1], new, new)
    assert [desk.read(contacts.history, names[at]) for at in (0, 2)] == others
    history = desk.read(contacts.history, names[1])
    assert [one.typed for one in history] == [
        *("b@example.org", "x@example.org", "y@example.org")
    ]
    assert [one.until is None for one in history] == [False, False, True]


@pytest.mark.parametrize("new", [("A@x.org", "a@x.org"), ("a@x.org", "A@x.org")])
def test_another_form_is_another_address(desk, new) -> None:
    """An address is the same only where it is typed and mailed the same."""
    a = desk.register("a", "a@x.org").signup_id
    desk.write(contacts.correct, a, *new)
    assert len(desk.read(contacts.history, a)) == 2


def test_an_address_is_searched_in_any_case(desk) -> None:
    """What operators search has the case of letters folded."""
    desk.register("a", "Straße@Example.ORG")
    folded = desk.read(lambda tx: tx.scalar(select(CONTACTS.c.folded)))
    assert folded == "strasse@example.org"


def test_the_number_of_an_address_is_never_anothers(desk) -> None:
    """A mail to an address that is gone bounces for nobody."""
    a = desk.register("a").signup_id
    number = desk.read(contacts.current, a).number

    def begin_anew(tx):
        tx.run(CONTACTS.delete())
        return contacts.put(tx, a, "a@x.org", "a@x.org")

    assert desk.write(begin_anew).number == number + 1
