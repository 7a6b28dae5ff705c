"""How much one reference may ask, and what the others keep."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from lae_protocol.process.budget import TELL_EVERY, CallAllowance, CallBudget, CallShare

EACH = CallAllowance(together=2, burst=4, rate=1)
EVERYBODY = CallAllowance(together=3, burst=8, rate=2)


def budget_of(clock: Clock, each=EACH, everybody=EVERYBODY) -> CallBudget:
    return CallBudget("hosts", each, everybody, clock.seconds)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "end"]),
            st.sampled_from(["a", "b", "c"]),
            st.floats(0, 2),
        ),
        max_size=80,
    )
)
def test_no_bound_is_ever_passed(steps: list[tuple[str, str, float]]) -> None:
    """Whoever asks, no reference has more under way or asks oftener than it may, nor
    have all together, and a call is refused only at one of these bounds.
    """
    clock = Clock()
    budget = budget_of(clock)
    under_way = {"a": 0, "b": 0, "c": 0}
    taken: list[tuple[float, str]] = []

    def held(who: set[str], allowance: CallAllowance) -> float:
        """What is left of the burst, by the definition of a token bucket."""
        left, at = allowance.burst, 0.0
        for when, name in taken:
            if name in who:
                left = min(allowance.burst, left + (when - at) * allowance.rate) - 1
                at = when
        now = clock.seconds()
        return min(allowance.burst, left + (now - at) * allowance.rate)

    for what, name, pause in steps:
        clock.advance(pause)
        if what == "end":
            if under_way[name]:
                budget.end(name)
                under_way[name] -= 1
            continue
        full = (
            under_way[name] >= EACH.together
            or sum(under_way.values()) >= EVERYBODY.together
        )
        if budget.begin(name):
            assert not full
            assert held({name}, EACH) > 1 - 1e-6
            assert held({"a", "b", "c"}, EVERYBODY) > 1 - 1e-6
            under_way[name] += 1
            taken.append((clock.seconds(), name))
        else:
            assert (
                full
                or held({name}, EACH) < 2
                or held({"a", "b", "c"}, EVERYBODY) < 1 + 1e-6
            )


def test_one_reference_leaves_the_others_their_part() -> None:
    """Who has everything under way that it may keeps nobody else from asking."""
    budget = budget_of(Clock())
    greedy, modest = CallShare(budget, "greedy"), CallShare(budget, "modest")
    assert [greedy.begin() for _ in range(4)] == [True, True, False, False]
    assert modest.begin()
    greedy.end()
    assert greedy.begin()


def test_time_pays_what_was_asked_too_often() -> None:
    """After its burst a reference may ask once for each second that passes."""
    clock = Clock()
    budget = budget_of(clock)

    def asks() -> bool:
        begun = budget.begin("a")
        if begun:
            budget.end("a")
        return begun

    assert [asks() for _ in range(5)] == [True] * 4 + [False]
    clock.advance(1)
    assert [asks() for _ in range(2)] == [True, False]


def test_the_log_tells_of_a_flood_once_a_minute() -> None:
    """A thousand refused calls are one line, and the next line has their number."""
    clock, lines = Clock(), []
    budget = budget_of(clock)
    globalLogPublisher.addObserver(lines.append)
    try:
        for _ in range(1004):
            budget.begin("h-one")
        clock.advance(TELL_EVERY)
        for _ in range(4):
            budget.begin("h-one")
    finally:
        globalLogPublisher.removeObserver(lines.append)
    told = [(line["count"], line["facet"], line["furl"]) for line in lines]
    assert told == [(1, "hosts", "h-one"), (1002, "hosts", "h-one")]


def test_who_has_nothing_under_way_is_forgotten() -> None:
    """Names that ask once take no memory for ever; a call under way is still counted
    when it ends.
    """
    wide = CallAllowance(together=100, burst=100, rate=1)
    budget = budget_of(Clock(), EACH, wide)
    budget._paces.remembered = 3
    budget.begin("waits")
    for number in range(20):
        budget.begin(f"n{number}")
        budget.end(f"n{number}")
    assert dict(budget._under_way) == {"waits": 1}
    budget.end("waits")
    assert not budget._under_way
    assert len(budget._paces._buckets) == 3
    assert budget._all_under_way == 0


def test_each_address_has_its_part_of_a_share_that_many_use() -> None:
    """Who has stolen a site's furl uses up the budget of the own address alone."""
    shared = CallShare(budget_of(Clock()), "the site's", many_share_it=True)
    thief, site = shared.used_from("203.0.113.9"), shared.used_from("192.0.2.1")
    assert [thief.begin() for _ in range(3)] == [True, True, False]
    assert site.begin()
    assert "203.0.113.9" in thief.name
    one = CallShare(shared.budget, "h-one")
    assert one.used_from("203.0.113.9") is one
