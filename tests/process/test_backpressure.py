"""Who is refused again and again is heard more and more slowly, and nobody else is."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from lae_localcloud.ports import free_ports
from lae_protocol import wire
from lae_protocol.host_messages import Desired, Report
from lae_protocol.process.answer import Answering
from lae_protocol.process.backpressure import LONGEST_PAUSE, REFUSALS, Backpressure
from lae_protocol.process.budget import CallAllowance, CallBudget, CallShare
from lae_protocol.process.crowd import CrowdLimits
from lae_protocol.process.gate import Gate, gate_before
from lae_protocol.process.tub import make_tub
from lae_protocol.remote import HOST

_BURST = int(REFUSALS.burst)
_EACH = 1 / REFUSALS.per_second
#: More than one read of the connection brings, and than the system keeps for it.
_MANY = 500


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from("ab")), max_size=80))
def test_pauses_grow_and_are_bounded(refusals: list[tuple[float, str]]) -> None:
    """Who waits out every pause is refused at most at the pace, no pause is longer than
    the longest, and who was not refused so often has none.
    """
    clock = Clock()
    backpressure = Backpressure(clock)
    debt = dict.fromkeys("ab", -float(_BURST))
    at = dict.fromkeys("ab", 0.0)
    for passed, name in refusals:
        clock.advance(passed)
        now = clock.seconds()
        paid = (now - at[name]) * REFUSALS.per_second
        left = max(-float(_BURST), debt[name] - paid) + 1
        debt[name], at[name] = min(left, LONGEST_PAUSE / _EACH), now
        pause = backpressure.pause_after_refusal(name, "192.0.2.1")
        assert abs(pause - max(0.0, debt[name] * _EACH)) < 1e-6
        assert pause <= LONGEST_PAUSE


def test_the_furl_and_the_address_count() -> None:
    """A second connection of the same furl and address goes on where the first was;
    another address has no part in it.
    """
    backpressure = Backpressure(Clock())
    for _ in range(_BURST):
        assert backpressure.pause_after_refusal("h-one", "192.0.2.1") == 0
    assert backpressure.pause_after_refusal("h-one", "192.0.2.2") == 0
    assert backpressure.pause_after_refusal("h-two", "192.0.2.1") == 0
    assert backpressure.pause_after_refusal("h-one", "192.0.2.1") == _EACH
    assert backpressure.pause_after_refusal("h-one", "192.0.2.1") == 2 * _EACH


async def desired(report: Report, _: str) -> Desired:
    """Answer a report of a host."""
    del report
    return Desired("serving", 0, None)


class PausedTests(TestCase):
    """Over real connections, with the time of the pauses in the test's hand."""

    async def asyncSetUp(self) -> None:
        self.clock = Clock()
        port = free_ports(1)[0]
        self.tub = make_tub()
        self.tub.listenOn(f"tcp:{port}:interface=127.0.0.1")
        self.gate: Gate = gate_before(self.clock, self.tub, CrowdLimits())
        self.tub.setLocation(f"127.0.0.1:{port}")
        allowance = CallAllowance(together=9, burst=9, rate=1)
        everybody = CallAllowance(together=99, burst=99, rate=1)
        self.budget = CallBudget("hosts", allowance, everybody, self.clock.seconds)
        self.furls = {name: self.serve(name) for name in ("greedy", "modest")}
        self.tub.startService()
        self.clients: list[Any] = []
        self.addCleanup(lambda: Deferred.fromCoroutine(self.stop()))

    async def stop(self) -> None:
        # The server first: a client that ends waits for a farewell, which is not read.
        for tub in (self.tub, *self.clients):
            if tub.running:
                await tub.stopService()

    def serve(self, name: str) -> str:
        facet = Answering(HOST, desired, CallShare(self.budget, name))
        return str(self.tub.registerReference(facet, name)).replace("tcp:", "")

    async def reach(self, name: str) -> Any:
        client = make_tub()
        client.startService()
        self.clients.append(client)
        return await client.getReference(self.furls[name])

    def ask(self, reference: Any) -> Deferred[bytes]:
        return reference.callRemote("ask", b"Nonsense", 1, b"rq", b"{}")

    def flood(self, reference: Any) -> tuple[list[bytes], dict[int, Deferred[None]]]:
        """Ask often; the answers, and what fires when so many have come."""
        answers: list[bytes] = []
        marks: dict[int, Deferred[None]] = {}

        def answered(told: bytes) -> None:
            answers.append(told)
            if len(answers) in marks:
                marks[len(answers)].callback(None)

        for _ in range(_MANY):
            self.ask(reference).addCallbacks(answered, lambda _: None)
        return answers, marks

    async def test_a_flood_is_answered_slowly_and_others_at_once(self) -> None:
        """Of five hundred calls those within the budget are answered, then so many
        refusals as anybody may have at once, then one for each pause; nothing is read
        meanwhile.  Another furl's connection, and another one of the same furl, are
        answered at once.
        """
        await self.asyncSetUp()
        greedy, same, modest = [
            await self.reach(name) for name in ("greedy", "greedy", "modest")
        ]
        first = 9 + _BURST + 1
        answers, marks = self.flood(greedy)
        for number in range(first, first + 3):
            marks[number] = Deferred()
        await marks[first]
        (paused,) = [g for g in self.gate._guests.values() if g not in self.reading()]
        for other in (modest, same):
            await self.ask(other)
        self.assertEqual(len(answers), first)
        for number in (first + 1, first + 2):
            self.clock.advance(LONGEST_PAUSE)
            await marks[number]
            await self.ask(modest)
            self.assertNotIn(paused, self.reading())

    def reading(self) -> list[Any]:
        """The connections that are read."""
        return [g for g in self.gate._guests.values() if g in reactor.getReaders()]

    async def test_who_was_paused_is_read_again(self) -> None:
        """When all that was read is answered the connection is read on, until every
        call has its answer; one that is ended in a pause leaves no timer.
        """
        await self.asyncSetUp()
        greedy = await self.reach("greedy")
        answers, marks = self.flood(greedy)
        marks[_MANY] = done = Deferred()
        while not done.called:
            self.clock.advance(LONGEST_PAUSE)
            turn: Deferred[None] = Deferred()
            reactor.callLater(0, turn.callback, None)
            await turn
        codes = {wire.decode_answer(Report, one).code for one in answers}
        self.assertEqual(codes, {"not-known-here", "try-later"})
        self.assertEqual(len(self.reading()), 1)
        _, marks = self.flood(greedy)
        marks[_BURST + 10] = Deferred()
        await marks[_BURST + 10]
        self.assertEqual(self.reading(), [])
        waiting = len(self.clock.getDelayedCalls())
        await self.tub.stopService()
        self.assertEqual(len(self.clock.getDelayedCalls()), waiting - 1)
