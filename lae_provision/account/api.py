"""Calls to AWS for the account: every refusal names the missing permission."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar
from xml.etree.ElementTree import Element

from attrs import define, field

from lae_protocol.aws.agent import Answer
from lae_provision.aws.channel import Channel
from lae_provision.aws.parameters import members
from lae_provision.aws.s3 import BucketClient, Subresource
from lae_provision.errors import ProvisionError, Refused

T = TypeVar("T")

_NOT_ALLOWED = frozenset(
    {"AccessDenied", "AccessDeniedException", "HTTP403", "UnauthorizedOperation"}
)
_UNKNOWN_KEYS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
#: The JSON services' names for their APIs.
_TARGETS = {
    "ecr": "AmazonEC2ContainerRegistry_V20150921",
    "kms": "TrentService",
    "logs": "Logs_20140328",
    "servicequotas": "ServiceQuotasV20190624",
}
_ROUTE53 = "/2013-04-01"


class NotAllowed(Refused):
    """The credentials lack the permission *action*: grant it in IAM, and try again."""

    def __init__(self, action: str, message: str) -> None:
        super().__init__("NotAllowed", message)
        self.action = action


class KeysRefused(Refused):
    """AWS does not accept these credentials at all: use others."""


async def name_permission(action: str, waiting: Awaitable[T]) -> T:
    """Wait for the answer; a refusal for lack of permission names *action*."""
    try:
        return await waiting
    except ProvisionError as e:
        if e.code in _UNKNOWN_KEYS:
            raise KeysRefused(e.code, e.message) from None
        if e.code in _NOT_ALLOWED:
            raise NotAllowed(action, e.message) from None
        raise type(e)(e.code, f"{action}: {e.message}") from None


@define(frozen=True)
class AccountApi:
    """Calls to several services, through one channel."""

    channel: Channel
    _client: BucketClient = field(init=False)

    @_client.default
    def _make_client(self) -> BucketClient:
        return BucketClient(self.channel)

    async def query(self, service: str, action: str, **parameters: Any) -> Element:
        """Call CloudFormation, EC2 or IAM."""
        sent = parameters if service == "ec2" else members(parameters)
        return await name_permission(
            f"{service}:{action}", self.channel.query(service, action, sent)
        )

    async def json(self, service: str, action: str, **fields: Any) -> dict[str, Any]:
        """Call a service with a JSON API."""
        target = f"{_TARGETS[service]}.{action}"
        return await name_permission(
            f"{service}:{action}", self.channel.json(service, target, fields)
        )

    async def bucket(
        self,
        permission: str,
        method: str,
        bucket: str,
        subresource: Subresource = (),
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call S3 about a bucket; *permission* is the call's name in IAM."""
        return await name_permission(
            f"s3:{permission}",
            self._client.call(
                method,
                bucket,
                subresource=subresource,
                body=body,
                headers=dict(headers or {}),
            ),
        )

    async def own_buckets(self, prefix: str) -> list[str]:
        """List the account's buckets whose names begin with *prefix*."""
        root = await self._rest(
            "s3", "s3:ListAllMyBuckets", "GET", f"/?prefix={prefix}", None
        )
        return [name.text or "" for name in root.iter("Name")]

    async def route53(
        self, action: str, method: str, path: str, body: bytes | None = None
    ) -> Element:
        """Call Route 53; *path* follows the version in the URL."""
        return await self._rest(
            "route53", f"route53:{action}", method, _ROUTE53 + path, body
        )

    async def _rest(
        self, service: str, action: str, method: str, path: str, body: bytes | None
    ) -> Element:
        waiting = self.channel.rest(service, method, path, body)
        return await name_permission(action, waiting)
