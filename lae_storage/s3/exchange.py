"""One signed request to a bucket: sent, answered within its time, its errors sorted,
and sent again where that is harmless.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping
from random import Random
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.web._newclient import RequestNotSent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from lae_protocol.aws.agent import SigningAgent
from lae_protocol.aws.body import pour_body, read_body
from lae_protocol.aws.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD
from lae_protocol.process.deadline import with_deadline
from lae_protocol.process.retry import retrying
from lae_storage.s3 import answers
from lae_storage.s3.answers import Asked
from lae_storage.s3.interface import (
    GROWS_WITHIN,
    Body,
    Denied,
    StoreError,
    Unavailable,
    Unclear,
)
from lae_storage.s3.sending import Sending

T = TypeVar("T")
#: Seconds until an answer's headers, more by what is sent at so many bytes a second;
#: until the answer's body; and until the answer to what makes an object of many parts.
PATIENCE, SLOWEST, BODY_PATIENCE, COMPLETION = 8.0, 2 << 20, 30.0, 30.0
#: Tries of what may be repeated, and the pauses between them in seconds.
ATTEMPTS, FIRST_PAUSE, LONGEST_PAUSE = 5, 0.1, 3.0
#: Seconds after the first try began in which another may begin: with a silent S3 a
#: client hears of it before its own patience, 60 seconds, ends.
WITHIN = 20.0
#: No answer of S3 that we ask for is longer.
LONGEST_ANSWER = 64 * 1024 * 1024
#: Bodies up to this size are hashed into the signature; larger ones are guarded by
#: TLS on the way, and hashing them would cost a twentieth of a core per 100 MB.
HASHED = 64 * 1024
OK, PARTIAL, REDIRECTS = 200, 206, 300


@define(frozen=True)
class Reply:
    """A whole answer that is no error."""

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """The header's first value; empty where there is none."""
        values = self.headers.getRawHeaders(name)
        return values[0] if values else ""


@define(frozen=True, eq=False)
class Exchange:
    """Asks a bucket through *agent*; *url* is its address of a key and a query."""

    reactor: IReactorTime
    agent: SigningAgent
    url: Callable[[str, Mapping[str, str]], str]
    rng: Random = field(repr=False)

    async def ask(
        self,
        asked: Asked,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Reply:
        """Send; again, within bounds, where nothing was done or nothing is lost.

        Raises StoreErrors alone.
        """
        return await self._repeating(
            lambda: self._once(asked, query or {}, headers or {}, body),
            _growth(body),
        )

    async def pour(
        self, asked: Asked, start: int, stop: int, take: Callable[[bytes], None]
    ) -> Headers | None:
        """Ask for the object's bytes from *start* to *stop*, handed on as they come;
        the headers that the last of them had.

        What did not come is asked for again; raises StoreErrors.
        """
        at = start
        had: Headers | None = None

        def arrived(data: bytes) -> None:
            nonlocal at
            at += len(data)
            take(data)

        async def once() -> None:
            nonlocal had
            if at >= stop:
                return
            headers = {"range": f"bytes={at}-{stop - 1}"}
            response = await self._send(asked, {}, headers, None)
            try:
                if response.code != PARTIAL:
                    await self._no_part(asked, response)
                    return
                had = response.headers
                await pour_body(
                    self.reactor,
                    response,
                    arrived,
                    seconds=BODY_PATIENCE,
                    limit=stop - at,
                )
            except (CancelledError, StoreError):
                raise
            except Exception as e:  # noqa: BLE001  (what did not come is asked again)
                raise Unavailable(type(e).__name__, asked.key) from None
            if at < min(stop, _whole_size(response)):
                raise Unavailable("ShortRange", asked.key)

        await self._repeating(once)
        return had

    async def _no_part(self, asked: Asked, response: IResponse) -> None:
        """A range that is answered otherwise: it begins at the end, or is an error."""
        said = await read_body(
            self.reactor, response, seconds=BODY_PATIENCE, limit=LONGEST_ANSWER
        )
        if response.code == OK and said:
            raise Denied("RangeIgnored", asked.key)
        if response.code not in (OK, answers.RANGE_NOT_SATISFIABLE):
            raise answers.error_of(asked, response.code, said)

    async def _once(
        self,
        asked: Asked,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Body | None,
    ) -> Reply:
        """Send once and read the answer; every failure becomes a StoreError."""
        lost = _lost(asked)
        response = await self._send(asked, query, headers, body)
        try:
            whole = await read_body(
                self.reactor,
                response,
                seconds=BODY_PATIENCE,
                limit=LONGEST_ANSWER,
            )
        except CancelledError:
            raise
        except Exception as e:  # noqa: BLE001
            # A write's status says enough; what is cut short is only its text.
            if not (asked.method == "PUT" and response.code == OK):
                raise lost(type(e).__name__, asked.key) from None
            whole = b""
        reply = Reply(response.code, response.headers, whole)
        if reply.status >= REDIRECTS:
            raise answers.error_of(asked, reply.status, reply.body)
        return reply

    async def _send(
        self,
        asked: Asked,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Body | None,
    ) -> IResponse:
        """Send once, up to the answer's headers."""
        sent = {"x-amz-content-sha256": _payload(body), **headers}
        # Before anything is sent: it raises Withdrawn.
        patience = _patience(asked, body)
        producer = None if body is None else Sending(body)
        try:
            sending = self.agent.request(
                asked.method.encode(),
                self.url(asked.key, query).encode(),
                Headers({k: [v] for k, v in sent.items()}),
                producer,
            )
            return await with_deadline(self.reactor, patience, "S3", sending)
        except (ConnectError, DNSLookupError, RequestNotSent) as e:
            raise Unavailable(type(e).__name__, asked.key) from None
        except CancelledError:
            raise
        except Exception as e:  # noqa: BLE001  (the agent's errors are many)
            if body is not None:
                # Raises Withdrawn, where that is why.
                body.here()
            raise _lost(asked)(type(e).__name__, asked.key) from None
        finally:
            if producer is not None:
                producer.over()

    async def _repeating(
        self, once: Callable[[], Coroutine[Deferred[Any], Any, T]], more: float = 0.0
    ) -> T:
        last = self.reactor.seconds() + WITHIN + more

        def repeatable(error: Exception) -> bool:
            return isinstance(error, Unavailable) and self.reactor.seconds() < last

        return await retrying(
            self.reactor,
            self.rng,
            once,
            attempts=ATTEMPTS,
            base=FIRST_PAUSE,
            cap=LONGEST_PAUSE,
            is_retryable=repeatable,
        )


def _whole_size(response: IResponse) -> int:
    """The size of the object that the range is of; 0 where it is not told."""
    told = (response.headers.getRawHeaders("content-range") or [""])[0]
    size = told.rpartition("/")[2]
    return int(size) if size.isdecimal() else 0


def _lost(asked: Asked) -> type[StoreError]:
    """What it is when no answer came."""
    return Unclear if asked.effect == "once" else Unavailable


def _patience(asked: Asked, body: Body | None) -> float:
    if asked.method == "POST" and asked.effect == "once":
        return COMPLETION
    if body is None:
        return PATIENCE
    return PATIENCE + body.size() / SLOWEST + _growth(body)


def _growth(body: Body | None) -> float:
    """Seconds that the body may take to be here."""
    growing = body is not None and body.here() < body.size()
    return GROWS_WITHIN if growing else 0.0


def _payload(body: Body | None) -> str:
    if body is None:
        return EMPTY_SHA256
    if body.size() > HASHED or body.here() < body.size():
        # What grows cannot be hashed: its head goes before it is all here.
        return UNSIGNED_PAYLOAD
    return hashlib.sha256(body.read(0, body.size())).hexdigest()
