"""What Litestream is asked over its control socket."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.web.client import (
    URI,
    Agent,
    FileBodyProducer,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http import OK
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from lae_protocol.aws.body import BodyCutShort, BodyTooLarge, read_body
from lae_protocol.process.deadline import DeadlinePassed, with_deadline

_LARGEST = 64 << 10  # bytes
#: Beyond what Litestream itself is given to answer within.
_GRACE = 1.0  # s


class BackupAway(Exception):
    """The bucket was not reached, or Litestream was not.  Try again."""


@implementer(IAgentEndpointFactory)
@define(frozen=True)
class _OneSocket:
    reactor: Any
    path: Path

    def endpointForURI(self, uri: URI) -> UNIXClientEndpoint:  # noqa: ARG002
        return UNIXClientEndpoint(  # type: ignore[no-untyped-call]
            self.reactor, str(self.path)
        )


@define(frozen=True)
class Litestream:
    """The process that has this control *socket*, of this *journal*."""

    reactor: Any
    socket: Path
    journal: Path

    async def sync(self, seconds: float) -> None:
        """Have all that is committed now in the bucket within *seconds*.

        Raises :class:`BackupAway`.
        """
        asked = {
            "path": str(self.journal),
            "wait": True,
            "timeout": max(1, int(seconds)),
        }
        try:
            status, body = await with_deadline(
                self.reactor,
                seconds + _GRACE,
                "Litestream",
                Deferred.fromCoroutine(self._post("/sync", asked, seconds)),
            )
        except (ConnectError, OSError):
            raise BackupAway("Litestream does not run") from None
        except (DeadlinePassed, ResponseFailed, ResponseNeverReceived) as e:
            raise BackupAway(f"Litestream does not answer: {e}") from None
        except (BodyCutShort, BodyTooLarge) as e:
            raise BackupAway(f"Litestream's answer is not whole: {e}") from None
        if status != OK:
            raise BackupAway(_error_of(body))
        said = _read(body)
        if said.get("txid") is None or said.get("txid") != said.get("replicated_txid"):
            raise BackupAway(f"Litestream sent only a part: {body[:200]!r}")

    async def _post(
        self, path: str, said: dict[str, object], seconds: float
    ) -> tuple[int, bytes]:
        agent = Agent.usingEndpointFactory(  # type: ignore[no-untyped-call]
            self.reactor, _OneSocket(self.reactor, self.socket)
        )
        response = await agent.request(
            b"POST",
            b"http://litestream" + path.encode(),
            Headers({"content-type": ["application/json"]}),
            FileBodyProducer(  # type: ignore[no-untyped-call]
                BytesIO(json.dumps(said).encode())
            ),
        )
        body = await read_body(self.reactor, response, seconds=seconds, limit=_LARGEST)
        return response.code, body


def _read(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _error_of(body: bytes) -> str:
    """What Litestream says, without what its requests have in them."""
    error = str(_read(body).get("error", "it says nothing"))
    return f"Litestream: {error.partition(', https response')[0]}"
