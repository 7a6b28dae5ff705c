"""Long requests share the memory that there is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from lae_storage.server.concurrency import Budget


class Work:
    """Takes an amount and holds it until it is told to end."""

    def __init__(self, budget: Budget, amount: int) -> None:
        self.began, self._end = False, Deferred[None]()
        self.running = Deferred.fromCoroutine(self._run(budget, amount))

    async def _run(self, budget: Budget, amount: int) -> None:
        async with budget.take(amount):
            self.began = True
            await self._end

    def end(self, error: Any = None) -> None:
        if error is None:
            self._end.callback(None)
        else:
            self._end.errback(error)


def test_who_comes_late_waits_in_turn() -> None:
    """A small one does not overtake a large one that waits."""
    budget = Budget(10)
    first, large, small = Work(budget, 6), Work(budget, 8), Work(budget, 1)
    assert (first.began, large.began, small.began) == (True, False, False)
    first.end()
    assert (large.began, small.began) == (True, True)
    assert budget.used == 9
    large.end()
    small.end()
    assert budget.used == 0


def test_what_is_too_large_goes_alone() -> None:
    """It waits for all others, all others wait for it, and it is not refused."""
    budget = Budget(10)
    first, huge, last = Work(budget, 1), Work(budget, 1000), Work(budget, 1)
    assert not huge.began
    first.end()
    assert huge.began
    assert not last.began
    huge.end()
    assert last.began
    last.end()


def test_a_failure_gives_back() -> None:
    """What failed uses nothing more."""
    budget = Budget(10)
    work = Work(budget, 10)
    work.end(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        work.running.result.raiseException()  # type: ignore[attr-defined]
    work.running.addErrback(lambda _: None)
    assert budget.used == 0


@given(st.lists(st.integers(0, 30), max_size=20), st.randoms(use_true_random=False))
def test_never_more_than_the_limit(amounts: list[int], rng: Any) -> None:
    """In whatever order things end, all are done and never too much is in use."""
    budget = Budget(10)
    works = [Work(budget, amount) for amount in amounts]
    left = list(works)
    while left:
        assert budget.used <= 10
        running = [work for work in left if work.began]
        assert running, "nothing goes on"
        ending = rng.choice(running)
        ending.end()
        left.remove(ending)
    assert budget.used == 0
