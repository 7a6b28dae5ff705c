"""An effect is journaled whole, sent, and settled: once, however the outside answers."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from lae_flapp.effects.carrying_out import Effects, Points, Rendered
from lae_flapp.journal import effects, events
from lae_flapp.journal.effects import EFFECTS, EffectKey
from lae_flapp.journal.sealed import context_of
from lae_protocol.ids import signup_id_of_form
from lae_protocol.process.crash import declared, on_crash_point
from lae_provision.errors import NoCapacity, Refused, TokenSpent, TryLater
from tests.grid.world import Crashed, now
from tests.twins.identities import MemorySealer

NAME = signup_id_of_form(b"form")
KEY = EffectKey(NAME, "payment", "second-session")
POINTS = Points.declared("test", "asking")


class Asking:
    """One kind of effect, whose outside answers as it is told."""

    def __init__(self, world, *, secret=False):
        self.world, self.secret = world, secret
        self.effects = Effects(world.journal, MemorySealer())
        self.rendered, self.sent, self.answers = 0, [], []

    async def render(self, ticket):
        self.rendered += 1
        request = f"{ticket.token} {self.rendered}".encode()

        def also(tx):
            events.note(tx, NAME, "asked", "test")

        if self.secret:
            return Rendered(request, secret=True, also=also)
        return Rendered(request, also=also)

    async def send(self, request):
        self.sent.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def settle(self, tx, effect, answer):
        events.note(tx, NAME, "answered", "test", answer)
        return f"{effect.attempt}: {answer}"

    def carry_out(self, answer):
        self.answers.append(answer)
        asked = self.effects.carry_out(KEY, self.render, self.send, self.settle, POINTS)
        return now(Deferred.fromCoroutine(asked))

    def rows(self):
        return self.world.read(effects.of, NAME)

    def kinds(self):
        return [e.kind for e in self.world.read(events.since, NAME, 0)]


@pytest.fixture
def asking(world):
    world.register()
    yield Asking(world)
    on_crash_point(None)


def test_an_effect_is_journaled_sent_and_settled(asking) -> None:
    """Its row has the request that was sent, and the outcome; what goes with both is
    journaled too.
    """
    assert asking.carry_out("re_1") == "re_1"
    (row,) = asking.rows()
    assert [row.request] == asking.sent
    assert not row.sealed
    assert (row.state, row.outcome, row.tries) == ("done", "1: re_1", 0)
    assert asking.kinds()[-2:] == ["asked", "answered"]


def test_what_may_have_happened_is_asked_again_with_the_same_bytes(asking) -> None:
    """Each try in vain is counted with its error, and none renders a new request."""
    for number in (1, 2, 3):
        with pytest.raises(TryLater):
            asking.carry_out(TryLater("Throttling", "slowly"))
        (row,) = asking.rows()
        assert (row.state, row.outcome, row.tries) == ("begun", "Throttling", number)
    with pytest.raises(RuntimeError):
        asking.carry_out(RuntimeError("a bug"))
    assert asking.rows()[0].outcome == "RuntimeError"
    asking.carry_out("re_1")
    (row,) = asking.rows()
    assert (row.state, row.outcome, row.tries) == ("done", "1: re_1", 4)
    assert asking.rendered == 1
    assert len(set(asking.sent)) == 1


@pytest.mark.parametrize("final", [Refused, NoCapacity, TokenSpent])
def test_what_is_refused_for_good_has_failed(asking, final) -> None:
    """The next attempt is a new request under a new token."""
    with pytest.raises(final):
        asking.carry_out(final("no", "never"))
    (row,) = asking.rows()
    assert (row.state, row.outcome) == ("failed", "no")
    asking.carry_out("re_1")
    first, second = asking.rows()
    assert (second.state, second.attempt) == ("done", 2)
    assert first.token != second.token


def test_secrets_are_sealed_and_sent_plain(world, asking) -> None:
    """The journal holds a sealed request, which a repeat opens again."""
    asking = Asking(world, secret=True)
    with pytest.raises(TryLater):
        asking.carry_out(TryLater("Throttling", "slowly"))
    (row,) = asking.rows()
    assert row.sealed
    assert row.request != asking.sent[0]
    assert (
        MemorySealer().unseal(row.request, context_of(EFFECTS, row.token))
        == asking.sent[0]
    )
    asking.carry_out("re_1")
    assert asking.sent[0] == asking.sent[1]


@pytest.mark.parametrize(
    ("point", "sent", "tries", "state"),
    [
        (POINTS.begun, 1, 1, "begun"),
        (POINTS.sent, 2, 1, "begun"),
        (POINTS.settled, 1, 0, "done"),
    ],
)
def test_dying_in_an_effect(asking, point, sent, tries, state) -> None:
    """Whatever a daemon that died may have sent is sent again and counted as a try;
    what is settled is not.
    """

    def strike(name):
        if name == point:
            raise Crashed(name)

    on_crash_point(strike)
    with pytest.raises(Crashed):
        asking.carry_out("re_1")
    on_crash_point(None)
    assert [row.state for row in asking.rows()] == [state]
    if state == "begun":
        asking.answers = []
        asking.carry_out("re_1")
    (row,) = asking.rows()
    assert (row.state, row.tries, len(asking.sent)) == ("done", tries, sent)
    assert asking.kinds().count("answered") == 1


def test_who_died_without_an_answer_is_counted_once(asking) -> None:
    """Until an answer comes, the row says that none was heard, however often the daemon
    dies in it.
    """

    def strike(name):
        if name == POINTS.begun:
            raise Crashed(name)

    on_crash_point(strike)
    for _ in range(3):
        with pytest.raises(Crashed):
            asking.carry_out("re_1")
    (row,) = asking.rows()
    assert (row.tries, row.outcome) == (1, "no answer was heard")


def test_the_points_at_which_it_may_die_are_told_with_words() -> None:
    """Each point is declared by name, with what is durable there."""
    names = ["test.before-asking", "test.after-asking", "test.after-outcome"]
    assert [POINTS.begun, POINTS.sent, POINTS.settled] == names
    assert all(declared()[name] for name in names)


def test_a_death_after_a_try_in_vain_counts_no_try_twice(asking) -> None:
    """A try that was counted is not counted again when the next daemon repeats it."""
    with pytest.raises(TryLater):
        asking.carry_out(TryLater("Throttling", "slowly"))
    asking.carry_out("re_1")
    assert [row.tries for row in asking.rows()] == [1]
