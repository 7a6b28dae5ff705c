"""An operator's line to the daemon, as a process: a test has no reactor of its own.

``operator_process.py FURL_FILE`` answers each line ``QUESTION SECONDS MESSAGE`` with one
line: the answer's JSON, or ``!`` and why there is none.  It outlives the daemon.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver

from lae_protocol import wire
from lae_protocol.furl import Furl
from lae_protocol.messages import Refused
from lae_protocol.process.call import Facet, FacetError
from lae_protocol.process.tub import make_tub
from lae_protocol.remote import OPERATOR


class Desk(LineOnlyReceiver):
    delimiter = b"\n"
    MAX_LENGTH = 1 << 20

    def __init__(self, facet: Facet) -> None:
        self._facet = facet

    def lineReceived(self, line: bytes) -> None:
        name, seconds, message = line.split(b" ", 2)
        asking = self._ask(name.decode(), float(seconds), message)
        Deferred.fromCoroutine(asking)

    async def _ask(self, name: str, seconds: float, message: bytes) -> None:
        kind = OPERATOR.by_name[name]
        try:
            told = await self._facet.ask(wire.decode(kind, message), seconds)
        except FacetError as e:
            self.sendLine(b"!" + str(e).encode())
            return
        if isinstance(told, Refused):
            self.sendLine(wire.encode_refusal(told))
        else:
            self.sendLine(wire.encode_answer(kind, told))

    def connectionLost(self, reason: object = None) -> None:
        reactor.stop()


def main() -> None:
    tub = make_tub()
    tub.startService()
    furl = Furl.parse(Path(sys.argv[1]).read_text("ascii"))
    facet = Facet(reactor, tub, furl)
    facet.startService()
    StandardIO(Desk(facet))
    reactor.run()


if __name__ == "__main__":
    main()
