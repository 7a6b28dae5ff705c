"""The API's edge: key, version, idempotency, faults; then the table of operations."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

from attrs import Factory, define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from lae_localcloud.models.wrong import WrongRequests
from lae_localcloud.stripe.errors import ApiError
from lae_localcloud.stripe.faults import Fault, Faults
from lae_localcloud.stripe.form import nested
from lae_localcloud.stripe.idempotency import Answer, IdempotencyKeys
from lae_localcloud.stripe.lists import expanded
from lae_localcloud.stripe.operations import (
    Level,
    Operation,
    allows,
    operations,
    right_name,
)
from lae_localcloud.stripe.parameters import checked, parameters_of
from lae_localcloud.stripe.store import API_VERSION, Account, Json
from lae_protocol.secret import Secret

_LARGEST_BODY = 1 << 20
_log = Logger()

Rights = dict[str, Level] | None


@define
class Api:
    """Answers requests below ``/v1/``.

    *keys* maps an API key to its rights (None: all).  One request runs at a time, to
    its end: each is a step from one consistent state to the next.
    """

    account: Account
    keys: dict[Secret, Rights]
    base_url: Callable[[], str]
    faults: Faults = Factory(Faults)
    idempotency: IdempotencyKeys = Factory(IdempotencyKeys)
    wrong: WrongRequests = Factory(WrongRequests.of)
    _operations: tuple[Operation, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._operations = operations(self.base_url)

    def answer(self, request: Any, path: str) -> bytes | Deferred[bytes]:
        """The answer's body; a Deferred that never fires where a fault says silence."""
        method = request.method.decode("ascii")
        name = f"req_{secrets.token_urlsafe(10)}"
        fault = self.faults.take(method, f"/v1/{path}")
        answer, replayed = self._answer(request, method, path, name, fault)
        _log.info(
            "{method} /v1/{path} {status} {request}",
            method=method,
            path=path,
            status=answer.status,
            request=name,
        )
        if fault is not None and fault.outcome in ("silence", "reset"):
            if fault.outcome == "reset" and request.transport is not None:
                request.transport.abortConnection()
            silence: Deferred[bytes] = Deferred()
            request.notifyFinish().addErrback(lambda _: silence.cancel())
            return silence.addErrback(lambda _: b"")
        request.setResponseCode(answer.status)
        request.setHeader("content-type", "application/json")
        request.setHeader("request-id", name)
        request.setHeader("stripe-version", API_VERSION)
        key = request.getHeader("idempotency-key")
        if key is not None:
            request.setHeader("idempotency-key", key)
        if replayed:
            request.setHeader("idempotent-replayed", "true")
        return answer.body

    def _answer(
        self, request: Any, method: str, path: str, name: str, fault: Fault | None
    ) -> tuple[Answer, bool]:
        try:
            operation, ids = self._operation(method, path)
            self._authorise(request, operation)
            body = self._body(request, method)
            if fault is not None and fault.at_the_door:
                return _spoiled(fault), False
            asked = nested(body)
            expand = _expand(asked)
            parameters = self._checked(operation, asked, f"{method} /v1/{path}")
            key = request.getHeader("idempotency-key") if method == "POST" else None
            if key is not None:
                wanted = (method, path, body)
                kept = self.idempotency.begin(key, wanted, self.account.now())
                if kept is not None:
                    return kept, True
            return self._act(operation, ids, parameters, expand, key, fault, name)
        except ApiError as e:
            return _failure(e, name), False

    def _act(  # noqa: PLR0917  (the one call, of the one place above)
        self,
        operation: Operation,
        ids: tuple[str, ...],
        parameters: Json,
        expand: list[str],
        key: str | None,
        fault: Fault | None,
        name: str,
    ) -> tuple[Answer, bool]:
        origin = {"id": name, "idempotency_key": key}
        try:
            if fault is not None and not fault.after_effect:
                answer = _spoiled(fault)
            else:
                with self.account.requested(origin):
                    found = operation.act(self.account, ids, parameters)
                answer = Answer(200, _json(expanded(self.account, found, expand)))
        except ApiError as e:
            # Stripe keeps no result of a request whose parameters it refused.
            if key is not None:
                self.idempotency.forget(key)
            return _failure(e, name), False
        if fault is not None and fault.outcome == "error":
            answer = _spoiled(fault)
        if key is not None:
            self.idempotency.settle(key, answer)
        return answer, False

    def _checked(self, operation: Operation, asked: Json, call: str) -> Json:
        try:
            return checked(parameters_of(operation.parameters), asked)
        except ApiError as e:
            self.wrong.tell(f"Stripe's {call}: {e}")
            raise

    def _operation(self, method: str, path: str) -> tuple[Operation, tuple[str, ...]]:
        for operation in self._operations:
            ids = operation.match(method, path)
            if ids is not None:
                return operation, ids
        raise ApiError(
            f"Unrecognized request URL ({method}: /v1/{path}). The local Stripe does "
            "the part of the API that S4 uses.",
            status=404,
        )

    def _authorise(self, request: Any, operation: Operation) -> None:
        given = request.getHeader("authorization") or ""
        scheme, _, key = given.partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise ApiError(
                "You did not provide an API key. You need to provide your API key in "
                "the Authorization header, using Bearer auth.",
                status=401,
            )
        secret = Secret(key)
        if secret not in self.keys:
            raise ApiError(f"Invalid API Key provided: ****{key[-4:]}", status=401)
        if not allows(self.keys[secret], operation):
            # Only the message says which right is missing, and it quotes the key.
            raise ApiError(
                f"The provided key '{key[:8]}{'*' * 20}{key[-6:]}' does not have the "
                "required permissions for this endpoint on account "
                f"'{self.account.account_id}'. Having the '{right_name(operation)}' "
                "permission would allow this request to continue.",
                status=403,
            )
        version = request.getHeader("stripe-version")
        if version is not None and version != API_VERSION:
            raise ApiError(f"Invalid Stripe API version: {version}")

    @staticmethod
    def _body(request: Any, method: str) -> bytes:
        if method == "POST":
            body: bytes = request.content.read(_LARGEST_BODY + 1)
            if len(body) > _LARGEST_BODY:
                raise ApiError("Request too large", status=413)
            return body
        return bytes(request.uri.partition(b"?")[2])


def _expand(asked: dict[str, Any]) -> list[str]:
    given = asked.pop("expand", {})
    if not isinstance(given, dict):
        raise ApiError("Invalid array: expand", param="expand")
    return [str(path) for path in given.values()]


def _spoiled(fault: Fault) -> Answer:
    if fault.outcome == "rate-limit":
        error = ApiError("Request rate limit exceeded.", code="rate_limit", status=429)
    else:
        error = ApiError("An unknown error occurred", kind="api_error", status=500)
    return Answer(error.status, _json(error.body()))


def _failure(error: ApiError, name: str) -> Answer:
    body = error.body()
    body["error"]["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{name}"
    return Answer(error.status, _json(body))


def _json(value: Json) -> bytes:
    # Indented, as Stripe sends it: nobody may count on the compact form.
    return json.dumps(value, indent=2).encode() + b"\n"
