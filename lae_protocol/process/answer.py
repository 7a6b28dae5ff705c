"""Answering: the edge of a facet is strict once, here.

A facet's methods are written for parsed messages and give messages back; the
decorator checks the version, parses, logs who asked what by request id, and turns
every failure into a refusal, since the text of an exception would travel.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from lae_protocol import wire
from lae_protocol.messages import Refused

F = TypeVar("F")
_log = Logger()
_REQUEST_ID = re.compile(rb"[a-z0-9\-]{1,64}\Z")


class Refusal(Exception):
    """Raised inside a facet to answer with this refusal."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.code)
        self.refused = refused


def answers(
    version: int, asked: type, answer: Any
) -> Callable[[Callable[[Any, Any, str], Awaitable[Any]]], Any]:
    """Make a remote method of ``async def name(self, message, request_id)``.

    *asked* is the message's class, *answer* the union of what is answered, which has
    :class:`~lae_protocol.messages.Refused` in it.
    """

    def decorate(method: Callable[[Any, Any, str], Awaitable[Any]]) -> Any:
        name = method.__name__.removeprefix("remote_")

        def refusal(refused: Refused) -> bytes:
            return wire.encode(refused, answer)

        async def answered(self: Any, theirs: int, raw_id: bytes, data: bytes) -> bytes:
            if theirs != version:
                return refusal(Refused("version", f"this end speaks version {version}"))
            if not _REQUEST_ID.match(raw_id):
                return refusal(Refused("malformed", "the request id"))
            request_id = raw_id.decode("ascii")
            try:
                message = wire.decode(asked, data)
            except wire.MalformedMessage as e:
                return refusal(Refused("malformed", str(e)))
            try:
                value = await method(self, message, request_id)
                # In here, so that an answer of the wrong kind is no exception to it.
                return wire.encode(value, answer)
            except Refusal as e:
                return refusal(e.refused)
            except Exception:  # noqa: BLE001  (nothing of it may travel)
                _log.failure("{method} failed", method=name, request_id=request_id)
                return refusal(Refused("try-later", "something failed on our side"))

        @wraps(method)
        def remote(self: Any, theirs: int, raw_id: bytes, data: bytes) -> Any:
            return Deferred.fromCoroutine(answered(self, theirs, raw_id, data))

        return remote

    return decorate
