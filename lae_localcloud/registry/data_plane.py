"""The registry as clients see it: ECR's checks, then Debian's registry answers."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from lae_localcloud.account.moto import Moto
from lae_localcloud.exchange import ApiError, ApiRequest, ApiResponse
from lae_localcloud.faults import Struck
from lae_localcloud.front.trouble import CutConnection, Trouble
from lae_localcloud.front.web import cut, gone, read_request, write_head, write_response
from lae_localcloud.registry.docker_registry import DockerRegistry
from lae_localcloud.registry.operations import RegistryCall, registry_call_of
from lae_localcloud.registry.shelves import Shelves
from lae_localcloud.registry.tokens import TokenBook
from lae_localcloud.s3.body import Relay
from lae_protocol.aws.body import read_body

_PASSED = ("accept", "content-type", "content-range", "range", "if-none-match")
_NOT_RETURNED = frozenset({"connection", "date", "transfer-encoding", "content-length"})
_SECONDS = 600.0  # s
_SMALL = 8 << 20  # bytes
_CREATED = 201
_REFUSED = 400


class DataPlane(Resource):
    """``/v2/…``."""

    isLeaf = True
    _log = Logger()

    def __init__(
        self, moto: Moto, tokens: TokenBook, docker: DockerRegistry, trouble: Trouble
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._moto, self._tokens, self._docker = moto, tokens, docker
        self._trouble, self._shelves = trouble, Shelves(moto)

    def render(self, request: Any) -> int:
        """One request."""
        request.notifyFinish().addErrback(lambda _: None)
        Deferred.fromCoroutine(self._serve(request)).addErrback(
            lambda failure: self._log.failure("a call of the registry", failure)
        )
        return NOT_DONE_YET

    async def _serve(self, request: Any) -> None:
        asked = read_request(request)
        call = registry_call_of(asked.method, asked.path)
        if call is None:
            unsupported = ApiError(405, "UNSUPPORTED", "The operation is unsupported.")
            write_response(request, _refusal(unsupported))
            return
        try:
            if (answer := await self._answer(call, asked, request)) is not None:
                write_response(request, answer)
        except ApiError as e:
            write_response(request, _refusal(e))
        except CutConnection:
            cut(request)

    async def _answer(
        self, call: RegistryCall, asked: ApiRequest, request: Any
    ) -> ApiResponse | None:
        async def do(_: Struck | None) -> ApiResponse | None:
            key = self._tokens.holder(asked.headers.get("authorization"))
            await self._moto.run(self._shelves.check, call, key)
            if call.action == "BatchGetImage":
                digest = await self._moto.run(self._shelves.digest_of, call)
                path = f"/v2/{call.repository}/manifests/{digest}"
                return await self._forward(asked, path, request)
            # ECR mounts no layer from another repository, unless it is told to.
            uri = asked.path if asked.method == "POST" else _uri(asked)
            answer = await self._forward(asked, uri, request)
            if call.action == "PutImage" and answer and answer.status == _CREATED:
                digest = dict(answer.headers)["docker-content-digest"]
                await self._moto.run(self._shelves.put, call, asked.body, digest)
            return answer

        return await self._trouble.around(call, do)

    async def _forward(
        self, asked: ApiRequest, uri: str, request: Any
    ) -> ApiResponse | None:
        """The answer; None if it is a layer, and on its way to the client already."""
        headers = {n: asked.headers[n] for n in _PASSED if n in asked.headers}
        sends = asked.method in ("POST", "PUT", "PATCH")
        response = await self._docker.request(
            asked.method, uri, headers, asked.body if sends else None
        )
        returned = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, values in response.headers.getAllRawHeaders()
            for value in values
            if name.decode("latin-1").lower() not in _NOT_RETURNED
        )
        if asked.method == "HEAD":
            length = response.headers.getRawHeaders("content-length", ["0"])[0]
            return ApiResponse(
                response.code, (*returned, ("content-length", length)), b""
            )
        reactor = self._docker.reactor
        if asked.method != "GET" or response.code >= _REFUSED:
            body = await read_body(reactor, response, seconds=_SECONDS, limit=_SMALL)
            return ApiResponse(response.code, returned, body)
        write_head(
            request,
            response.code,
            (*returned, ("content-length", str(response.length))),
        )
        relay = Relay(request, None)
        response.deliverBody(relay)  # type: ignore[no-untyped-call]
        if await relay.finished and not gone(request):
            request.finish()
        elif not gone(request):
            cut(request)
        return None


def _uri(asked: ApiRequest) -> str:
    return f"{asked.path}?{asked.query}" if asked.query else asked.path


def _refusal(error: ApiError) -> ApiResponse:
    told = {"errors": [{"code": error.code, "message": error.message}]}
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    if error.status == 401:  # noqa: PLR2004
        realm = 'Basic realm="https://ecr.amazonaws.com/",service="ecr.amazonaws.com"'
        headers = (*headers, ("www-authenticate", realm))
    return ApiResponse(error.status, headers, json.dumps(told).encode())
