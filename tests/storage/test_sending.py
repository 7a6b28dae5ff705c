"""A body on its way to S3, whose request may end before it."""

from __future__ import annotations

from pathlib import Path

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from zope.interface import implementer

from lae_storage.s3.interface import Bytes, Withdrawn
from lae_storage.s3.sending import PIECE, Sending
from lae_storage.server.spool import Spool, SpoolBody


@implementer(IConsumer)
@define(eq=False)
class Full:
    """A connection whose buffer is full after each piece."""

    written: list[bytes] = field(factory=list)
    sending: Sending | None = None

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Unused: the tests drive the producer."""

    def unregisterProducer(self) -> None:
        """Unused: the tests drive the producer."""

    def write(self, data: bytes) -> None:
        """Take it, and ask for a pause."""
        self.written.append(data)
        assert self.sending is not None
        self.sending.pauseProducing()


def paused(sending: Sending) -> tuple[Full, Deferred[None]]:
    """Begun, and waiting for room."""
    full = Full(sending=sending)
    return full, sending.startProducing(full)


def test_a_body_withdrawn_while_there_is_no_room(tmp_path: Path) -> None:
    """Its request ends at once, not when the network moves again."""
    spool = Spool(4 * PIECE, tmp_path)
    spool.write(0, bytes(3 * PIECE))
    stretch = SpoolBody(spool, 0, spool.length, held=True)
    full, sent = paused(Sending(stretch))
    assert len(full.written) == 1
    stretch.withdraw()
    failed: list[Failure] = []
    sent.addErrback(failed.append)
    assert [f.type for f in failed] == [Withdrawn]


def test_an_answered_requests_body_is_read_no_more(tmp_path: Path) -> None:
    """S3 may answer before it has all: the body may be gone when there is room."""
    spool = Spool(4 * PIECE, tmp_path)
    spool.fill_holes()
    sending = Sending(SpoolBody(spool, 0, spool.length))
    full, _ = paused(sending)
    sending.over()
    spool.close()
    sending.resumeProducing()
    assert len(full.written) == 1


def test_a_body_is_sent_piece_by_piece() -> None:
    """As often as there is room, to its end."""
    sending = Sending(Bytes(bytes(2 * PIECE + 1)))
    full, sent = paused(sending)
    while not sent.called:
        sending.resumeProducing()
    assert [len(piece) for piece in full.written] == [PIECE, PIECE, 1]
