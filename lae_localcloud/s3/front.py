"""The S3 endpoint: who asks, may they, is anything to go wrong; then the store.

An upload is read whole before anything of it is passed on: its hash is checked first,
as S3 does before it keeps an object, and a client that vanishes in the middle leaves
nothing behind.  Downloads stream.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import define
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from lae_localcloud.account.principals import Principal, authenticate
from lae_localcloud.account.signature import Authorization
from lae_localcloud.control import CONTROL_PATH, Control
from lae_localcloud.exchange import (
    ApiError,
    ApiRequest,
    ApiResponse,
    error_response,
)
from lae_localcloud.faults import Struck
from lae_localcloud.front.gate import in_its_words
from lae_localcloud.front.trouble import Trouble
from lae_localcloud.front.web import (
    cut,
    gone,
    read_request,
    spawn,
    write_head,
    write_response,
)
from lae_localcloud.models.wrong import WrongRequests
from lae_localcloud.s3.body import Relay
from lae_localcloud.s3.configuration import Configuration
from lae_localcloud.s3.forward import Store, Stored
from lae_localcloud.s3.operations import Operation, operation_of
from lae_localcloud.s3.permission import Permissions

_NOT_FOUND = 404


@define(frozen=True)
class _Asked:
    said: Authorization
    operation: Operation
    request: ApiRequest


class S3Front(Resource):
    """Answers every path."""

    _log = Logger()
    isLeaf = True

    def __init__(
        self,
        permissions: Permissions,
        configuration: Configuration,
        store: Store,
        *,
        trouble: Trouble,
        control: Control,
        region: str,
        now: Callable[[], datetime],
        wrong: WrongRequests,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._permissions, self._configuration = permissions, configuration
        self._store, self._trouble, self._control = store, trouble, control
        self._region, self._now, self._wrong = region, now, wrong

    def render(self, request: Any) -> int:
        """One request."""
        if request.path.startswith(CONTROL_PATH):
            return self._control.render(request)
        try:
            read = read_request(request)
            asked = _Asked(Authorization.of(read.headers), operation_of(read), read)
        except ApiError as e:
            write_response(request, error_response("s3", in_its_words("s3", e)))
            return NOT_DONE_YET
        return spawn(request, "s3", self._serve(request, asked))

    async def ask(self, request: ApiRequest) -> ApiResponse:
        """The answer to a signed call about a bucket that comes over no network.

        Raises :class:`ApiError` and
        :class:`~lae_localcloud.front.trouble.CutConnection`.
        """
        said = Authorization.of(request.headers)
        asked = _Asked(said, operation_of(request), request)
        await self._admit(asked)

        async def do(_: Struck | None) -> ApiResponse | Stored:
            return await self._do(asked.operation, request)

        answer = await self._trouble.around(asked.operation, do, _discard)
        if isinstance(answer, Stored):
            answer.discard()
            raise ApiError(501, "NotImplemented", "objects come over the network alone")
        return answer

    async def _serve(self, request: Any, asked: _Asked) -> None:
        """The whole way of one request.

        1. whose key is it, and was the request signed with it;
        2. do the policies of the holder and of the bucket allow it;
        3. the account's model or the store answers, as the faults want it;
        4. the answer goes out.
        """
        operation = asked.operation
        try:
            principal = await self._admit(asked)
        except ApiError as e:
            self._tell(operation, e.status, e.code)
            raise
        limit: int | None = None

        async def do(struck: Struck | None) -> ApiResponse | Stored:
            nonlocal limit
            if struck is not None and struck.fault.kind == "cut-body":
                limit = struck.fault.bytes
            return await self._do(operation, asked.request)

        answer = await self._trouble.around(operation, do, _discard)
        if isinstance(answer, Stored):
            await _relay(request, answer, limit)
        else:
            shown = self._hidden(principal, operation, answer)
            if not shown.ok:
                self._tell(operation, shown.status, "")
            write_response(request, shown)

    async def _admit(self, asked: _Asked) -> Principal:
        """The caller, who signed this and may do it; raises :class:`ApiError`."""
        principal = await self._permissions.principal(asked.said.access_key)
        authenticate(principal, asked.said, asked.request, self._now())
        if asked.said.region != self._region:
            raise ApiError(
                400,
                "AuthorizationHeaderMalformed",
                f"'{asked.said.region}' is wrong; expecting '{self._region}'",
            )
        operation = asked.operation
        self._wrong.check("s3", operation.action, asked.request, operation.named)
        asks = operation.asks(asked.request)
        await self._permissions.require(principal, operation.bucket, asks)
        return principal

    def _tell(self, operation: Operation, status: int, code: str) -> None:
        """Only what was refused: objects come and go by the thousand."""
        self._log.info(
            "s3 {action} {subject}: {status} {code}",
            action=operation.action,
            subject=operation.subject,
            status=status,
            code=code,
        )

    async def _do(
        self, operation: Operation, request: ApiRequest
    ) -> ApiResponse | Stored:
        if operation.by == "store":
            return await self._store.answer(operation, request)
        try:
            return await self._configuration.answer(operation, request)
        finally:
            if request.method in ("PUT", "DELETE"):
                self._permissions.forget()

    def _hidden(
        self, principal: Principal, operation: Operation, answer: ApiResponse
    ) -> ApiResponse:
        """Who may not list a bucket is not told that a key is not there."""
        missing = answer.status == _NOT_FOUND and operation.key
        if not (missing and operation.reads_object) or self._permissions.may(
            principal, "s3:ListBucket", operation.bucket
        ):
            return answer
        return error_response("s3", ApiError(403, "AccessDenied", "Access Denied"))


def _discard(answer: ApiResponse | Stored) -> None:
    if isinstance(answer, Stored):
        answer.discard()


async def _relay(request: Any, answer: Stored, limit: int | None) -> None:
    if gone(request):
        answer.discard()
        return
    write_head(request, answer.status, answer.headers)
    relay = Relay(request, limit)
    answer.response.deliverBody(relay)  # type: ignore[no-untyped-call]
    whole = await relay.finished
    if gone(request):
        return
    if whole:
        request.finish()
    else:
        cut(request)
