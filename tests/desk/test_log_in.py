"""Another browser becomes the owner's by a link that is mailed: once, for an hour, and
no other browser stays the owner's.
"""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from lae_flapp.desk.wishes import BETWEEN_MAILS, LETTERS_A_DAY
from lae_flapp.journal import contacts, signups
from lae_flapp.life.links import GOOD_FOR
from lae_flapp.mail.server import MailLater
from lae_protocol.ids import OwnerSecret, SignupId
from lae_protocol.messages import MailedLink
from lae_protocol.process.answer import Refusal
from lae_protocol.secret import Secret
from tests.twins.journal import answer

PAUSE = BETWEEN_MAILS.total_seconds()
HOUR = GOOD_FOR["log-in"].total_seconds()
OLD = OwnerSecret("x" * 40)
NEW, OTHER = OwnerSecret("n" * 52), OwnerSecret("o" * 52)


def ask_for_link(mails, su, number=1) -> None:
    """Anybody presses the button of the page, some time after the last mail."""
    mails.pass_time(PAUSE, 10)
    answer(Deferred.fromCoroutine(mails.wishes.mail_log_in(su, f"ask-{number}")))


def log_in(mails, link, secret=NEW) -> None:
    answer(Deferred.fromCoroutine(mails.wishes.log_in(link, secret)))


def refuses(mails, link, secret=OTHER) -> bool:
    """Whether the link does nothing for this browser."""
    with pytest.raises(Refusal):
        log_in(mails, link, secret)
    return not owns(mails, link.signup_id, secret)


def owns(mails, su, secret) -> bool:
    return mails.read(signups.owned, su, secret) is not None


@pytest.fixture
def served(mails):
    """A customer who got the furl; the browser that ordered has the cookie OLD."""
    su = mails.sign_up()
    mails.put(su)
    return su


def test_the_new_browser_takes_the_place_of_the_old(mails, served) -> None:
    """The link goes to the signup's address.  Until it is used the old cookie works;
    then the new one alone does.
    """
    ask_for_link(mails, served)
    assert mails.server.to() == ["c1@example.org"] * 2
    link = mails.link("log-in")
    assert owns(mails, served, OLD)
    log_in(mails, link)
    assert owns(mails, served, NEW)
    assert not owns(mails, served, OLD)
    assert mails.kinds(served)[-2:] == ["log-in-asked", "logged-in"]


def test_the_link_works_once(mails, served) -> None:
    """Whoever finds the used link in the mail gets nothing; the same form sent twice is
    one log-in.
    """
    ask_for_link(mails, served)
    link = mails.link("log-in")
    log_in(mails, link)
    log_in(mails, link)
    assert mails.kinds(served).count("logged-in") == 1
    assert refuses(mails, link)
    assert refuses(mails, link, OLD)
    assert owns(mails, served, NEW)


def test_using_one_ends_the_others(mails, served) -> None:
    """Of several links that were mailed, one works; what an operator logs out cannot
    be logged in again with a link from before.
    """
    links = []
    for number in range(2):
        ask_for_link(mails, served, number)
        links.append(mails.link("log-in"))
    log_in(mails, links[1])
    assert refuses(mails, links[0])
    ask_for_link(mails, served, 2)
    before = mails.link("log-in")
    mails.write(signups.log_out, served, "operator ann", "stolen")
    assert refuses(mails, before)
    assert not owns(mails, served, NEW)
    ask_for_link(mails, served, 3)
    log_in(mails, mails.link("log-in"), OTHER)
    assert owns(mails, served, OTHER)


def test_for_an_hour_from_when_it_was_mailed(mails, served) -> None:
    """A mail that was late for days has a whole hour; after that it is worth nothing."""
    mails.server.says["*"] = MailLater("down")
    ask_for_link(mails, served)
    mails.pass_time(2 * 86_400, 600)
    mails.server.says.clear()
    while len(mails.server.taken) == 1:
        mails.pass_time(1, 1)
    link = mails.link("log-in")
    mails.pass_time(HOUR - 2, 1)
    log_in(mails, link)
    ask_for_link(mails, served, 2)
    link = mails.link("log-in")
    mails.pass_time(HOUR, 10)
    assert refuses(mails, link)


def test_what_logs_nobody_in(mails, served) -> None:
    """A link of another purpose or signup, a damaged one, and a secret that can be
    guessed.
    """
    other = mails.sign_up(2)
    mails.put(other)
    cancel = mails.link("cancel")
    ask_for_link(mails, served)
    good = mails.link("log-in")
    for bad in (
        MailedLink(other, cancel.token),
        MailedLink(other, good.token),
        MailedLink(served, Secret(good.token.reveal()[:-3])),
        MailedLink(served, Secret("")),
        MailedLink(SignupId("no id"), good.token),
    ):
        with pytest.raises(Refusal):
            log_in(mails, bad)
    assert refuses(mails, good, OwnerSecret("x"))
    assert owns(mails, served, OLD)
    assert not owns(mails, other, NEW)


def test_after_the_address_was_corrected(mails, served) -> None:
    """The link in the earlier mailbox is dead, and the new one gets none before it is
    confirmed.
    """
    ask_for_link(mails, served)
    earlier = mails.link("log-in")
    mails.correct(served, "d@example.org", "r")
    assert refuses(mails, earlier)
    with pytest.raises(Refusal, match="not-now") as refused:
        ask_for_link(mails, served, 2)
    assert "confirm" in refused.value.refused.message
    mails.confirm(mails.link("confirm"))
    ask_for_link(mails, served, 3)
    assert mails.server.to()[-1] == "d@example.org"
    log_in(mails, mails.link("log-in"))
    assert owns(mails, served, NEW)


def test_a_strangers_asking_has_an_end(mails, served) -> None:
    """Who knows the signup's id can have the owner mailed a link every two minutes, and
    five a day.
    """
    asked = 0
    for number in range(20):
        try:
            ask_for_link(mails, served, number)
        except Refusal as e:
            assert "5 links" in e.refused.message
        else:
            asked += 1
            with pytest.raises(Refusal) as refused:
                answer(
                    Deferred.fromCoroutine(mails.wishes.mail_log_in(served, "at once"))
                )
            assert "2 minutes" in refused.value.refused.message
    assert asked == LETTERS_A_DAY
    assert len(mails.server.taken) == 1 + LETTERS_A_DAY


@pytest.mark.parametrize("state", ["registered", "paying", "cancelled", "deleted"])
def test_nobody_is_mailed_about_nothing(mails, state) -> None:
    """Of an order that nobody paid, and of what is deleted, there is nothing to see, and
    whoever was named in it is not mailed.  A link from before does nothing.
    """
    su = mails.sign_up()
    ask_for_link(mails, su)
    link = mails.link("log-in")
    here = signups.SIGNUPS.update().where(signups.SIGNUPS.c.signup_id == su)
    mails.write(lambda tx: tx.run(here.values(state=state)))
    mails.server.taken.clear()
    with pytest.raises(Refusal) as refused:
        ask_for_link(mails, su, 2)
    assert refused.value.refused.code == "not-now"
    assert mails.server.taken == []
    assert refuses(mails, link)


def test_an_unknown_signup(mails) -> None:
    """An id that nobody has is refused like another's."""
    with pytest.raises(Refusal) as refused:
        ask_for_link(mails, SignupId("su" + "a" * 20))
    assert refused.value.refused.code == "unknown-signup"


def test_corrected_at_the_moment_of_logging_in(mails, served) -> None:
    """Link, address and owner are judged in the transaction that logs in: a correction
    just before it is known there.
    """
    ask_for_link(mails, served)
    link = mails.link("log-in")
    mails.write(contacts.correct, served, "d@example.org", "d@example.org")
    assert refuses(mails, link)
