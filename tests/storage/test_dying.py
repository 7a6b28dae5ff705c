"""Side by side with upstream's server, ours dies in the middle of operations.

At one of the operation's requests to S3 the host is gone: before the request took
effect, or after it and before the reply.  What S3 has then decides whether the operation
was carried out, and upstream's server carries it out or not; after the restart both must
be the same, and what is left over is swept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    consumes,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lae_storage.server import garbage, keys
from tests.storage.test_like_upstream import (
    IMMUTABLE,
    MUTABLE,
    SECRETS,
    SideBySide,
    data,
    numbers,
    offsets,
    secrets,
    slots_,
    with_tiny_pieces,
)
from tests.twins.store import Request

#: At which of its requests an operation ends, and whether that one still takes effect.
deaths = st.tuples(st.integers(0, 4), st.booleans())


class Dying(SideBySide):
    """Both servers."""

    #: Requests until the end, None where it is not near; and its kind.
    left: int | None = None
    effect = False

    def _fault(self, request: Request) -> Any:
        if self.left is None:
            return super()._fault(request)
        self.left -= 1
        if self.left >= 0:
            return None
        # After its last request the process hears nothing and does nothing more.
        if self.left == -1 and self.effect:
            return "lose"
        return Deferred()

    def _die_in(self, asking: Callable[[], Any], death: tuple[int, bool]) -> bool:
        """Begin it, and end in it; whether it was acknowledged before."""
        found: list[Any] = []
        self.left, self.effect = death
        answering = asking()
        if not isinstance(answering, Deferred):
            answering = Deferred.fromCoroutine(answering)
        answering.addBoth(found.append)
        # Not so long that the fence would end it first.
        for _ in range(8):
            self.retries.advance(2)
        self.left = None
        return bool(found) and not isinstance(found[0], Failure)

    def _etag(self, key: str) -> str | None:
        there = self.store.objects.get(key)
        return None if there is None else there.etag

    def restart(self) -> None:
        """As it is, with the other machine's promise: no upload is left."""
        super().restart()
        self.now(garbage.sweep_orphans(self.ours._bucket, self.ours._slots))
        named = set()
        for si in MUTABLE:
            held = self.now(self.ours._slots.current(si))
            named |= {keys.chunk_key(si, name) for name in held.chunks()}
        listed = {k for k in self.store.objects if k.startswith(keys.CHUNKS)}
        assert listed == named

    @rule(
        si=slots_,
        secret=secrets,
        number=numbers,
        writes=st.lists(st.tuples(offsets, data), min_size=1, max_size=2),
        length=st.none() | st.integers(0, 70),
        death=deaths,
    )
    def die_in_a_change(
        self,
        si: bytes,
        secret: bytes,
        number: int,
        writes: Any,
        length: int | None,
        death: tuple[int, bool],
    ) -> None:
        vectors = {number: ([], writes, length)}
        arguments = (si, (SECRETS[0], secret, secret), vectors, [])
        key = keys.slot_key(si)
        before = self._etag(key)
        done = self._die_in(
            lambda: self.ours.slot_testv_and_readv_and_writev(*arguments), death
        )
        if done or self._etag(key) != before:
            self.theirs.slot_testv_and_readv_and_writev(*arguments)
        self.restart()

    @rule(pair=consumes(SideBySide.writers), seed=st.integers(0, 3), death=deaths)
    def die_in_an_upload(self, pair: Any, seed: int, death: tuple[int, bool]) -> None:
        theirs, ours = pair
        if theirs.closed or pair not in self.opened:
            return
        self.write_all(pair, seed)
        name = ours.name
        key = keys.immutable_key(name.storage_index, name.share_number)
        done = self._die_in(ours.close, death)
        self.opened.remove(pair)
        if done or self._etag(key) is not None:
            theirs.close()
        else:
            theirs.abort()
        self.restart()

    @rule(si=st.sampled_from(IMMUTABLE + MUTABLE), secret=secrets, death=deaths)
    def die_in_a_lease(self, si: bytes, secret: bytes, death: tuple[int, bool]) -> None:
        key = keys.slot_key(si) if si in MUTABLE else keys.leases_key(si)
        before = self._etag(key)
        done = self._die_in(lambda: self.ours.add_lease(si, secret, secret), death)
        if done or self._etag(key) != before:
            self.theirs.add_lease(si, secret, secret)
        self.restart()


class DyingInTheMiddle(SynchronousTestCase):
    def test_dying_in_the_middle(self) -> None:
        """Wherever the host dies, an operation was carried out as a whole or not at all,
        and nothing is left of one that was not.
        """
        with_tiny_pieces(self)
        # The sweep waits for no day.
        self.patch(garbage, "ORPHAN_AGE", -1)
        run_state_machine_as_test(
            Dying,
            settings=settings(max_examples=40, stateful_step_count=40),
        )
