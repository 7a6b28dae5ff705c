"""A body sent piece by piece, as fast as the connection takes it."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from lae_storage.s3.interface import Body, Withdrawn

#: Bytes handed over at once; the transport pauses us when its own buffer is full.
PIECE = 256 * 1024


@implementer(IBodyProducer)
@define(eq=False)
class Sending:
    """Reads a :class:`Body` while the connection has room; holds one piece.

    A body that grows is sent as it comes.
    """

    body: Body
    length: int = field(init=False)
    _at: int = 0
    _paused: bool = False
    _stopped: bool = False
    _consumer: IConsumer | None = None
    _done: Deferred[None] = field(factory=Deferred)

    def __attrs_post_init__(self) -> None:
        self.length = self.body.size()

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write until all is written; the Deferred tells when."""
        self._consumer = consumer
        self.body.tell(self._go_on)
        self._go_on()
        return self._done

    def _go_on(self) -> None:
        if self._stopped:
            return
        try:
            # Also while there is no room: what is withdrawn ends at once.
            self.body.here()
            self._write()
        except Withdrawn:
            self._stopped = True
            # The request fails by it, and its connection is cut.
            self._done.errback()

    def _write(self) -> None:
        while not (self._paused or self._stopped):
            if self._at >= self.length:
                self._stopped = True
                self._done.callback(None)
                return
            here = self.body.here() - self._at
            if here <= 0:
                return
            piece = self.body.read(self._at, min(PIECE, here))
            self._at += len(piece)
            assert self._consumer is not None
            self._consumer.write(piece)

    def pauseProducing(self) -> None:
        """The connection's buffer is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """There is room again."""
        if self._paused:
            self._paused = False
            self._go_on()

    def stopProducing(self) -> None:
        """The connection is gone."""
        self.over()

    def over(self) -> None:
        """The request is answered, or failed: its body is read no more.

        It may be answered before its end was sent; the connection would go on asking.
        """
        self._stopped = True
