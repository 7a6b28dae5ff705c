"""Calls to AWS's services in the name of whoever changes a stack.

Each is written and read by the models that AWS publishes, signed with the caller's key,
and answered by the front like any other: policies, limits and faults hold for it, too.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from attrs import define, field

from lae_localcloud.exchange import ApiError, ApiRequest, ApiResponse
from lae_localcloud.front.gate import in_its_words
from lae_localcloud.front.trouble import CutConnection
from lae_localcloud.models.service_models import operation_model

#: A call that fails so is repeated, as AWS's own clients do.
_AGAIN = frozenset(
    {
        *("RequestLimitExceeded", "SlowDown", "Throttling", "ThrottlingException"),
        *("PriorRequestNotComplete", "ConnectionLost"),
    }
)
_ATTEMPTS = 5
#: A change that AWS does not make to a resource of this type; nothing was done.
NOT_UPDATABLE = "NotUpdatable"
_FIRST_PAUSE = 0.05  # s
_BAD = 500
_FAILED = 300


@define(frozen=True)
class ServiceRefused(Exception):
    """A service's refusal; whether to try again depends on its code."""

    service: str
    code: str
    message: str
    status: int = 400

    def __str__(self) -> str:
        return (
            f"{self.message} (Service: {self.service}, Status Code: {self.status},"
            f" Error Code: {self.code})"
        )


class Services(Protocol):
    """Calls to services."""

    async def __call__(self, service: str, action: str, **said: Any) -> dict[str, Any]:
        """One call; raises :class:`ServiceRefused`."""
        ...

    async def pause(self, seconds: float) -> None:
        """Let time go by."""
        ...


@define(frozen=True)
class CallersKey:
    """The caller's key."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False, default=None)


@define(frozen=True)
class SignedServices:
    """Calls with one key, answered by *front*."""

    front: Callable[[ApiRequest], Awaitable[ApiResponse]]
    key: CallersKey
    region: str
    sleep: Callable[[float], Awaitable[None]]

    async def __call__(self, service: str, action: str, **said: Any) -> dict[str, Any]:
        """One call, repeated while the service is too busy."""
        attempt, wait = 1, _FIRST_PAUSE
        while True:
            try:
                return await self._once(service, action, said)
            except ServiceRefused as e:
                busy = e.code in _AGAIN or e.status >= _BAD
                if not busy or attempt == _ATTEMPTS:
                    raise
            await self.pause(wait)
            attempt, wait = attempt + 1, wait * 2

    async def pause(self, seconds: float) -> None:
        """Let time go by."""
        await self.sleep(seconds)

    async def _once(
        self, service: str, action: str, said: dict[str, Any]
    ) -> dict[str, Any]:
        operation = operation_model(service, action)
        try:
            request = _signed(operation, said, self.key, self.region)
        except ValueError as e:
            raise ServiceRefused(service, "ValidationError", str(e)) from None
        try:
            answer = await self.front(request)
        except ApiError as e:
            told = in_its_words(service, e)
            raise ServiceRefused(
                service, told.code, told.message, told.status
            ) from None
        except CutConnection:
            raise ServiceRefused(
                service, "ConnectionLost", "the connection was lost", 503
            ) from None
        return _read(service, operation, answer)


def _signed(
    operation: Any, said: dict[str, Any], key: CallersKey, region: str
) -> ApiRequest:
    """Raises ValueError for what no service would take."""
    from botocore.auth import S3SigV4Auth, SigV4Auth  # noqa: PLC0415  (slow to import)
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415  (slow to import)
    from botocore.credentials import Credentials  # noqa: PLC0415  (slow to import)
    from botocore.exceptions import ParamValidationError  # noqa: PLC0415
    from botocore.serialize import create_serializer  # noqa: PLC0415  (slow to import)

    model = operation.service_model
    serializer = create_serializer(model.metadata["protocol"])
    try:
        made = serializer.serialize_to_request(said, operation)
    except ParamValidationError as e:
        raise ValueError(str(e)) from None
    path = str(made["url_path"])
    name = model.signing_name
    if name == "s3" and not path.startswith(f"/{said.get('Bucket')}"):
        # The models of S3 do not say where in the path a bucket stands.
        path = f"/{said['Bucket']}{path.rstrip('/')}" if "Bucket" in said else path
    request = AWSRequest(
        method=made["method"],
        url="http://localhost" + path,
        headers=made["headers"],
        data=made["body"],
        params=made["query_string"],
    )
    prepared = request.prepare()
    # What is signed is what is sent: query and form in their last shape.
    request = AWSRequest(
        method=prepared.method,
        url=prepared.url,
        headers=dict(prepared.headers),
        data=prepared.body,
    )
    request.headers["Host"] = "localhost"
    signer = S3SigV4Auth if name == "s3" else SigV4Auth
    credentials = Credentials(key.access_key, key.secret_key, key.token)
    signer(credentials, name, region).add_auth(request)
    where, _, query = str(request.url).removeprefix("http://localhost").partition("?")
    body = request.data or b""
    return ApiRequest(
        method=str(request.method),
        path=where or "/",
        query=query,
        headers={k.lower(): _words(v) for k, v in request.headers.items()},
        body=body.encode() if isinstance(body, str) else bytes(body),
    )


def _words(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _read(service: str, operation: Any, answer: ApiResponse) -> dict[str, Any]:
    from botocore.awsrequest import HeadersDict  # noqa: PLC0415  (slow to import)
    from botocore.parsers import create_parser  # noqa: PLC0415  (slow to import)

    if operation.name == "GetBucketPolicy" and answer.ok:
        # The body is the policy itself.
        return {"Policy": answer.body.decode()}
    parser = create_parser(operation.service_model.metadata["protocol"])
    told: dict[str, Any] = parser.parse(
        {
            "headers": HeadersDict(dict(answer.headers)),
            "status_code": answer.status,
            "body": answer.body,
            "context": {"operation_name": operation.name},
        },
        operation.output_shape,
    )
    if answer.status >= _FAILED:
        error = told.get("Error", {})
        raise ServiceRefused(
            service,
            str(error.get("Code", answer.status)),
            str(error.get("Message", "")) or "no reason given",
            answer.status,
        )
    return told


def as_json(document: Any) -> str:
    """A policy as a service takes it, from a template's mapping or text."""
    return document if isinstance(document, str) else json.dumps(document)
