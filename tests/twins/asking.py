"""Asking a facet as its peer does, by bytes, without a connection."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from lae_protocol import wire
from lae_protocol.ids import new_request_id
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Answering
from lae_protocol.question import A, Question
from tests.twins.journal import answer


def begin(facet: Answering, question: Question[Any]) -> Deferred[bytes]:
    """Ask; the answer may come later."""
    kind = type(question)
    name = kind.__name__.encode()
    request_id = new_request_id().encode()
    return facet.remote_ask(name, kind.VERSION, request_id, wire.encode(question))


def ask(facet: Answering, question: Question[A]) -> A | Refused:
    """Ask, and read the answer that is there at once."""
    return wire.decode_answer(type(question), answer(begin(facet, question)))


def ask_raw(
    facet: Answering,
    kind: type[Question[A]],
    data: bytes,
    version: int | None = None,
) -> A | Refused:
    """Ask with these bytes in the place of a question, perhaps of another version."""
    told = facet.remote_ask(
        kind.__name__.encode(),
        kind.VERSION if version is None else version,
        b"rq1",
        data,
    )
    return wire.decode_answer(kind, answer(told))
