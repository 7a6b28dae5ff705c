from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import PotentialDataLoss

from lae_protocol.aws.body import BodyCutShort, BodyTooLarge, read_body
from lae_protocol.process.deadline import DeadlinePassed


class ReadBodyTests(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def _doubles(self, doubles: object) -> None:
        self.doubles = doubles

    def test_whole(self) -> None:
        """A body that ends as it should is given whole."""
        response = self.doubles.Response(200, b"abc")
        got = read_body(Clock(), response, seconds=1, limit=3)
        self.assertEqual(self.successResultOf(got), b"abc")

    def test_too_large(self) -> None:
        """One byte more than allowed ends the connection and is an error."""
        response = self.doubles.Response(200, b"", deliver=False)
        got = read_body(Clock(), response, seconds=1, limit=3)
        response.protocol.dataReceived(b"ab")
        self.assertNoResult(got)
        response.protocol.dataReceived(b"cd")
        self.failureResultOf(got, BodyTooLarge)
        self.assertTrue(response.aborted)

    def test_late(self) -> None:
        """A body that does not end in time is an error, and its connection dropped."""
        clock = Clock()
        response = self.doubles.Response(200, b"", deliver=False)
        got = read_body(clock, response, seconds=2, limit=9)
        response.protocol.dataReceived(b"ab")
        clock.advance(2)
        self.failureResultOf(got, DeadlinePassed)
        self.assertTrue(response.aborted)

    def test_unknown_end(self) -> None:
        """A body that ends with the connection, its length never told, is no body."""
        response = self.doubles.Response(200, b"", deliver=False)
        got = read_body(Clock(), response, seconds=2, limit=9)
        response.protocol.dataReceived(b"ab")
        response.protocol.connectionLost(Failure(PotentialDataLoss()))
        self.failureResultOf(got, BodyCutShort)
