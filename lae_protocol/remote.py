"""What each kind of facet is asked: one remote method, whose arguments have a size.

Without constraints a 50 MB argument is swallowed whole by the receiving process
(facts of Foolscap 24.9).  ``ask`` takes the question's name and version, the id of
the request and the question as bytes (:mod:`lae_protocol.wire`), and answers bytes.
Foolscap lets no more bytes in than the largest of the facet's questions may have;
each question's own bound is :mod:`lae_protocol.process.answer`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from attrs import define
from foolscap.api import RemoteInterface
from foolscap.schema import ByteStringConstraint, IntegerConstraint

from lae_protocol.host_messages import BootstrapQuestion, HostQuestion
from lae_protocol.messages import FrontDeskQuestion
from lae_protocol.operator_messages import OperatorQuestion
from lae_protocol.question import Question

_NAME = ByteStringConstraint(maxLength=64)

_VERSION = IntegerConstraint()
_REQUEST_ID = ByteStringConstraint(maxLength=64)


@define(frozen=True)
class Questions:
    """What may be asked of one kind of facet; *interface* is Foolscap's."""

    by_name: Mapping[str, type[Question[Any]]]
    interface: Any


def questions(remote_name: str, kinds: Any) -> Questions:
    """The questions of the union *kinds*, or the only one."""
    asked: tuple[type[Question[Any]], ...] = get_args(kinds) or (kinds,)
    largest = ByteStringConstraint(maxLength=max(q.LARGEST for q in asked))
    answer = ByteStringConstraint(maxLength=max(q.LARGEST_ANSWER for q in asked))

    def ask(
        question: Any = _NAME,  # noqa: ARG001  (foolscap reads the signature)
        version: Any = _VERSION,  # noqa: ARG001
        request_id: Any = _REQUEST_ID,  # noqa: ARG001
        message: Any = largest,  # noqa: ARG001
    ) -> Any:
        return answer

    methods = {"__remote_name__": remote_name, "ask": ask}
    interface = type(RemoteInterface)(remote_name, (RemoteInterface,), methods)
    return Questions({q.__name__: q for q in asked}, interface)


#: What a web site may ask: no more than a visitor may.
FRONT_DESK = questions("RIFrontDesk.s4", FrontDeskQuestion)
#: What one named operator may ask.
OPERATOR = questions("RIOperator.s4", OperatorQuestion)
#: What a freshly launched host may ask: its identity, once.
BOOTSTRAP = questions("RIBootstrap.s4", BootstrapQuestion)
#: What a claimed host may say, of itself alone.
HOST = questions("RIHost.s4", HostQuestion)
