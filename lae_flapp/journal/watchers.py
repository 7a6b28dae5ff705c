"""Who waits for what is committed; lives on the reactor's thread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextvars import Context, ContextVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_flapp.journal.errors import JournalClosed
from lae_flapp.journal.transaction import Noun, Recorded, Touched
from lae_protocol.ids import SignupId

_log = Logger()

#: The signup whose worker runs in this context, and whatever it awaits; None elsewhere.
WRITES_FOR: ContextVar[SignupId | None] = ContextVar("WRITES_FOR", default=None)


@define(eq=False)
class Watcher:
    """One who waits; *answer* fires once, with a number above *since*."""

    since: int
    public: bool
    answer: Deferred[int] = field(init=False)

    def offer(self, number: int) -> None:
        """There is an event of this number."""
        if number > self.since and not self.answer.called:
            self.answer.callback(number)

    def fail(self, failure: Failure | JournalClosed) -> None:
        """The wait cannot go on."""
        if not self.answer.called:
            self.answer.errback(failure)


@define(eq=False)
class Watchers:
    """All who wait: once, for an event, by the signup that they wait for (None: any);
    and for as long as the journal lives, for what they work on.
    """

    _waiting: dict[SignupId | None, set[Watcher]] = field(factory=dict, init=False)
    _of_nouns: dict[Noun, list[Callable[[], object]]] = field(
        factory=lambda: defaultdict(list), init=False
    )
    _of_signups: list[Callable[[SignupId, bool], object]] = field(
        factory=list, init=False
    )

    def add(self, signup_id: SignupId | None, since: int, *, public: bool) -> Watcher:
        """Wait for this signup; forgotten when its answer fired or was cancelled."""
        watcher = Watcher(since, public)
        watcher.answer = Deferred()
        watcher.answer.addBoth(self._forget, signup_id, watcher)
        self._waiting.setdefault(signup_id, set()).add(watcher)
        return watcher

    def hear_of(self, noun: Noun, heard: Callable[[], object]) -> None:
        """Have *heard* called after each commit that touched *noun*."""
        self._of_nouns[noun].append(heard)

    def hear_of_signups(self, heard: Callable[[SignupId, bool], object]) -> None:
        """Have *heard* called after each commit that touched a signup: which, and
        whether it is to be tried again.
        """
        self._of_signups.append(heard)

    def tell(self, touched: Touched, writer: SignupId | None) -> None:
        """A transaction was committed, by the worker of *writer* or by somebody else
        (None): a worker is not told of what it wrote itself.
        """
        for event in touched.events:
            for watcher in self._interested(event):
                watcher.offer(event.number)
        for noun in sorted(touched.nouns):
            for told in self._of_nouns[noun]:
                _call(told)
        for signup_id in sorted((touched.signups - {writer}) | touched.tried_again):
            for heard in self._of_signups:
                _call(heard, signup_id, signup_id in touched.tried_again)

    def close(self) -> None:
        """Nothing will come any more."""
        everybody = [one for waiting in self._waiting.values() for one in waiting]
        for watcher in everybody:
            watcher.fail(JournalClosed("the journal closes"))

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._waiting.values())

    def _interested(self, event: Recorded) -> list[Watcher]:
        keys = {event.signup_id, None}
        waiting = [one for key in keys for one in self._waiting.get(key, ())]
        return [one for one in waiting if event.public or not one.public]

    def _forget(
        self, result: int | Failure, signup_id: SignupId | None, watcher: Watcher
    ) -> int | Failure:
        waiting = self._waiting.get(signup_id, set())
        waiting.discard(watcher)
        if not waiting:
            self._waiting.pop(signup_id, None)
        return result


def _call(heard: Callable[..., object], *args: object) -> None:
    """One who fails keeps neither the writer's answer nor the news from the others.

    What is begun here is not the writer's work.
    """
    try:
        Context().run(heard, *args)
    except Exception:  # noqa: BLE001  (whoever wrote has done nothing wrong)
        _log.failure("after a commit")
