"""Sending shares over Foolscap without hashing them."""

from __future__ import annotations

from typing import Any

from foolscap.banana import int2b128
from foolscap.tokens import STRING

#: Words that both ends may have a short form of are shorter than this.
LONGEST_WORD = 1024
#: Bytes that are enciphered at once: with more, Twisted copies all of them twice.
PIECE = 64 * 1024


def send_long_strings_plainly(tub: Any) -> None:
    """Have a Tub's connections send a long string as it is.

    Foolscap looks each string up in its vocabulary first, and so hashes every byte of
    a share: a tenth of what a download costs the node.  To be called before the Tub
    has connections.
    """

    class PlainBroker(tub.brokerClass):
        """The Tub's, which does not look up what is no word."""

        def sendToken(self, obj: Any) -> None:
            """Send one token; see :class:`foolscap.banana.Banana`."""
            if isinstance(obj, bytes) and len(obj) > LONGEST_WORD:
                write = self.transport.write
                int2b128(len(obj), write)
                write(STRING)
                for at in range(0, len(obj), PIECE):
                    write(obj[at : at + PIECE])
            else:
                super().sendToken(obj)

    tub.brokerClass = PlainBroker
