"""Answering: the edge of a facet is strict once, here.

What answers is written for parsed questions and gives messages back; the edge checks
name, version and sizes, parses, logs what failed by request id, and turns every
failure into a refusal, since the text of an exception would travel.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from foolscap.api import Referenceable
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from zope.interface import directlyProvides

from lae_protocol import wire
from lae_protocol.messages import RefusalCode, Refused
from lae_protocol.process.budget import CallShare
from lae_protocol.process.peer import ASKED_FROM
from lae_protocol.question import Question
from lae_protocol.remote import Questions

_REQUEST_ID = re.compile(rb"[a-z0-9\-]{1,64}\Z")

#: What a call beyond the budget is answered.
_TOO_MUCH = wire.encode_refusal(
    Refused("try-later", "Too many calls at the same time, or too often: ask later.")
)


class Refusal(Exception):
    """Raised while a question is answered, to answer with this refusal."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.code)
        self.refused = refused


class Answering(Referenceable):
    """A facet that is asked *questions*; *answer* is given each, and its request id.

    It returns the answer that the question's class names, or a refusal.  What is asked
    beyond *share*, the reference's part in a budget, is refused before it is parsed.
    """

    _log = Logger()

    def __init__(
        self,
        questions: Questions,
        answer: Callable[[Any, str], Awaitable[Any]],
        share: CallShare | None = None,
    ) -> None:
        self._by_name, self._answer = questions.by_name, answer
        self._share = share
        directlyProvides(self, questions.interface)

    def remote_ask(
        self, name: bytes, version: int, request_id: bytes, data: bytes
    ) -> Deferred[bytes]:
        """Foolscap's way in."""
        if self._share is None:
            return Deferred.fromCoroutine(self._told(name, version, request_id, data))
        peer = ASKED_FROM.get()
        share = self._share.used_from(peer.address)
        if not share.begin():
            peer.refused(share.name)
            return succeed(_TOO_MUCH)
        told = Deferred.fromCoroutine(self._told(name, version, request_id, data))

        def end(result: Any) -> Any:
            share.end()
            return result

        return told.addBoth(end)

    async def _told(
        self, name: bytes, version: int, raw_id: bytes, data: bytes
    ) -> bytes:
        try:
            kind = self._kind(name, version)
            request_id = _parsed(raw_id)
            question = _read(kind, data)
        except Refusal as e:
            return wire.encode_refusal(e.refused)
        try:
            return _sent(kind, await self._answer(question, request_id))
        except Refusal as e:
            return wire.encode_refusal(e.refused)
        except Exception:  # noqa: BLE001  (nothing of it may travel)
            self._log.failure(
                "{question} failed", question=kind.__name__, request_id=request_id
            )
            return wire.encode_refusal(
                Refused("try-later", "something failed on our side")
            )

    def _kind(self, name: bytes, version: int) -> type[Question[Any]]:
        kind = self._by_name.get(name.decode("ascii", "replace"))
        if kind is None:
            raise _refusal("not-known-here", "this question is not known here")
        if version != kind.VERSION:
            said = f"this end knows version {kind.VERSION} of {kind.__name__}"
            raise _refusal("version", said)
        return kind


def _parsed(request_id: bytes) -> str:
    if not _REQUEST_ID.match(request_id):
        raise _refusal("malformed", "the request id")
    return request_id.decode("ascii")


def _read(kind: type[Question[Any]], data: bytes) -> Any:
    if len(data) > kind.LARGEST:
        raise _refusal("too-large", f"{kind.__name__} has at most {kind.LARGEST} bytes")
    try:
        return wire.decode(kind, data)
    except wire.MalformedMessage as e:
        raise _refusal("malformed", str(e)) from None


def _sent(kind: type[Question[Any]], told: Any) -> bytes:
    if isinstance(told, Refused):
        raise Refusal(told)
    data = wire.encode_answer(kind, told)
    if len(data) > kind.LARGEST_ANSWER:
        raise _refusal("too-large", "the answer is too large: ask for less")
    return data


def _refusal(code: RefusalCode, message: str) -> Refusal:
    return Refusal(Refused(code, message))
