"""Who waits for which events; lives on the reactor's thread."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lae_flapp.journal.errors import JournalClosed
from lae_flapp.journal.transaction import Recorded
from lae_protocol.ids import SignupId


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
    """All who wait, by the signup they wait for (None: any)."""

    _waiting: dict[SignupId | None, set[Watcher]] = field(factory=dict, init=False)

    def add(self, signup_id: SignupId | None, since: int, *, public: bool) -> Watcher:
        """Wait for this signup; forgotten when its answer fired or was cancelled."""
        watcher = Watcher(since, public)
        watcher.answer = Deferred()
        watcher.answer.addBoth(self._forget, signup_id, watcher)
        self._waiting.setdefault(signup_id, set()).add(watcher)
        return watcher

    def tell(self, event: Recorded) -> None:
        """An event was committed."""
        for watcher in self._interested(event):
            watcher.offer(event.number)

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
