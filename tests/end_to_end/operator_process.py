"""An operator's line to the daemon, as a process: a test has no reactor of its own.

``operator_process.py FURL_FILE`` answers each line ``METHOD SECONDS MESSAGE`` with one
line: the answer's JSON, or ``!`` and why there is none.  It outlives the daemon.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver

from lae_protocol import looking_messages, messages, wire
from lae_protocol.furl import Furl
from lae_protocol.process.call import Facet, FacetError
from lae_protocol.process.tub import make_tub

METHODS = {
    "list_signups": (looking_messages.ListSignups, looking_messages.PageAnswer),
    "show_signup": (looking_messages.Named, looking_messages.DetailAnswer),
    "retry_signup": (looking_messages.Named, messages.DoneAnswer),
    "events": (looking_messages.EventsSince, looking_messages.EventsAnswer),
    "health": (looking_messages.AskHealth, looking_messages.HealthAnswer),
}


class Desk(LineOnlyReceiver):
    delimiter = b"\n"
    MAX_LENGTH = 1 << 20

    def __init__(self, facet: Facet) -> None:
        self._facet = facet

    def lineReceived(self, line: bytes) -> None:
        method, seconds, message = line.split(b" ", 2)
        asking = self._ask(method.decode(), float(seconds), message)
        Deferred.fromCoroutine(asking)

    async def _ask(self, method: str, seconds: float, message: bytes) -> None:
        asked, answer = METHODS[method]
        try:
            told = await self._facet.call(
                method, wire.decode(asked, message), answer, seconds
            )
        except FacetError as e:
            self.sendLine(b"!" + str(e).encode())
        else:
            self.sendLine(wire.encode(told, answer))

    def connectionLost(self, reason: object = None) -> None:
        reactor.stop()


def main() -> None:
    tub = make_tub()
    tub.startService()
    furl = Furl.parse(Path(sys.argv[1]).read_text("ascii"))
    facet = Facet(reactor, tub, furl, messages.VERSION)
    facet.startService()
    StandardIO(Desk(facet))
    reactor.run()


if __name__ == "__main__":
    main()
