"""CloudFormation's API: who answers which call about stacks."""

from __future__ import annotations

import re

from lae_localcloud.account.calls import Call
from lae_localcloud.cloudformation.calls_signed import CallersKey
from lae_localcloud.cloudformation.change_set_calls import ChangeSetCalls
from lae_localcloud.cloudformation.reading import TemplateWrong
from lae_localcloud.cloudformation.stack_book import refused
from lae_localcloud.cloudformation.stack_calls import StackCalls
from lae_localcloud.cloudformation.works_on_stacks import StackWorks
from lae_localcloud.exchange import ApiError, ApiRequest, ApiResponse
from lae_localcloud.models.answering import query_answer
from lae_localcloud.models.forms import read_form
from lae_localcloud.models.service_models import operation_model

SERVICE = "cloudformation"


class StacksService:
    """Answers every call, in the reactor's thread."""

    def __init__(self, works: StackWorks) -> None:
        self._desks = (ChangeSetCalls(works), StackCalls(works))

    def answer(self, call: Call, request: ApiRequest, key: CallersKey) -> ApiResponse:
        """One call of somebody who may make it; raises :class:`ApiError`."""
        said, _ = read_form(operation_model(SERVICE, call.action), request.form())
        name = _snake(call.action)
        does = next((getattr(d, name) for d in self._desks if hasattr(d, name)), None)
        if does is None:
            words = f"the local cloud has no {call.action}"
            raise ApiError(501, "NotImplemented", words)
        try:
            told = does(said, key)
        except TemplateWrong as e:
            raise refused(str(e)) from None
        return query_answer(SERVICE, call.action, told)


def _snake(action: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", action).lower()
